//! How long a failed task waits before its next try.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::duration_text;

/// The delay before a retry where nothing else is said, of tasks, groups and runs alike: that of Airflow's tasks.
pub const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(300);

/// A task's retry settings, with Airflow's names and defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Further tries after the first (Airflow: 0).
    pub retries: u32,
    /// Delay before the first retry (Airflow: 300 s).
    #[serde(with = "duration_text")]
    pub retry_delay: Duration,
    /// Each retry waits `factor` times as long as the one before; 1 means a fixed delay.
    pub retry_backoff_factor: f64,
    /// No delay is longer than this (Airflow: 24 h).
    #[serde(with = "duration_text")]
    pub max_retry_delay: Duration,
    /// The delay is varied by up to this share of itself in both directions (0 to 1).
    pub retry_jitter: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            retries: 0,
            retry_delay: DEFAULT_RETRY_DELAY,
            retry_backoff_factor: 1.0,
            max_retry_delay: Duration::from_secs(24 * 3_600),
            retry_jitter: 0.0,
        }
    }
}

impl RetryPolicy {
    /// The delay after try `try_number` (1 is the first) has failed.
    ///
    /// `unit` in 0..1 decides where in the jitter range the delay falls, so that the function stays pure.
    pub fn delay_after(&self, try_number: u32, unit: f64) -> Duration {
        let exponent = f64::from(try_number.saturating_sub(1));
        let grown = self.retry_delay.as_secs_f64() * self.retry_backoff_factor.max(1.0).powf(exponent);
        let spread = 1.0 + self.retry_jitter.clamp(0.0, 1.0) * (2.0 * unit.clamp(0.0, 1.0) - 1.0);
        let seconds = (grown * spread).min(self.max_retry_delay.as_secs_f64()).max(0.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max_retry_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stops_at_the_maximum() {
        let policy = RetryPolicy {
            retries: 5,
            retry_delay: Duration::from_secs(10),
            retry_backoff_factor: 2.0,
            max_retry_delay: Duration::from_secs(60),
            ..RetryPolicy::default()
        };
        let delays: Vec<u64> = (1..=5).map(|n| policy.delay_after(n, 0.5).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 60, 60]);
        assert_eq!(policy.delay_after(u32::MAX, 0.5), Duration::from_secs(60));
    }

    #[test]
    fn jitter_stays_in_its_range() {
        let policy = RetryPolicy { retry_delay: Duration::from_secs(10), retry_jitter: 0.2, ..RetryPolicy::default() };
        assert_eq!(policy.delay_after(1, 0.0), Duration::from_secs(8));
        assert_eq!(policy.delay_after(1, 1.0), Duration::from_secs(12));
    }
}
