//! Named places at which a test can make a process die, so that what survives a crash there can be checked.
//!
//! `FLOW_CRASH_POINT=worker.after_claim:3` aborts the process when it comes to that place for the third time. Only debug
//! builds look at it.

/// Dies here if the environment says so (debug builds only).
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        if cfg!(debug_assertions) {
            $crate::crash::pass($name);
        }
    };
}

/// Counts a pass through a crash point, and aborts at the one that was asked for.
pub fn pass(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("FLOW_CRASH_POINT").ok()?;
        let (name, nth) = text.rsplit_once(':')?;
        Some((name.to_owned(), nth.parse().ok()?))
    });
    if let Some((wanted, nth)) = wanted
        && wanted == name
        && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::abort();
    }
}
