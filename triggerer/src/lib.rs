//! Carries what waits, so that waiting costs no worker slot. Knows nothing of processes and operators.
//!
//! A [`Triggerer`] takes triggers from the store, as many as it has room for. Timers lie in a heap and cost nothing until
//! they are due. Everything else is looked at in a task of its own, with a limit on its time; what it finds, or its panic,
//! comes back to the one loop that owns all triggers. Looks that ask the same host, database or file system share a lane,
//! so that one that is slow holds up no other. What has fired goes to the store in batches.
//!
//! A [`StartWatch`] looks at what starts runs from outside: files that arrive, and entries of Redis streams.

mod carried;
mod check;
mod glob;
mod lane;
mod mounts;
mod service;
mod starts;

pub use check::Checks;
pub use service::{Triggerer, TriggererOptions};
pub use starts::StartWatch;
