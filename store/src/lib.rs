//! What is remembered: DAG versions, runs, task instances, their history, logs and XComs, in PostgreSQL or SQLite.
//!
//! [`Store`] is a concrete type over both databases. One method is one domain operation and one transaction; no
//! transaction handle leaves this crate. It is the only crate that names sqlx.

mod advance;
mod artifact;
mod audit;
mod audit_log;
mod callback;
mod claim;
mod clear;
mod clock;
mod connect;
mod dag;
mod dag_run;
mod due;
mod end;
mod error;
mod external;
mod log;
mod migrate;
mod outbox;
mod outcome;
mod pool;
mod previous;
mod process;
mod query;
mod question;
mod rescue;
mod rows;
mod secret;
mod start;
mod suspended;
mod token;
mod transaction;
mod trigger;
mod upkeep;
mod versions;
mod xcom;

pub mod read;

pub use flow_model::decide::intervention::{Affected, Mark, Selection};

pub use advance::{AdvanceLimits, Advanced};
pub use artifact::{Artifact, NewArtifact, is_artifact_name};
pub use audit::AuditReport;
pub use callback::{CallbackOrder, CallbackOutcome, CallbackRecord, CallbackResult};
pub use claim::{ClaimRequest, LogBefore, WorkOrder};
pub use clear::{ClearRequest, MarkRequest};
pub use clock::ManualClock;
pub use connect::{OpenOptions, Pooling, Store, StoreKind};
pub use dag::{NewDagVersion, PublishedDag};
pub use dag_run::{NewRun, RunCreated};
pub use due::DueDags;
pub use error::{Result, StoreError};
pub use external::{ExternalDag, ExternalRun};
pub use log::LogAppend;
pub use migrate::{MigrationState, SchemaStatus};
pub use outbox::OutboxEntry;
pub use outcome::{NewXCom, Outcome, OutcomeKind, Recorded};
pub use pool::Pool;
pub use previous::PreviousSuccess;
pub use process::{Heartbeat, HeldTask, NewProcess, ProcessKind};
pub use rescue::Rescued;
pub use rows::json_text;
pub use secret::{SealedRow, StoredConnection, StoredVariable};
pub use start::{NewStart, StartRecord, Started, Watched};
pub use token::TokenRecord;
pub use trigger::{CheckNote, Fired, Firing, HeldTrigger, TriggerRoom};
pub use xcom::{XComChange, XComInstances, XComPlace, XComPull, XComRun, check_xcom_key, check_xcom_size};
