//! A triggerer as the store sees it: it takes what waits and fires it; and it pauses, dies, and fires what is no longer
//! its own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use flow_model::{Incarnation, ProcessId, TaskInstanceKey, TaskState, Timestamp};
use flow_store::{CheckNote, Fired, Firing, Heartbeat, HeldTrigger, NewProcess, ProcessKind, TriggerRoom};
use rand::prelude::*;
use serde_json::json;

use crate::attempt::{random_value, returned};
use crate::worker::LEASE;
use crate::world::World;

/// More than there ever are: which of them would be taken otherwise is left to the database.
const ROOM: TriggerRoom = TriggerRoom { timers: 1_000, pollers: 1_000 };

pub struct Triggerer {
    slot: String,
    /// `None` while it is down.
    process: Option<ProcessId>,
    /// What it believes that it carries.
    carried: BTreeMap<TaskInstanceKey, HeldTrigger>,
    pub paused_until: Timestamp,
    last_heartbeat: Timestamp,
}

impl Triggerer {
    pub fn new(number: u32) -> Triggerer {
        Triggerer {
            slot: format!("triggerer-{number}"),
            process: None,
            carried: BTreeMap::new(),
            paused_until: Timestamp::UNIX_EPOCH,
            last_heartbeat: Timestamp::UNIX_EPOCH,
        }
    }
}

impl World {
    pub async fn triggerer_acts(&mut self, which: usize) -> anyhow::Result<()> {
        let now = self.now();
        let triggerer = &self.triggerers[which];
        if triggerer.paused_until > now {
            return Ok(());
        }
        let Some(process) = triggerer.process else {
            return if self.rng.random_bool(0.4) { self.register_triggerer(which).await } else { Ok(()) };
        };
        if now.since(triggerer.last_heartbeat) >= Duration::from_secs(5) && self.rng.random_bool(0.7) {
            self.triggerer_beats(which, process).await?;
        }
        match self.rng.random_range(0..100) {
            0..=24 => self.take_triggers(which, process).await,
            25..=64 => self.fire_due(which, process).await,
            65..=74 => self.note_looks(which, process).await,
            75..=84 => self.compare_triggers(which, process).await,
            85..=89 => {
                self.crash_triggerer(which);
                Ok(())
            }
            90..=94 => {
                let pause = Duration::from_secs(self.rng.random_range(5..80));
                self.triggerers[which].paused_until = now + pause;
                self.tell(&self.triggerers[which].slot, &format!("pauses for {} s", pause.as_secs()));
                Ok(())
            }
            _ => {
                self.store.retire_process(now, process).await?;
                self.tell(&self.triggerers[which].slot, "signs off");
                self.crash_triggerer(which);
                Ok(())
            }
        }
    }

    pub async fn register_triggerer(&mut self, which: usize) -> anyhow::Result<()> {
        let slot = self.triggerers[which].slot.clone();
        let incarnation = Incarnation(self.rng.random_range(0..i64::MAX));
        let new = NewProcess::this(ProcessKind::Triggerer, &slot, "localhost", incarnation, LEASE);
        let now = self.now();
        let (process, _) = self.store.register_process(now, &new).await?;
        let triggerer = &mut self.triggerers[which];
        (triggerer.process, triggerer.last_heartbeat) = (Some(process), now);
        triggerer.carried.clear();
        self.tell(&slot, "registers");
        Ok(())
    }

    async fn triggerer_beats(&mut self, which: usize, process: ProcessId) -> anyhow::Result<()> {
        let now = self.now();
        if self.store.heartbeat(now, process, LEASE).await? == Heartbeat::Dead {
            self.tell(&self.triggerers[which].slot, "hears that it is dead");
            self.crash_triggerer(which);
        } else {
            self.triggerers[which].last_heartbeat = now;
        }
        Ok(())
    }

    fn crash_triggerer(&mut self, which: usize) {
        let triggerer = &mut self.triggerers[which];
        let lost = triggerer.carried.len();
        if let Some(process) = triggerer.process.take() {
            // What it was about to fire may still be under way.
            let late = std::mem::take(&mut triggerer.carried);
            self.late_firings.extend(late.into_values().map(|held| (process, held)));
        }
        self.tell(&self.triggerers[which].slot, &format!("is gone with {lost} triggers"));
    }

    async fn take_triggers(&mut self, which: usize, process: ProcessId) -> anyhow::Result<()> {
        let mut taken = self.store.take_triggers(process, ROOM).await?;
        taken.sort_by_key(|held| held.task_instance);
        if self.rng.random_bool(0.1) {
            self.tell(&self.triggerers[which].slot, &format!("does not hear that it got {} triggers", taken.len()));
            return Ok(());
        }
        self.tell(&self.triggerers[which].slot, &format!("takes {} triggers", taken.len()));
        self.carry(which, taken)
    }

    fn carry(&mut self, which: usize, taken: Vec<HeldTrigger>) -> anyhow::Result<()> {
        for held in taken {
            let waits = self.deferrals.get(&held.task_instance);
            ensure!(
                waits.is_some_and(|deferral| *deferral == held.deferral),
                "{} {} waits for {:?}, it was to wait for {waits:?}",
                held.dag_id,
                held.task_id,
                held.deferral
            );
            self.triggerers[which].carried.insert(held.task_instance, held);
        }
        Ok(())
    }

