//! The installation that is simulated: one database, two schedulers, a few workers and triggerers, some people, and a clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_model::{ClaimId, Dag, DagRunKey, Deferral, ProcessId, RunState, TaskInstanceKey, Timestamp};
use flow_queue::Queue;
use flow_scheduler::Rounds;
use flow_store::read::{Page, RunFilter, RunOrder, RunRecord, TaskInstanceFilter, TaskInstanceRecord};
use flow_store::{HeldTrigger, ManualClock, OpenOptions, Store};
use rand::prelude::*;
use serde_json::Value;

use crate::attempt::Attempt;
use crate::callback::{Delivering, Journal};
use crate::dags::{POOLS, new_version, random_dag};
use crate::network::Network;
use crate::triggerer::Triggerer;
use crate::worker::Worker;

pub const PRINCIPAL: &str = "someone";

/// What has happened so far, line by line. Also there after a panic.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
    }
}

pub struct World {
    pub store: Store,
    pub clock: ManualClock,
    pub started: Timestamp,
    pub rng: StdRng,
    pub queue: Queue,
    pub network: Network,
    pub schedulers: Vec<Rounds>,
    /// Schedulers that have ever been started.
    pub schedulers_started: u32,
    pub workers: Vec<Worker>,
    pub triggerers: Vec<Triggerer>,
    /// Attempts that their worker has given up or forgotten: their processes may still be there, and report.
    pub ghosts: Vec<Attempt>,
    pub dags: Vec<Dag>,
    pub paused: BTreeSet<String>,
    /// The last claim id that was minted.
    pub claims: i64,
    /// The last claim of each task instance.
    pub claimed: HashMap<TaskInstanceKey, ClaimId>,
    /// What suspended tries wait for, and what the part that goes on is to be told.
    pub deferrals: HashMap<TaskInstanceKey, Deferral>,
    pub told: HashMap<TaskInstanceKey, Value>,
    /// What branches and short circuits that have succeeded left out, by their last success.
    pub left_out: HashMap<TaskInstanceKey, Vec<u32>>,
    /// Triggers that triggerers were about to fire when they went, and callbacks that workers were carrying out.
    pub late_firings: Vec<(ProcessId, HeldTrigger)>,
    pub late_callbacks: Vec<Delivering>,
    pub journal: Journal,
    /// The runs that events from outside have started, by DAG and event.
    pub events: BTreeMap<(String, u32), String>,
    pub steps: u64,
    trace: Trace,
}

impl World {
    pub async fn new(url: &str, seed: u64, trace: Trace) -> anyhow::Result<World> {
        let mut rng = StdRng::seed_from_u64(seed);
        let started: Timestamp = "2026-01-01T00:00:00Z".parse()?;
        let clock = ManualClock::new(started);
        let options = OpenOptions { connections_max: 2, clock: Some(clock.clone()), ..OpenOptions::default() };
        let store = Store::open(url, options).await?;
        let queue = Queue::in_process();
        let faults = rng.random_range(0.0..0.6);
        let drawn: Vec<(Dag, String)> =
            (0..rng.random_range(1..=4)).map(|number| random_dag(&mut rng, number, started)).collect();
        let (dags, texts): (Vec<Dag>, Vec<String>) = drawn.into_iter().unzip();
        let mut world = World {
            network: Network::new(&queue, faults),
            workers: (1..=rng.random_range(2..=3)).map(|number| Worker::new(number, &mut rng)).collect(),
            store,
            clock,
            started,
            rng,
            queue,
            schedulers: Vec::new(),
            schedulers_started: 0,
            triggerers: (1..=2).map(Triggerer::new).collect(),
            ghosts: Vec::new(),
            dags,
            paused: BTreeSet::new(),
            claims: 0,
            claimed: HashMap::new(),
            deferrals: HashMap::new(),
            told: HashMap::new(),
            left_out: HashMap::new(),
            late_firings: Vec::new(),
            late_callbacks: Vec::new(),
            journal: Journal::new(),
            events: BTreeMap::new(),
            steps: 0,
            trace,
        };
        for pool in POOLS {
            let slots = world.rng.random_range(1..=5);
            world.store.set_pool(started, pool, slots, None, PRINCIPAL).await?;
        }
        let versions: Vec<_> = world.dags.iter().map(new_version).collect();
        world.store.publish_dags(started, &versions, false).await?;
        for (dag, text) in world.dags.iter().zip(texts) {
            world.trace.push(format!("{}: {} tasks, {}\n{text}", dag.dag_id, dag.tasks.len(), dag.schedule_summary()));
            if dag.is_paused_upon_creation == Some(true) {
                world.paused.insert(dag.dag_id.clone());
            }
        }
        for _ in 0..2 {
            let scheduler = world.new_scheduler();
            world.schedulers.push(scheduler);
        }
        for which in 0..world.workers.len() {
            world.register(which).await?;
        }
        for which in 0..world.triggerers.len() {
            world.register_triggerer(which).await?;
        }
        Ok(world)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn tell(&self, who: &str, what: &str) {
        let elapsed = self.now().since(self.started).as_millis();
        self.trace.push(format!("{:>6}.{:03} {who}: {what}", elapsed / 1_000, elapsed % 1_000));
    }

    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.tell("clock", &format!("{} ms pass", time.as_millis()));
    }

