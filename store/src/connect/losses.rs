//! Connections that died while nobody used them: the database was restarted, or something in between cut what was idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::Connection;
use sqlx::pool::PoolConnectionMetadata;

use crate::clock::boot_micros;

/// A connection that was used within this time is taken to be alive without a question.
const TRUSTED_FOR: Duration = Duration::from_secs(5);

/// How long a connection has to answer before it counts as dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// When a connection was last found lost. Those that are older than that are asked before they are used, so that after a
/// restart one loss is noticed, not one for each connection of the pool.
#[derive(Debug, Clone)]
pub(crate) struct Losses(Arc<AtomicI64>);

impl Losses {
    pub(crate) fn new() -> Self {
        Losses(Arc::new(AtomicI64::new(i64::MIN)))
    }

    /// Remembers that one was lost now.
    pub(crate) fn note(&self) {
        self.0.store(boot_micros(), Ordering::SeqCst);
    }

    /// Whether a connection that has lain in the pool may be used.
    ///
    /// # Errors
    /// It is dead: the pool makes a new one.
    pub(crate) async fn check<C: Connection>(
        &self,
        connection: &mut C,
        meta: PoolConnectionMetadata,
    ) -> Result<bool, sqlx::Error> {
        if !self.is_suspect(meta.age, meta.idle_for) {
            return Ok(true);
        }
        match tokio::time::timeout(ANSWER_WITHIN, connection.ping()).await {
            Ok(answer) => answer.map(|()| true),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    fn is_suspect(&self, age: Duration, idle_for: Duration) -> bool {
        let made_at = boot_micros() - i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        idle_for >= TRUSTED_FOR || made_at <= self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_loss_or_has_lain_long_is_asked() {
        let losses = Losses::new();
        let (young, old) = (Duration::from_millis(1), Duration::from_secs(60));
        assert!(!losses.is_suspect(old, young));
        assert!(losses.is_suspect(old, TRUSTED_FOR));
        losses.note();
        assert!(losses.is_suspect(old, young));
        assert!(losses.is_suspect(Duration::from_secs(1), young));
        assert!(!losses.is_suspect(Duration::ZERO, Duration::ZERO) || boot_micros() == losses.0.load(Ordering::SeqCst));
    }
}
