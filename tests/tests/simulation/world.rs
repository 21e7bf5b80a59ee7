//! The installation that is simulated: one database, two schedulers, a few workers, some people, and a clock.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_model::{Dag, DagRunKey, RunState, Timestamp};
use flow_queue::Queue;
use flow_scheduler::Rounds;
use flow_store::read::{Page, RunFilter, RunOrder, RunRecord, TaskInstanceRecord};
use flow_store::{ManualClock, OpenOptions, Store};
use rand::prelude::*;

use crate::dags::{POOLS, new_version, random_dag};
use crate::network::Network;
use crate::worker::{Attempt, Worker};

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
    /// Attempts that their worker has given up or forgotten: their processes may still be there, and report.
    pub ghosts: Vec<Attempt>,
    pub dags: Vec<Dag>,
    pub paused: BTreeSet<String>,
    /// The last claim id that was minted.
    pub claims: i64,
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
        let dags: Vec<Dag> = (0..rng.random_range(1..=4)).map(|number| random_dag(&mut rng, number, started)).collect();
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
            ghosts: Vec::new(),
            dags,
            paused: BTreeSet::new(),
            claims: 0,
            steps: 0,
            trace,
        };
        for pool in POOLS {
            let slots = world.rng.random_range(1..=5);
            world.store.set_pool(started, pool, slots, None, PRINCIPAL).await?;
        }
        let versions: Vec<_> = world.dags.iter().map(new_version).collect();
        world.store.publish_dags(started, &versions, false).await?;
        for dag in &world.dags {
            world.trace.push(format!("{}: {} tasks, {}", dag.dag_id, dag.tasks.len(), dag.schedule_summary()));
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
            0..=19 => self.tick().await,
            20..=25 => self.upkeep().await,
            26..=28 => self.replace_scheduler().await,
            29..=75 => {
                let which = self.rng.random_range(0..self.workers.len());
                self.worker_acts(which).await
            }
            76..=90 => {
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
        let filter =
            RunFilter { dag_id: dag_id.map(str::to_owned), states: states.to_vec(), order: RunOrder::OldestFirst };
        Ok(self.store.list_runs(&filter, Page::first(5_000)).await?.0)
    }

    pub async fn open_runs(&self) -> anyhow::Result<Vec<RunRecord>> {
        self.runs(None, &[RunState::Queued, RunState::Running]).await
    }

    pub async fn tasks(&self, run: DagRunKey) -> anyhow::Result<Vec<TaskInstanceRecord>> {
        Ok(self.store.list_task_instances(run, Page::first(1_000)).await?.0)
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
                format!("{task} {number:>3} {to} try {} at {at} {}", event.try_number, event.reason.unwrap_or_default())
            })
            .collect();
        lines.sort();
        Ok(lines)
    }
}
