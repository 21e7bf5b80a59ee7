//! Flow driven from outside, as its users drive it: the real binary, real databases, real queues and real processes.
//!
//! Nothing here links the engine's crates. The program is the `flowctl` that was built into the same target folder.

mod api;
pub mod chaos;
mod cluster;
mod echo;
mod outside;
mod processes;
mod program;
mod random;
mod role;
mod standalone;
mod waiting;

pub use api::Api;
pub use cluster::Cluster;
pub use echo::{HttpEcho, RawRequest};
pub use outside::Outside;
pub use processes::{alive, descendants_with, send_signal};
pub use program::{Done, Program, built};
pub use random::Random;
pub use role::Role;
pub use standalone::Standalone;
pub use waiting::{eventually, eventually_within};
