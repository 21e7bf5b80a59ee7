//! What schedulers do, with the limits checked around each tick.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use flow_model::decide::decide_tick;
use flow_model::{RunState, TaskInstanceKey, TaskState};
use flow_scheduler::Rounds;
use flow_store::AdvanceLimits;
use rand::prelude::*;

use crate::world::World;

const LEASE_GRACE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// What is held of everything that is limited.
#[derive(Default)]
pub struct Usage {
    /// Slots held in each pool, and how many it has.
    pools: BTreeMap<String, (i64, i64)>,
    runs: BTreeMap<String, i64>,
    /// Queued and running task instances of each DAG.
    tasks: BTreeMap<String, i64>,
    /// Task instances whose trigger rule was applied.
    decided: BTreeSet<TaskInstanceKey>,
}

impl World {
    pub fn new_scheduler(&mut self) -> Rounds {
        self.schedulers_started += 1;
        Rounds::new(self.store.clone(), self.queue.clone(), format!("scheduler-{}", self.schedulers_started))
    }

    /// One of the schedulers makes a round.
    pub async fn tick(&mut self) -> anyhow::Result<()> {
        let which = self.rng.random_range(0..self.schedulers.len());
        let look_at_past = self.rng.random_bool(0.4);
        let before = self.usage().await?;
        let report = self.schedulers[which].tick(self.now(), look_at_past).await?;
        let more = if report.is_unfinished { ", more to do" } else { "" };
        self.tell(&format!("scheduler {which}"), &format!("{} moves{more}", report.moves));
        self.check_limits(&before).await
    }

    /// One of the schedulers does what is done on timers.
    pub async fn upkeep(&mut self) -> anyhow::Result<()> {
        let which = self.rng.random_range(0..self.schedulers.len());
        let what = self.rng.random_range(0..6);
        let (rounds, now) = (&self.schedulers[which], self.now());
        let told = match what {
            0 => format!("{} runs timed out", rounds.time_out_runs(now).await?),
            1 => format!("{} rescued", rounds.rescue(now, LEASE_GRACE).await?),
            2 => format!("{} waited too long for their trigger", rounds.expire_triggers(now).await?),
            3 => format!("{} waited too long for an answer", rounds.expire_questions(now).await?),
            4 => format!("{} published from the outbox", rounds.sweep_outbox(now, PATIENCE).await?),
            _ => format!("{} published again", rounds.audit_queue(now, PATIENCE).await?),
        };
        self.tell(&format!("scheduler {which}"), &told);
        Ok(())
    }

    /// A scheduler dies, perhaps between its commit and the queue, and another one takes its place.
    pub async fn replace_scheduler(&mut self) -> anyhow::Result<()> {
        let which = self.rng.random_range(0..self.schedulers.len());
        let mut told = "dies".to_owned();
        if self.rng.random_bool(0.5) {
            let before = self.usage().await?;
            let limits = AdvanceLimits {
                runs_max: 1 + self.rng.random_range(0..10),
                look_at_past: self.rng.random_bool(0.5),
                use_outbox: self.rng.random_bool(0.5),
                actor_id: format!("scheduler-{}", self.schedulers_started),
            };
            let advanced = self.store.advance(self.now(), &limits, decide_tick).await?;
            told = format!("dies before it has published {} hints", advanced.queued.len());
            self.check_limits(&before).await?;
        }
        self.tell(&format!("scheduler {which}"), &told);
        self.schedulers[which] = self.new_scheduler();
        Ok(())
    }

    pub async fn usage(&self) -> anyhow::Result<Usage> {
        let mut usage = Usage::default();
        for pool in self.store.pools_in_use().await? {
            usage.pools.insert(pool.name, (pool.running_slots + pool.queued_slots, pool.slots));
        }
        for run in self.open_runs().await? {
            *usage.runs.entry(run.dag_id.clone()).or_default() += i64::from(run.state == RunState::Running);
            if self.looks_closely() {
                let tasks = self.tasks(run.id).await?;
                let live = tasks.iter().filter(|task| matches!(task.state, TaskState::Queued | TaskState::Running));
                *usage.tasks.entry(run.dag_id).or_default() += i64::try_from(live.count())?;
                let decided = tasks.iter().filter(|task| task.state != TaskState::None).map(|task| task.id);
                usage.decided.extend(decided);
            }
        }
        Ok(usage)
    }

    /// Now and then only: it reads all live task instances.
    fn looks_closely(&self) -> bool {
        self.steps.is_multiple_of(2)
    }

    /// A scheduler may fill what is limited, not overfill it. What was lowered since may be overfull already.
    pub async fn check_limits(&self, before: &Usage) -> anyhow::Result<()> {
        let after = self.usage().await?;
        for (pool, (held, slots)) in &after.pools {
            let held_before = before.pools.get(pool).map_or(0, |(held, _)| *held);
            ensure!(*slots < 0 || held <= slots || *held <= held_before, "{held} of {slots} slots of {pool} are held");
        }
        for dag in &self.dags {
            let count = |counts: &BTreeMap<String, i64>| counts.get(&dag.dag_id).copied().unwrap_or(0);
            let (runs, limit) = (count(&after.runs), i64::from(dag.max_active_runs));
            ensure!(
                runs <= limit || runs <= count(&before.runs),
                "{runs} of {limit} runs of {} are active",
                dag.dag_id
            );
            let (tasks, limit) = (count(&after.tasks), i64::from(dag.max_active_tasks));
            let is_paused = self.paused.contains(&dag.dag_id);
            ensure!(
                (tasks <= limit && !is_paused) || tasks <= count(&before.tasks),
                "{tasks} of {limit} tasks of {} are active, paused: {is_paused}",
                dag.dag_id
            );
        }
        if self.looks_closely() { self.check_past(before).await } else { Ok(()) }
    }

    /// What was decided since does not start before its past was a success.
    async fn check_past(&self, before: &Usage) -> anyhow::Result<()> {
        for run in self.runs(None, &[RunState::Running]).await? {
            let (graph, Some(date)) = (self.store.dag_graph(run.version_id).await?, run.logical_date) else { continue };
            for task in self.tasks(run.id).await? {
                let definition = &graph.dag.tasks[usize::try_from(task.task_index)?];
                let was_scheduled = matches!(task.state, TaskState::Scheduled | TaskState::Queued);
                if !definition.depends_on_past || !was_scheduled || before.decided.contains(&task.id) {
                    continue;
                }
                let runs = self.runs(Some(&run.dag_id), &[]).await?;
                let earlier = runs.iter().filter(|run| run.logical_date.is_some_and(|earlier| earlier < date));
                let Some(past) = earlier.max_by_key(|run| run.logical_date) else { continue };
                use TaskState as S;
                let of_task = self.tasks(past.id).await?.into_iter().filter(|past| past.task_id == task.task_id);
                let states: Vec<S> = of_task.map(|past| past.state).collect();
                let is_clear = states.iter().all(|state| matches!(state, S::Success | S::Skipped | S::Removed));
                let (dag, run) = (&run.dag_id, &run.run_id);
                ensure!(is_clear, "{} of {dag} {run} was scheduled, in {} it is {states:?}", task.task_id, past.run_id);
            }
        }
        Ok(())
    }
}
