//! How much each principal has under way, so that one cannot take everything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is under way, by principal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<String, usize>>>);

/// One thing under way; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    principal: String,
}

impl Shares {
    /// Counts one more, unless the principal has as many as it may.
    pub(crate) fn take(&self, principal: &str, max: usize) -> Option<Share> {
        let mut counts = self.counts();
        let count = counts.entry(principal.to_owned()).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), principal: principal.to_owned() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.shares.counts();
        if let Some(count) = counts.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_share_of_their_own_and_nothing_is_left_behind() {
        let shares = Shares::default();
        let (one, two) = (shares.take("ada", 2).unwrap(), shares.take("ada", 2).unwrap());
        assert!(shares.take("ada", 2).is_none());
        let other = shares.take("bob", 2).unwrap();
        drop(one);
        assert!(shares.take("ada", 2).is_some());
        drop((two, other));
        assert!(shares.counts().is_empty());
    }
}