    async fn fire_due(&mut self, which: usize, process: ProcessId) -> anyhow::Result<()> {
        let now = self.now();
        let carried = std::mem::take(&mut self.triggerers[which].carried);
        let (mut due, mut kept) = (Vec::new(), BTreeMap::new());
        for (key, held) in carried {
            let is_there = match held.deferral.trigger.fires_at() {
                Some(at) => at <= now,
                None => self.rng.random_bool(0.3),
            };
            // Sometimes it forgets to forget, and fires again.
            if !is_there || self.rng.random_bool(0.1) {
                kept.insert(key, held.clone());
            }
            due.extend(is_there.then_some(held));
        }
        self.triggerers[which].carried = kept;
        let slot = self.triggerers[which].slot.clone();
        self.fire(&slot, process, due).await
    }

    /// Firings of triggerers that are gone arrive after all.
    pub async fn late_firing(&mut self) -> anyhow::Result<()> {
        if self.late_firings.is_empty() {
            return Ok(());
        }
        let which = self.rng.random_range(0..self.late_firings.len());
        let (process, held) = self.late_firings.swap_remove(which);
        self.fire("late triggerer", process, vec![held]).await
    }

    /// Fires, and checks that each counts exactly if the store says that this process carries it at that epoch.
    pub async fn fire(&mut self, who: &str, process: ProcessId, due: Vec<HeldTrigger>) -> anyhow::Result<()> {
        if due.is_empty() {
            return Ok(());
        }
        let is_dead = self.is_dead(process).await?;
        let carried = self.store.held_triggers(process).await?;
        ensure!(!is_dead || carried.is_empty(), "{who} is dead and carries {carried:?}");
        let firings: Vec<Firing> = due.iter().map(|held| self.firing(held)).collect();
        let mut expected = Vec::new();
        for held in &due {
            let tasks = self.tasks(held.run).await?;
            let waits = tasks.iter().any(|task| task.id == held.task_instance && task.state == TaskState::Deferred);
            expected.push(waits && carried.contains(&(held.task_instance, held.epoch)));
        }
        let counted = self.store.fire_triggers(self.now(), process, &firings).await?;
        for (((held, firing), counted), expected) in due.iter().zip(&firings).zip(&counted).zip(expected) {
            let what = format!("{} {}[{}] {:?}", held.dag_id, held.task_id, held.map_index, firing.fired);
            self.tell(who, &format!("fires {what}: {counted}"));
            ensure!(*counted == expected, "{who} fired {what}: it counted {counted}, not {expected}");
            // Some fire once more, when the task may wait for something else already.
            if self.rng.random_bool(0.3) {
                self.late_firings.push((process, held.clone()));
            }
            if let (true, Fired::Resume(told)) = (*counted, &firing.fired) {
                self.told.insert(held.task_instance, told.clone());
            }
        }
        Ok(())
    }

    fn firing(&mut self, held: &HeldTrigger) -> Firing {
        let event = json!(self.rng.random_range(0..100));
        let fired = match (held.deferral.resumed_with(&event), self.rng.random_range(0..10)) {
            (Some(told), 0..=7) => Fired::Resume(told),
            (_, 0..=6) => Fired::Success(random_value(&mut self.rng).map(returned).into_iter().collect()),
            (_, 7) => Fired::Skipped("nothing to do".to_owned()),
            (_, 8) => Fired::Failed("it broke".to_owned()),
            _ => Fired::FailedForGood("it broke for good".to_owned()),
        };
        Firing { task_instance: held.task_instance, epoch: held.epoch, fired, log: Vec::new() }
    }

    async fn note_looks(&mut self, which: usize, process: ProcessId) -> anyhow::Result<()> {
        let now = self.now();
        let notes: Vec<CheckNote> = self.triggerers[which]
            .carried
            .values()
            .map(|held| CheckNote {
                task_instance: held.task_instance,
                epoch: held.epoch,
                checks: held.checks + 1,
                checked_at: now,
                next_check_at: now + Duration::from_secs(5),
                note: "not there".to_owned(),
            })
            .collect();
        Ok(self.store.note_checks(process, &notes).await?)
    }

    /// It takes up what it was given without its knowledge, and lets go of what others have.
    async fn compare_triggers(&mut self, which: usize, process: ProcessId) -> anyhow::Result<()> {
        let held = self.store.held_triggers(process).await?;
        self.triggerers[which].carried.retain(|key, trigger| held.contains(&(*key, trigger.epoch)));
        let mut unknown: Vec<TaskInstanceKey> = held.into_iter().map(|(key, _)| key).collect();
        unknown.retain(|key| !self.triggerers[which].carried.contains_key(key));
        let taken = self.store.read_triggers(process, &unknown).await?;
        self.carry(which, taken)
    }

    /// Everything that waits in the triggerer comes to its end. Whether anything did.
    pub async fn fire_everything(&mut self) -> anyhow::Result<usize> {
        let mut fired = 0;
        for which in 0..self.triggerers.len() {
            let Some(process) = self.triggerers[which].process else {
                self.register_triggerer(which).await?;
                continue;
            };
            self.triggerer_beats(which, process).await?;
            let Some(process) = self.triggerers[which].process else { continue };
            self.compare_triggers(which, process).await?;
            let taken = self.store.take_triggers(process, ROOM).await?;
            self.carry(which, taken)?;
            self.late_firing().await?;
            let now = self.now();
            let is_due = |held: &HeldTrigger| held.deferral.trigger.fires_at().is_none_or(|at| at <= now);
            let carried = std::mem::take(&mut self.triggerers[which].carried);
            let (due, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = carried.into_iter().partition(|(_, held)| is_due(held));
            self.triggerers[which].carried = kept;
            fired += due.len();
            let slot = self.triggerers[which].slot.clone();
            self.fire(&slot, process, due.into_values().collect()).await?;
        }
        Ok(fired)
    }
}
