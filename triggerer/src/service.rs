//! The triggerer as a process: one loop that owns all triggers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_model::control::check_outputs;
use flow_model::dag::RETURN_VALUE;
use flow_model::{Epoch, Incarnation, ProcessId, TaskInstanceKey, Timestamp};
use flow_queue::{Bell, Queue};
use flow_secrets::Secrets;
use flow_store::{
    CheckNote, Fired, Firing, Heartbeat, HeldTrigger, NewProcess, NewXCom, ProcessKind, Store, StoreError, TriggerRoom,
    json_text,
};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::carried::{Carried, Carrying};
use crate::check::{Checks, Found, Look};
use crate::lane::{Lane, Lanes};

/// The loop looks for free triggers at least this often, bell or no bell.
const TAKE_INTERVAL: Duration = Duration::from_secs(5);
/// Compares what it carries with the store, which may have ended some of it.
const COMPARE_INTERVAL: Duration = Duration::from_secs(30);
/// Writes down what looks have found.
const NOTE_INTERVAL: Duration = Duration::from_secs(2);
/// Triggers that are taken up, or fired, in one go.
const BATCH_MAX: usize = 500;
/// Pause after the store failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// A timer is set for no longer than this, so that a moved clock is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// How a triggerer works.
#[derive(Debug, Clone)]
pub struct TriggererOptions {
    /// A name that it keeps over restarts.
    pub slot: String,
    /// The machine it runs on.
    pub host: String,
    /// Minted at this start.
    pub incarnation: Incarnation,
    /// How often it says that it is alive.
    pub heartbeat: Duration,
    /// How long it counts as alive without a heartbeat.
    pub lease: Duration,
    /// How many triggers it carries at most.
    pub capacity: TriggerRoom,
}

/// A triggerer.
pub struct Triggerer {
    store: Store,
    queue: Queue,
    options: TriggererOptions,
    checks: Arc<Checks>,
}

/// What a look has found, on its way back to the loop.
struct Looked {
    /// As whom it was looked at: what another life of this triggerer wanted to know counts for nothing.
    process: ProcessId,
    lane: Lane,
    key: TaskInstanceKey,
    epoch: Epoch,
    look: Look,
}

/// What the loop owns.
struct State {
    process: ProcessId,
    carried: Carried,
    /// Looks under way, and what is due and waits for one.
    lanes: Lanes<(TaskInstanceKey, Epoch)>,
    /// What has fired and is not recorded yet.
    fired: Vec<Firing>,
    notes: HashMap<TaskInstanceKey, CheckNote>,
    last_take: Option<Instant>,
    last_compare: Instant,
    last_note: Instant,
}

impl Triggerer {
    /// A triggerer on a store and a queue.
    pub fn new(store: Store, queue: Queue, secrets: Secrets, options: TriggererOptions) -> Self {
        let checks = Arc::new(Checks::new(store.clone(), secrets));
        Triggerer { store, queue, options, checks }
    }

