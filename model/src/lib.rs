//! What a DAG is and how its runs move.
//!
//! Everything here is pure: no clock, no I/O, no SQL, no async. The other crates read the world, ask this crate what
//! should happen, and carry it out.

pub mod audit;
pub mod callback;
pub mod connection;
pub mod control;
pub mod crash;
pub mod dag;
pub mod decide;
pub mod deferral;
mod error_chain;
pub mod expand;
pub mod explain;
pub mod graph;
pub mod ids;
pub mod limits;
pub mod log;
pub mod moves;
pub mod number;
pub mod operator;
pub mod outside;
pub mod params;
pub mod python_version;
pub mod question;
pub mod retry;
pub mod schedule;
pub mod sql;
pub mod start;
pub mod state;
pub mod suggest;
pub mod template_kind;
pub mod time;
pub mod token;
pub mod trigger_rule;
mod visible;

pub use connection::{Connection, SecretText};
pub use dag::{Dag, Task};
pub use deferral::{Deferral, Trigger};
pub use error_chain::error_chain;
pub use graph::DagGraph;
pub use ids::{ClaimId, DagRunKey, DagVersionKey, Epoch, Incarnation, ProcessId, TaskInstanceKey};
pub use state::{RunReason, RunState, RunType, TaskState, TriggeredBy};
pub use template_kind::TemplateKind;
pub use time::Timestamp;
pub use token::TokenKind;
pub use trigger_rule::TriggerRule;
pub use visible::{is_hidden, visible, visible_json};
