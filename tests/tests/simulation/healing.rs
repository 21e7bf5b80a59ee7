//! The end of all faults, and what must be true some time after it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{bail, ensure};
use flow_model::dag::Catchup;
use flow_model::{RunState, RunType, TaskState};
use flow_store::{Mark, MarkRequest, Selection};
use rand::prelude::*;

use crate::attempt::Ending;
use crate::dags::{POOL_SLOTS_MAX, POOLS, SCHEDULES_END, logical_dates};
use crate::world::{PRINCIPAL, World};

/// Rounds in which everything must have come to its end.
const ROUNDS_MAX: u32 = 1_000;

/// Rounds in which nothing moves before somebody looks why: longer than any delay.
const QUIET_ROUNDS_MAX: u32 = 10;

/// Rounds without a move after which nothing comes any more, once all runs are over: callbacks are tried again after half a
/// minute at most.
const LAST_ROUNDS: u32 = 3;

/// Between two rounds: a little less than a lease.
const PAUSE: Duration = Duration::from_secs(25);

impl World {
    /// Ends all faults and lets everything come to its end.
    pub async fn heal(&mut self) -> anyhow::Result<()> {
        self.tell("nobody", "does anything wrong any more");
        self.network.heal();
        self.ghosts.clear();
        // What is late arrives at last.
        while !(self.late_firings.is_empty() && self.late_callbacks.is_empty()) {
            self.late_firing().await?;
            self.late_delivery().await?;
            self.late_firings.truncate(20);
        }
        for dag in self.dags.clone() {
            self.set_paused(&dag.dag_id, false).await?;
        }
        for pool in POOLS {
            self.store.set_pool(self.now(), pool, POOL_SLOTS_MAX + 1, None, PRINCIPAL).await?;
        }
        for which in 0..self.workers.len() {
            self.workers[which].paused_until = self.now();
            self.retire(which).await?;
            self.register(which).await?;
        }
        for which in 0..self.triggerers.len() {
            self.triggerers[which].paused_until = self.now();
            self.register_triggerer(which).await?;
        }
        self.come_to_the_end().await
    }