    /// Works until `shutdown`. Database outages are waited out.
    ///
    /// # Errors
    /// It cannot register at start, and waiting would not mend it.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let first = tokio::select! {
            process = self.register() => process?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let (process, changes) = watch::channel(first);
        tracing::info!(process.id = first.0, "triggerer is up");
        tokio::select! {
            () = self.carrying(changes) => {}
            () = self.beating(&process) => {}
            () = shutdown.cancelled() => {}
        }
        // What it carried is free for others at once.
        let last = *process.borrow();
        if let Err(error) = self.store.retire_process(self.store.now(), last).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not sign off");
        }
        let _ = self.queue.ring(Bell::Triggerers).await;
        tracing::info!("triggerer stopped");
        Ok(())
    }

    async fn register(&self) -> Result<ProcessId, StoreError> {
        let TriggererOptions { slot, host, incarnation, lease, .. } = &self.options;
        let new = NewProcess::this(ProcessKind::Triggerer, slot, host, *incarnation, *lease);
        let on_failure = |error: &StoreError| warn("registering", error);
        Ok(self.store.register_process_patiently(&new, on_failure).await?.0)
    }

    /// Renews the lease. One that was declared dead registers anew and begins with nothing.
    async fn beating(&self, process: &watch::Sender<ProcessId>) {
        loop {
            tokio::time::sleep(self.options.heartbeat).await;
            let known = *process.borrow();
            match self.beat(known).await {
                Ok(None) => {}
                Ok(Some(anew)) => {
                    tracing::warn!(process.id = anew.0, "was declared dead; others carry what it had");
                    process.send_replace(anew);
                }
                Err(error) => warn("renewing the lease", &error),
            }
        }
    }

    async fn beat(&self, process: ProcessId) -> Result<Option<ProcessId>, StoreError> {
        self.store.sync_clock().await?;
        match self.store.heartbeat(self.store.now(), process, self.options.lease).await? {
            Heartbeat::Alive { .. } => Ok(None),
            Heartbeat::Dead => self.register().await.map(Some),
        }
    }

    /// The loop that owns all triggers.
    async fn carrying(&self, mut process: watch::Receiver<ProcessId>) {
        let mut bell = self.queue.listen(Bell::Triggerers);
        let (results, mut looked) = mpsc::unbounded_channel::<Looked>();
        let mut state = State::new(*process.borrow_and_update());
        loop {
            if let Err(error) = self.round(&mut state, &results).await {
                warn("carrying triggers", &error);
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            let pause = state.pause(self.store.now());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = bell.rang() => state.last_take = None,
                changed = process.changed() => match changed {
                    Ok(()) => state = State::new(*process.borrow_and_update()),
                    Err(_) => return,
                },
                result = looked.recv() => {
                    let now = self.store.now();
                    result.into_iter().for_each(|result| state.take_in(now, result));
                    while let Ok(result) = looked.try_recv() {
                        state.take_in(now, result);
                    }
                }
            }
        }
    }

    /// Everything that is to be done now.
    async fn round(&self, state: &mut State, results: &mpsc::UnboundedSender<Looked>) -> Result<(), StoreError> {
        self.take(state).await?;
        loop {
            let now = self.store.now();
            let due = state.carried.take_due(now, BATCH_MAX);
            let is_more = due.len() == BATCH_MAX;
            for Carrying { held, .. } in due {
                if held.deferral.trigger.fires_at().is_some() {
                    measure_lateness(now, held.due_at);
                    state.fired.push(firing(&held, Found::There(Value::Null).into()));
                } else {
                    state.lanes.enter(self.checks.lane(&held.deferral.trigger), (held.task_instance, held.epoch));
                }
            }
            self.fire(state).await?;
            if !is_more {
                break;
            }
        }
        self.start_looks(state, results);
        if state.last_note.elapsed() >= NOTE_INTERVAL && !state.notes.is_empty() {
            state.last_note = Instant::now();
            let notes: Vec<CheckNote> = state.notes.drain().map(|(_, note)| note).collect();
            self.store.note_checks(state.process, &notes).await?;
        }
        if state.last_compare.elapsed() >= COMPARE_INTERVAL {
            state.last_compare = Instant::now();
            self.compare(state).await?;
        }
        Ok(())
    }

    /// Takes what is free, as far as there is room.
    async fn take(&self, state: &mut State) -> Result<(), StoreError> {
        if state.last_take.is_some_and(|last| last.elapsed() < TAKE_INTERVAL) {
            return Ok(());
        }
        let room = state.carried.room(self.options.capacity);
        let taken = self.store.take_triggers(state.process, room).await?;
        state.last_take = Some(Instant::now());
        taken.into_iter().for_each(|held| state.carried.add(held));
        metrics::gauge!("flow_triggerer_looks_waiting").set(state.lanes.waiting() as f64);
        let count = state.carried.count();
        metrics::gauge!("flow_triggerer_triggers", "kind" => "timer").set(count.timers as f64);
        metrics::gauge!("flow_triggerer_triggers", "kind" => "poller").set(count.pollers as f64);
        Ok(())
    }

    /// As many looks as there is room for.
    fn start_looks(&self, state: &mut State, results: &mpsc::UnboundedSender<Looked>) {
        while let Some((lane, (key, epoch))) = state.lanes.next() {
            match state.carried.get_mut(key, epoch) {
                Some(carrying) => self.look(state.process, lane, Arc::clone(&carrying.held), results.clone()),
                // Ended while it waited for its turn.
                None => state.lanes.leave(&lane),
            }
        }
    }

    /// Looks in a task of its own: its panic is its own, too.
    fn look(&self, process: ProcessId, lane: Lane, held: Arc<HeldTrigger>, results: mpsc::UnboundedSender<Looked>) {
        let checks = Arc::clone(&self.checks);
        tokio::spawn(async move {
            let (key, epoch) = (held.task_instance, held.epoch);
            let looking = tokio::spawn(async move { checks.look(&held.deferral).await });
            let look = looking.await.unwrap_or_else(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "a look at a trigger broke down");
                Found::Failed("the look broke down: please report this as a bug".to_owned()).into()
            });
            let _ = results.send(Looked { process, lane, key, epoch, look });
        });
    }

    /// Records what has fired. What the store did not take stays, and is tried again.
    async fn fire(&self, state: &mut State) -> Result<(), StoreError> {
        while !state.fired.is_empty() {
            let batch = &state.fired[..state.fired.len().min(BATCH_MAX)];
            self.record(state.process, batch).await?;
            let done = batch.len();
            for firing in state.fired.drain(..done) {
                state.notes.remove(&firing.task_instance);
                state.carried.remove(firing.task_instance);
            }
            let _ = self.queue.ring(Bell::Scheduler).await;
        }
        Ok(())
    }

    /// A firing that the store does not understand must not hold up the others: they are then recorded one by one.
    async fn record(&self, process: ProcessId, batch: &[Firing]) -> Result<(), StoreError> {
        let now = self.store.now();
        match self.store.fire_triggers(now, process, batch).await {
            Ok(counted) => {
                let effective = counted.iter().filter(|counts| **counts).count();
                metrics::counter!("flow_triggerer_fired_total").increment(effective as u64);
                Ok(())
            }
            Err(error) if error.is_transient() => Err(error),
            Err(error) if batch.len() > 1 => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not fire triggers together; trying one by one"
                );
                for one in batch {
                    Box::pin(self.record(process, std::slice::from_ref(one))).await?;
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "could not fire a trigger");
                Ok(())
            }
        }
    }

    /// Lets go of what was ended from outside, and takes up what was taken without its knowledge.
    async fn compare(&self, state: &mut State) -> Result<(), StoreError> {
        let before = state.carried.keys();
        let held: HashSet<(TaskInstanceKey, Epoch)> =
            self.store.held_triggers(state.process).await?.into_iter().collect();
        for (key, _) in before.iter().filter(|trigger| !held.contains(trigger)) {
            state.carried.remove(*key);
            state.notes.remove(key);
        }
        let before: HashSet<(TaskInstanceKey, Epoch)> = before.into_iter().collect();
        let unknown: Vec<TaskInstanceKey> = held.difference(&before).map(|(key, _)| *key).collect();
        if !unknown.is_empty() {
            let found = self.store.read_triggers(state.process, &unknown).await?;
            found.into_iter().for_each(|held| state.carried.add(held));
        }
        Ok(())
    }
}

