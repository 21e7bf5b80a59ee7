//! The warden: one small process beside each worker that starts the tasks' processes and takes their trees down.
//!
//! Every task runs in a process group of its own below the warden, which is a subreaper: whatever a task leaves behind
//! becomes the warden's child and is found. When the worker dies, however it dies, the socket between the two closes,
//! and the warden kills everything and goes. (`PR_SET_PDEATHSIG` is not enough: it follows the thread that forked, and
//! grandchildren do not inherit it.)

mod client;
mod keeper;
mod server;
mod tree;
mod wire;

pub use client::{Child, Exit, Launch, LaunchError, Warden, kill_orphans};
pub use keeper::WardenKeeper;
pub use server::run;

/// The environment variable that marks every process of an attempt, so that one that leaves its group is still found.
pub const MARKER_VARIABLE: &str = "FLOW_CLAIM";
