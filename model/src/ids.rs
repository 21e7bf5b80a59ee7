//! Row keys and tokens, each a type of its own so that two of them cannot be swapped.

use serde::{Deserialize, Serialize};

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

key!(
    /// The store's key of a DAG run (users see the run id, a string that is unique within its DAG).
    DagRunKey
);
key!(
    /// The store's key of a task instance.
    TaskInstanceKey
);
key!(
    /// The store's key of one published version of a DAG.
    DagVersionKey
);
key!(
    /// The store's key of a registered process (a worker, a scheduler ...).
    ProcessId
);
key!(
    /// Grows by one whenever the right to act on a task instance changes hands; never falls.
    Epoch
);
key!(
    /// A random number minted by a worker for one claim, so that an epoch reused after a lossy failover cannot match an old holder.
    ClaimId
);
key!(
    /// A random number minted at each start of a process.
    Incarnation
);
