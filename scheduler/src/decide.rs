//! The decisions, free of clocks, stores and queues.

mod dag;
mod tick;

pub use dag::decide_dag;
pub use tick::decide_tick;
