//! The triggers that a triggerer carries, ordered by when something is to be done about them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use flow_model::{Epoch, TaskInstanceKey, Timestamp};
use flow_store::{HeldTrigger, TriggerRoom};

/// The triggers of one triggerer.
#[derive(Default)]
pub(crate) struct Carried {
    triggers: HashMap<TaskInstanceKey, Carrying>,
    /// When to do something about which trigger; entries whose trigger has gone, or has another epoch, are passed over.
    due: BinaryHeap<Reverse<(Timestamp, TaskInstanceKey, Epoch)>>,
    timers: usize,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Carrying {
    pub held: Arc<HeldTrigger>,
    /// How often it has been looked at.
    pub checks: u32,
}

impl Carrying {
    fn is_timer(&self) -> bool {
        self.held.deferral.trigger.fires_at().is_some()
    }
}

impl Carried {
    /// Takes up a trigger. One that is here already stays as it is.
    pub fn add(&mut self, held: HeldTrigger) {
        let (key, epoch) = (held.task_instance, held.epoch);
        if self.triggers.get(&key).is_some_and(|known| known.held.epoch == epoch) {
            return;
        }
        self.remove(key);
        let due_at = held.due_at;
        let carrying = Carrying { checks: held.checks, held: Arc::new(held) };
        self.timers += usize::from(carrying.is_timer());
        self.triggers.insert(key, carrying);
        self.due.push(Reverse((due_at, key, epoch)));
    }

    pub fn remove(&mut self, key: TaskInstanceKey) {
        if let Some(gone) = self.triggers.remove(&key) {
            self.timers -= usize::from(gone.is_timer());
        }
    }

    /// The trigger, if it is still carried at this epoch.
    pub fn get_mut(&mut self, key: TaskInstanceKey, epoch: Epoch) -> Option<&mut Carrying> {
        self.triggers.get_mut(&key).filter(|carrying| carrying.held.epoch == epoch)
    }

    /// Something is to be done about the trigger at `at`.
    pub fn schedule(&mut self, at: Timestamp, key: TaskInstanceKey, epoch: Epoch) {
        self.due.push(Reverse((at, key, epoch)));
    }

    /// When something is to be done next.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((at, key, epoch))) = self.due.peek().copied() {
            if self.get_mut(key, epoch).is_some() {
                return Some(at);
            }
            self.due.pop();
        }
        None
    }

    /// Up to `max` triggers about which something is to be done by `now`, the longest due first.
    pub fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Carrying> {
        let mut due = Vec::new();
        while due.len() < max && self.next_due().is_some_and(|at| at <= now) {
            if let Some(Reverse((_, key, epoch))) = self.due.pop()
                && let Some(carrying) = self.get_mut(key, epoch)
            {
                due.push(carrying.clone());
            }
        }
        due
    }

    /// How many more there is room for.
    pub fn room(&self, capacity: TriggerRoom) -> TriggerRoom {
        let pollers = self.triggers.len() - self.timers;
        TriggerRoom {
            timers: capacity.timers.saturating_sub(self.timers),
            pollers: capacity.pollers.saturating_sub(pollers),
        }
    }

    pub fn count(&self) -> TriggerRoom {
        TriggerRoom { timers: self.timers, pollers: self.triggers.len() - self.timers }
    }

    pub fn keys(&self) -> Vec<(TaskInstanceKey, Epoch)> {
        self.triggers.iter().map(|(key, carrying)| (*key, carrying.held.epoch)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flow_model::deferral::Trigger;
    use flow_model::{DagRunKey, Deferral};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn timer(key: i64, epoch: i64, due: i64) -> HeldTrigger {
        HeldTrigger {
            task_instance: TaskInstanceKey(key),
            epoch: Epoch(epoch),
            deferral: Deferral::new(Trigger::Time { at: at(due) }, Duration::from_secs(1)),
            due_at: at(due),
            created_at: at(0),
            checks: 0,
            run: DagRunKey(1),
            dag_id: "d".to_owned(),
            task_id: "t".to_owned(),
            map_index: -1,
            try_number: 1,
        }
    }

    fn keys(due: &[Carrying]) -> Vec<i64> {
        due.iter().map(|carrying| carrying.held.task_instance.0).collect()
    }

    #[test]
    fn the_longest_due_come_first() {
        let mut carried = Carried::default();
        for (key, due) in [(1, 30), (2, 10), (3, 20)] {
            carried.add(timer(key, 1, due));
        }
        assert_eq!(carried.next_due(), Some(at(10)));
        assert!(carried.take_due(at(9), 10).is_empty());
        assert_eq!(keys(&carried.take_due(at(25), 1)), [2]);
        assert_eq!(keys(&carried.take_due(at(25), 10)), [3]);
        assert_eq!(carried.room(TriggerRoom { timers: 5, pollers: 1 }), TriggerRoom { timers: 2, pollers: 1 });
    }

    #[test]
    fn what_has_gone_is_passed_over() {
        let mut carried = Carried::default();
        carried.add(timer(1, 1, 10));
        carried.add(timer(1, 1, 10));
        carried.add(timer(2, 1, 10));
        carried.remove(TaskInstanceKey(2));
        // Deferred anew: the old entry counts for nothing.
        carried.add(timer(1, 5, 40));
        assert_eq!(carried.next_due(), Some(at(40)));
        assert_eq!(keys(&carried.take_due(at(50), 10)), [1]);
        assert_eq!(carried.count(), TriggerRoom { timers: 1, pollers: 0 });
    }
}
