//! Decides what runs next.
//!
//! [`decide`] is pure: snapshot in, plan out. [`Scheduler`] takes the snapshots, applies the plans, and rings the bells;
//! [`DagPublisher`] keeps the store in step with the DAG folder. Any number of schedulers may run.

pub mod decide;
mod publisher;
mod rounds;
mod service;

pub use publisher::{DagPublisher, PublishReport, PublisherOptions};
pub use rounds::{RoundReport, Rounds};
pub use service::{Scheduler, SchedulerOptions};
