//! The decisions: pure functions from a snapshot, which the store takes under locks, to a plan, which it applies in the same
//! transaction. No clock, no I/O; what is decided about a task instance and what [`explain`](crate::explain) says about it are one
//! function, [`Standing::decide`](task::Standing::decide).

pub mod counts;
mod dag;
pub mod expansion;
pub mod intervention;
pub mod offers;
pub mod plan;
pub mod restart;
mod selected;
pub mod task;
mod tick;

pub use dag::decide_dag;
pub use tick::decide_tick;
