//! Runs attempts of task instances: claims them, renders their templates, starts their processes, captures their logs,
//! and reports how they ended. Knows nothing of DAG files, schedules or trigger rules.

mod artifacts;
pub mod attempt;
mod docker;
pub mod environment;
#[cfg(feature = "kubernetes")]
mod kubernetes;
pub mod log;
mod notice;
pub mod operators;
pub mod output;
mod run_as;
#[cfg(test)]
mod scripted;
pub mod service;
pub mod template;
pub mod warden;

pub use artifacts::ArtifactLimits;
pub use attempt::EnvironmentOptions;
pub use run_as::RunAs;
pub use service::{Worker, WorkerOptions};