impl State {
    fn new(process: ProcessId) -> Self {
        State {
            process,
            carried: Carried::default(),
            lanes: Lanes::default(),
            fired: Vec::new(),
            notes: HashMap::new(),
            last_take: None,
            last_compare: Instant::now(),
            last_note: Instant::now(),
        }
    }

    /// How long nothing is to be done, unless something happens.
    fn pause(&mut self, now: Timestamp) -> Duration {
        if !self.fired.is_empty() {
            return Duration::ZERO;
        }
        let due = self.carried.next_due().map_or(SLEEP_MAX, |at| at.since(now));
        let note = if self.notes.is_empty() { SLEEP_MAX } else { NOTE_INTERVAL };
        due.min(note).min(SLEEP_MAX)
    }

    /// Takes in what a look has found.
    fn take_in(&mut self, now: Timestamp, looked: Looked) {
        let Looked { process, lane, key, epoch, look } = looked;
        if process != self.process {
            return;
        }
        self.lanes.leave(&lane);
        metrics::counter!("flow_triggerer_checks_total").increment(1);
        let Some(carrying) = self.carried.get_mut(key, epoch) else { return };
        carrying.checks = carrying.checks.saturating_add(1);
        let (checks, held) = (carrying.checks, Arc::clone(&carrying.held));
        match look {
            Look { found: Found::NotYet(why), said } => {
                let note = if said.is_empty() { why } else { format!("{why} ({})", said.join("; ")) };
                let next_check_at = now + held.deferral.poll.pause_after(checks);
                self.carried.schedule(next_check_at, key, epoch);
                let note = CheckNote { task_instance: key, epoch, checks, checked_at: now, next_check_at, note };
                self.notes.insert(key, note);
            }
            look => self.fired.push(firing(&held, look)),
        }
    }
}

/// What follows from what was found.
fn firing(held: &HeldTrigger, look: Look) -> Firing {
    let Look { found, said: mut log } = look;
    let deferral = &held.deferral;
    let fired = match found {
        Found::There(event) => {
            log.push("what it waited for is there".to_owned());
            match deferral.resumed_with(&event) {
                Some(told) => Fired::Resume(told),
                None => left(&deferral.outputs, event),
            }
        }
        Found::Skip(why) => Fired::Skipped(why),
        Found::Failed(why) | Found::FailedForGood(why) if deferral.soft_fail => Fired::Skipped(why),
        Found::Failed(why) | Found::NotYet(why) => Fired::Failed(why),
        Found::FailedForGood(why) => Fired::FailedForGood(why),
    };
    Firing { task_instance: held.task_instance, epoch: held.epoch, fired, log }
}

/// The event becomes the task's value, where there is one; it has to fit what the task declares.
fn left(outputs: &BTreeMap<String, Value>, event: Value) -> Fired {
    let mut values = BTreeMap::new();
    if !event.is_null() {
        values.insert(RETURN_VALUE.to_owned(), event);
    }
    match check_outputs(outputs, &values) {
        Ok(()) => {
            Fired::Success(values.into_iter().map(|(key, value)| NewXCom { key, value: json_text(&value) }).collect())
        }
        Err(why) => Fired::Failed(why),
    }
}

fn measure_lateness(now: Timestamp, due_at: Timestamp) {
    metrics::histogram!("flow_triggerer_lateness_seconds").record(now.since(due_at).as_secs_f64());
}

fn warn(doing: &str, error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "{doing} failed; trying again");
}
