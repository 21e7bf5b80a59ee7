//! The attempts that this worker runs at the moment.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow_model::{ClaimId, Epoch};
use flow_store::{HeldTask, WorkOrder};
use tokio::sync::watch;

use crate::attempt::{Stop, StopSignal};
use crate::log::AttemptLog;

/// The running attempts, by claim.
#[derive(Default)]
pub(super) struct Roster {
    attempts: Mutex<HashMap<ClaimId, Entry>>,
    /// Claims that this worker answers for: from before they are asked for until their outcome is recorded.
    in_hand: Mutex<HashSet<ClaimId>>,
}

struct Entry {
    held: HeldTask,
    stop: watch::Sender<Option<Stop>>,
    log: Arc<AttemptLog>,
}

impl Roster {
    /// Adds an attempt; `None` if it is here already (a claim that was answered twice).
    pub fn add(&self, order: &WorkOrder) -> Option<(Arc<AttemptLog>, StopSignal)> {
        let mut attempts = self.lock();
        if attempts.contains_key(&order.claim) {
            return None;
        }
        let (stop, signal) = watch::channel(None);
        let log = Arc::new(AttemptLog::new(order));
        let held = HeldTask { task_instance: order.task_instance, epoch: order.epoch, claim: order.claim };
        attempts.insert(order.claim, Entry { held, stop, log: Arc::clone(&log) });
        Some((log, signal))
    }

    pub fn remove(&self, claim: ClaimId) {
        self.lock().remove(&claim);
    }

    /// These claims are about to be asked for.
    pub fn take_in_hand(&self, claims: impl IntoIterator<Item = ClaimId>) {
        self.in_hand().extend(claims);
    }

    /// Nothing more is to be done about these claims.
    pub fn let_go(&self, claims: impl IntoIterator<Item = ClaimId>) {
        let mut in_hand = self.in_hand();
        for claim in claims {
            in_hand.remove(&claim);
        }
    }

    /// Those of the claims that the store counts as ours and that nobody here answers for: they were granted, and the
    /// answer never arrived.
    pub fn unknown<'a>(&self, held: &'a [HeldTask]) -> Vec<&'a HeldTask> {
        let in_hand = self.in_hand();
        held.iter().filter(|task| !in_hand.contains(&task.claim)).collect()
    }

    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Everything that runs now.
    pub fn held(&self) -> Vec<HeldTask> {
        self.lock().values().map(|entry| entry.held).collect()
    }

    /// Stops those of `before` that the store does not count as held any more. Attempts that began after `before` was
    /// noted are not touched: the store's answer may be older than their claim.
    pub fn stop_fenced(&self, before: &[HeldTask], held: &[HeldTask]) -> usize {
        let held: HashSet<(ClaimId, Epoch)> = held.iter().map(|task| (task.claim, task.epoch)).collect();
        let attempts = self.lock();
        let fenced: Vec<&Entry> = before
            .iter()
            .filter(|task| !held.contains(&(task.claim, task.epoch)))
            .filter_map(|task| attempts.get(&task.claim))
            .collect();
        for entry in &fenced {
            entry.stop.send_replace(Some(Stop::Fenced));
        }
        fenced.len()
    }

    pub fn stop_all(&self, stop: Stop) {
        for entry in self.lock().values() {
            entry.stop.send_if_modified(|current| {
                let is_new = current.is_none();
                if is_new {
                    *current = Some(stop);
                }
                is_new
            });
        }
    }

    pub fn logs(&self) -> Vec<Arc<AttemptLog>> {
        self.lock().values().map(|entry| Arc::clone(&entry.log)).collect()
    }

    fn in_hand(&self) -> MutexGuard<'_, HashSet<ClaimId>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimId, Entry>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
