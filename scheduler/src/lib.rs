//! Decides what runs next.
//!
//! The decisions stand in [`flow_model::decide`]; [`Scheduler`] has the store take the snapshots and apply the plans, and rings the
//! bells; [`DagPublisher`] keeps the store in step with the DAG folder. Any number of schedulers may run.

mod publisher;
mod rounds;
mod service;

pub use publisher::{DagPublisher, PublishReport, PublisherOptions};
pub use rounds::{RoundReport, Rounds};
pub use service::{Scheduler, SchedulerOptions};
