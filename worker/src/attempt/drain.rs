//! What a container or a pod has written may come long after its end: whoever hands it out has a backlog, or we have.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::process::DRAIN_TIMEOUT;

/// Tells whether anything still comes.
#[derive(Debug)]
pub(super) struct Heard {
    count: AtomicU64,
    /// After so long a silence nothing comes any more.
    silence: Duration,
}

impl Default for Heard {
    fn default() -> Self {
        Heard { count: AtomicU64::new(0), silence: DRAIN_TIMEOUT }
    }
}

impl Heard {
    /// Something came.
    pub fn again(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads on, however much it is, until the end, or until nothing has come for a while: `None`.
    pub async fn to_the_end<T>(&self, reading: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(reading);
        loop {
            let before = self.count.load(Ordering::Relaxed);
            if let Ok(read) = tokio::time::timeout(self.silence, &mut reading).await {
                return Some(read);
            }
            if self.count.load(Ordering::Relaxed) == before {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_long_backlog_is_read_to_its_end_and_silence_ends_it() {
        let heard = Heard { silence: Duration::ZERO, ..Heard::default() };
        let mut pieces = 0;
        let backlog = std::future::poll_fn(|context| {
            pieces += 1;
            if pieces == 1_000 {
                return Poll::Ready("all of it");
            }
            heard.again();
            context.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(heard.to_the_end(backlog).await, Some("all of it"));
        assert_eq!(heard.to_the_end(std::future::pending::<()>()).await, None);
    }
}