    /// Everybody works, until everything is over.
    pub async fn come_to_the_end(&mut self) -> anyhow::Result<()> {
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            if self.play().await? {
                quiet = 0;
            } else {
                quiet += 1;
            }
            let is_scheduling_over = self.now() > self.started + SCHEDULES_END;
            if is_scheduling_over && quiet >= LAST_ROUNDS && self.open_runs().await?.is_empty() {
                return Ok(());
            }
            if is_scheduling_over && quiet > QUIET_ROUNDS_MAX {
                self.unblock().await?;
                quiet = 0;
            }
            self.pass(PAUSE);
        }
        bail!("it does not end: {}", self.open_tasks().await?)
    }

    /// Schedulers and workers do their work until nothing moves; whether anything has.
    async fn play(&mut self) -> anyhow::Result<bool> {
        let mut has_moved = false;
        let (rounds, now) = (&self.schedulers[0], self.now());
        rounds.time_out_runs(now).await?;
        rounds.expire_triggers(now).await?;
        rounds.expire_questions(now).await?;
        rounds.rescue(now, Duration::from_secs(5)).await?;
        rounds.sweep_outbox(now, Duration::ZERO).await?;
        rounds.audit_queue(now, Duration::from_secs(5)).await?;
        // Every round is looked at closely.
        self.steps = 0;
        let before = self.usage().await?;
        has_moved |= self.schedulers[0].tick(now, true).await?.moves > 0;
        self.check_limits(&before).await?;
        for _ in 0..2_000 {
            let now = self.now();
            let mut moves = 0;
            for round in 0.. {
                ensure!(round < 100, "the schedulers never come to rest");
                let report = self.schedulers[round % 2].tick(now, true).await?;
                moves += report.moves;
                if report.moves == 0 && !report.is_unfinished {
                    break;
                }
            }
            for which in 0..self.workers.len() {
                self.heartbeat(which).await?;
                if self.workers[which].process.is_none() {
                    self.register(which).await?;
                }
                self.claim_hinted(which).await?;
                self.claim_polled(which).await?;
                self.end_attempts(which);
                moves += self.workers[which].attempts.len();
                self.report_ended(which).await?;
                moves += self.take_callbacks(which).await?;
                self.deliver(which).await?;
                moves += self.workers[which].callbacks.len();
            }
            moves += self.fire_everything().await? + self.answer_everything().await?;
            if moves == 0 {
                return Ok(has_moved);
            }
            self.tell("everybody", &format!("{moves} moves"));
            has_moved = true;
            self.clock.advance(Duration::from_secs(1));
        }
        bail!("it never comes to rest: {}", self.open_tasks().await?)
    }

    /// What runs ends now: at first by chance, as always, later with success, so that there is an end.
    fn end_attempts(&mut self, which: usize) {
        let (now, rng) = (self.now(), &mut self.rng);
        let share = if now < self.started + SCHEDULES_END { 0.2 } else { 0.6 };
        for attempt in &mut self.workers[which].attempts {
            attempt.ends_at = now;
            if rng.random_bool(share) {
                attempt.ending = Ending::Success;
            }
        }
    }

    /// Only a past that has failed, or that cannot start, may hold up runs for ever: somebody marks it.
    async fn unblock(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let mut has_marked = false;
        let stuck: BTreeSet<String> = self.open_runs().await?.into_iter().map(|run| run.dag_id).collect();
        let mut is_time_to_wait = false;
        for dag_id in &stuck {
            let (mut waits_for_past, mut waits_for_time) = (false, false);
            for run in self.runs(Some(dag_id), &[RunState::Running]).await? {
                let tasks = self.tasks(run.id).await?;
                waits_for_past |= tasks.iter().any(|task| task.waits_for_past && task.state == TaskState::None);
                // Delays that double can become long.
                waits_for_time |= tasks.iter().any(|task| task.not_before.is_some_and(|at| at > now));
            }
            is_time_to_wait |= waits_for_time;
            if waits_for_time {
                continue;
            }
            ensure!(waits_for_past, "nothing moves, and no past is to blame: {}", self.open_tasks().await?);
            for run in self.runs(Some(dag_id), &[]).await? {
                if run.state == RunState::Queued {
                    self.tell("person", &format!("passes {dag_id} {}", run.run_id));
                    self.store.mark_run(now, run.id, RunState::Success, PRINCIPAL).await?;
                    has_marked = true;
                    continue;
                }
                let tasks = self.tasks(run.id).await?;
                let failed = tasks.iter().filter(|task| task.state != TaskState::Success && task.state.is_finished());
                let task_ids: Vec<String> = failed.map(|task| task.task_id.clone()).collect();
                if !task_ids.is_empty() {
                    self.tell("person", &format!("marks {dag_id} {} {task_ids:?}", run.run_id));
                    let tasks = Selection { task_ids, upstream: false, downstream: false, ..Selection::default() };
                    let request =
                        MarkRequest { run: run.id, tasks, to: Mark::Success, principal: PRINCIPAL.to_owned() };
                    self.store.mark_tasks(now, &request, false).await?;
                    has_marked = true;
                }
            }
        }
        ensure!(has_marked || is_time_to_wait, "nothing moves: {}", self.open_tasks().await?);
        Ok(())
    }

    async fn open_tasks(&self) -> anyhow::Result<String> {
        let mut told = Vec::new();
        for run in self.open_runs().await? {
            told.push(format!("{} {} {} since {:?}", run.dag_id, run.run_id, run.state, run.started_at));
            for task in self.tasks(run.id).await? {
                let past = if task.waits_for_past { " waits for the past" } else { "" };
                let (id, index, state, reason) = (&task.task_id, task.map_index, task.state, &task.reason);
                told.push(format!("  {id}[{index}] {state} {reason:?}{past} {:?}", task.upstream()));
            }
        }
        Ok(told.join("\n"))
    }

    /// What must hold at any time.
    pub async fn check_history(&self) -> anyhow::Result<()> {
        let repaired = self.store.repair_counts(self.now() + Duration::from_secs(3_600)).await?;
        ensure!(repaired == 0, "{repaired} runs had wrong counts");
        // Hints that dead schedulers have left may wait for as long as the others are busy elsewhere.
        let report = self.store.audit(None, self.now()).await?;
        let serious: Vec<_> = report.violations.iter().filter(|violation| violation.invariant != "I20").collect();
        ensure!(serious.is_empty(), "the audit finds {serious:#?}");
        Ok(())
    }

    /// What must hold when everything is over.
    pub async fn check_end(&self) -> anyhow::Result<()> {
        self.check_history().await?;
        let report = self.store.audit(None, self.now()).await?;
        ensure!(report.violations.is_empty(), "the audit finds {:#?}", report.violations);
        let live = self.store.live_counts().await?;
        ensure!(live.task_instances.is_empty() && live.runs.iter().all(|(_, count)| *count == 0), "{live:?} are live");
        for pool in self.store.pools_in_use().await? {
            ensure!(pool.running_slots + pool.queued_slots == 0, "{pool:?} is in use");
        }
        ensure!(self.store.count_open_questions().await? == 0, "somebody is still asked");
        for run in self.runs(None, &[]).await? {
            for callback in self.store.list_callbacks(run.id, None, 1_000).await? {
                let is_over = matches!(callback.state.as_str(), "delivered" | "failed");
                ensure!(is_over, "{} {} is never done with {callback:?}", run.dag_id, run.run_id);
            }
        }
        let outbox = self.store.stale_outbox(self.now() + Duration::from_secs(1), 10).await?;
        ensure!(outbox.is_empty(), "{outbox:?} were not published");
        for dag in &self.dags {
            let Some(expected) = logical_dates(dag) else { continue };
            let runs = self.runs(Some(&dag.dag_id), &[]).await?;
            let scheduled = runs.iter().filter(|run| run.run_type == RunType::Scheduled);
            let real: Vec<_> = scheduled.filter_map(|run| run.logical_date).collect();
            ensure!(real.is_sorted_by(|a, b| a < b), "logical dates of {} are not in order: {real:?}", dag.dag_id);
            if dag.catchup == Catchup::All {
                ensure!(real == expected, "logical dates of {} are {real:?}, not {expected:?}", dag.dag_id);
            } else {
                ensure!(
                    real.iter().all(|date| expected.contains(date)),
                    "{} has a date too many: {real:?}",
                    dag.dag_id
                );
            }
        }
        Ok(())
    }
}