    /// One thing happens.
    pub async fn step(&mut self) -> anyhow::Result<()> {
        self.steps += 1;
        match self.rng.random_range(0..100) {
            0..=18 => self.tick().await,
            19..=25 => self.upkeep().await,
            26..=28 => self.replace_scheduler().await,
            29..=66 => {
                let which = self.rng.random_range(0..self.workers.len());
                self.worker_acts(which).await
            }
            67..=73 => {
                let which = self.rng.random_range(0..self.triggerers.len());
                self.triggerer_acts(which).await
            }
            74..=75 => self.late_firing().await,
            76..=77 => self.events_arrive().await,
            78..=90 => {
                let time = match self.rng.random_range(0..20) {
                    0..=13 => self.rng.random_range(100..5_000),
                    14..=18 => self.rng.random_range(5_000..20_000),
                    _ => self.rng.random_range(30_000..90_000),
                };
                self.pass(Duration::from_millis(time));
                Ok(())
            }
            _ => self.person_acts().await,
        }
    }

    /// Runs in the order of their creation, of one DAG or of all, in one of the states (none: in any).
    pub async fn runs(&self, dag_id: Option<&str>, states: &[RunState]) -> anyhow::Result<Vec<RunRecord>> {
        let filter = RunFilter {
            dag_id: dag_id.map(str::to_owned),
            states: states.to_vec(),
            reasons: Vec::new(),
            order: RunOrder::OldestFirst,
        };
        Ok(self.store.list_runs(&filter, Page::first(5_000)).await?.0)
    }

    pub async fn open_runs(&self) -> anyhow::Result<Vec<RunRecord>> {
        self.runs(None, &[RunState::Queued, RunState::Running]).await
    }

    /// What the store says of a process: `live`, `draining` or `dead`.
    async fn process_state(&self, process: ProcessId) -> anyhow::Result<String> {
        let processes = self.store.list_processes().await?;
        let known = processes.into_iter().find(|known| known.id == process);
        // The dead are not kept for ever.
        Ok(known.map_or_else(|| "dead".to_owned(), |known| known.state))
    }

    pub async fn is_live(&self, process: ProcessId) -> anyhow::Result<bool> {
        Ok(self.process_state(process).await? == "live")
    }

    pub async fn is_dead(&self, process: ProcessId) -> anyhow::Result<bool> {
        Ok(self.process_state(process).await? == "dead")
    }

    pub async fn tasks(&self, run: DagRunKey) -> anyhow::Result<Vec<TaskInstanceRecord>> {
        Ok(self.store.list_task_instances(run, &TaskInstanceFilter::default(), Page::first(1_000)).await?.0)
    }

    /// Every move of every task instance and how every run ended, in words that do not depend on the database's keys.
    pub async fn history(&self) -> anyhow::Result<Vec<String>> {
        let mut history = Vec::new();
        for run in self.runs(None, &[]).await? {
            let name = format!("{} {}", run.dag_id, run.run_id);
            history.push(format!("{name} {} {:?} {:?} {:?}", run.state, run.started_at, run.ended_at, run.reason));
            history.extend(self.history_of(run.id).await?.into_iter().map(|line| format!("{name} {line}")));
        }
        history.sort();
        Ok(history)
    }

    pub async fn history_of(&self, run: DagRunKey) -> anyhow::Result<Vec<String>> {
        let mut marks = self.store.history_marks(run, Timestamp::UNIX_EPOCH).await?;
        for mark in &mut marks {
            mark.event_no = 0;
        }
        let events = self.store.events_after(&marks).await?;
        let mut lines: Vec<String> = events
            .into_iter()
            .map(|event| {
                let (task, number, to, at) = (event.task_id, event.event_no, event.to_state, event.at);
                let index = if event.map_index < 0 { String::new() } else { format!("[{}]", event.map_index) };
                format!(
                    "{task}{index} {number:>3} {to} try {} at {at} {}",
                    event.try_number,
                    event.reason.unwrap_or_default()
                )
            })
            .collect();
        lines.sort();
        Ok(lines)
    }
}
