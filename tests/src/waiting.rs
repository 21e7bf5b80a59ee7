//! Waiting for what must come.

use std::time::{Duration, Instant};

/// How often to look.
const POLL: Duration = Duration::from_millis(50);

/// How long most things may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks until there is something to see, and returns it.
///
/// # Panics
/// It did not come in half a minute.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look).await
}

/// As [`eventually`], with a deadline of its own.
///
/// # Panics
/// It did not come in time.
pub async fn eventually_within<T>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begin.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(POLL).await;
    }
}
