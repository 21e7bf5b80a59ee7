//! A random program of everything that schedulers, workers and people do, and a database that it runs on.

use std::time::Duration;

use flow_model::dag::Catchup;
use flow_model::{Dag, DagRunKey, RunState, Task, Timestamp, TriggerRule};
use flow_store::{
    ClearRequest, Heartbeat, Mark, MarkRequest, NewRun, NewXCom, OutcomeKind, Selection, StoreError, WorkOrder,
};

use crate::bench::{Bench, LEASE, at, new_run, outcome, task_id};
use crate::dags::{dag, every, shaped, task};

/// SplitMix64: the same numbers everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True once in so many times.
    pub fn one_of(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

pub const DAGS: [&str; 5] = ["diamond", "rules", "past", "narrow", "clock"];

/// One of the DAGs, in one of several variants.
pub fn world_dag(which: usize, variant: u64) -> Dag {
    let mut dag = match DAGS[which] {
        "diamond" => shaped("diamond", &["a", "b < a", "c < a", "d < b c", "e < d"]),
        "rules" => {
            let mut dag = shaped("rules", &["u1", "u2", "u3"]);
            for (n, &rule) in TriggerRule::ALL.iter().enumerate() {
                let id = format!("r{n:02}");
                dag.tasks.push(Task { trigger_rule: rule, ..task(&id, &["u1", "u2", "u3"]) });
            }
            dag
        }
        "past" => {
            let mut first = task("a", &[]);
            first.depends_on_past = true;
            first.wait_for_downstream = variant % 2 == 1;
            Dag { tasks: vec![first, task("b", &["a"])], ..dag("past") }
        }
        "narrow" => {
            let tasks = (0..6).map(|n| Task {
                pool: "narrow".to_owned(),
                pool_slots: 1 + n % 3,
                priority_weight: i64::from(n),
                ..task(&format!("n{n}"), &[])
            });
            Dag { tasks: tasks.collect(), ..dag("narrow") }
        }
        _ => {
            let dag = shaped("clock", &["tick", "tock < tick"]);
            let catchup = Catchup::ALL[variant as usize % 3];
            every(dag, 120, at("2026-01-01T00:01:00Z"), catchup)
        }
    };
    dag.max_active_runs = 2 + variant as u32 % 3;
    dag.max_active_tasks = 3 + variant as u32 % 4;
    if which == 0 && variant % 3 == 1 {
        dag.dagrun_timeout = Some(Duration::from_secs(300));
    }
    for (n, task) in dag.tasks.iter_mut().enumerate() {
        task.retry.retries = n as u32 % 3;
        task.at_most_once = variant % 5 == 4 && n == 1;
    }
    dag
}

/// A database, and what the program remembers about it.
pub struct World {
    pub bench: Bench,
    held: Vec<WorkOrder>,
    lost: Vec<WorkOrder>,
    runs: Vec<DagRunKey>,
}

impl World {
    pub async fn new(bench: Bench) -> World {
        bench.store.set_pool(bench.now(), "narrow", 4, None, "someone").await.unwrap();
        for which in 0..DAGS.len() {
            bench.publish(world_dag(which, 0)).await;
        }
        World { bench, held: Vec::new(), lost: Vec::new(), runs: Vec::new() }
    }

    /// Does one thing; what came of it, in words that do not depend on the database.
    pub async fn step(&mut self, random: &mut Random) -> String {
        let (what, a, b) = (random.below(100), random.next(), random.next());
        let now = self.bench.now();
        match what {
            0..=29 => {
                let due = self.bench.check_dags().await;
                let done = self.bench.advance().await;
                let mut finished: Vec<String> = done.finished.iter().map(|(_, state)| state.to_string()).collect();
                finished.sort();
                let (changes, decided, queued) = (done.changes, done.decided, done.queued.len());
                format!("tick: {due:?} {changes} {} {decided} {queued} {finished:?}", done.retries_due)
            }
            30..=47 => self.claim(1 + a as usize % 5).await,
            48..=67 => self.report(a, b, now).await,
            68..=69 => self.report_again(a, now).await,
            70..=75 => {
                self.bench.pass(1 + a % 15);
                format!("now {}", self.bench.now())
            }
            76..=82 => self.trigger(a, b, now).await,
            83..=84 => self.clear(a, b, now).await,
            85..=86 => self.mark(a, b, now).await,
            87 => self.end_run(a, b, now).await,
            88..=89 => {
                let name = DAGS[a as usize % DAGS.len()];
                let result = self.bench.store.set_dag_paused(now, name, b.is_multiple_of(3), "someone").await;
                format!("pause {name}: {}", said(result))
            }
            90..=91 => {
                let which = a as usize % DAGS.len();
                self.bench.publish(world_dag(which, b % 16)).await;
                format!("publish {}", DAGS[which])
            }
            92 => {
                let slots = 3 + (a % 3) as i64;
                self.bench.store.set_pool(now, "narrow", slots, None, "someone").await.unwrap();
                format!("pool {slots}")
            }
            93..=94 => {
                self.lost.append(&mut self.held);
                self.bench.worker = self.bench.register("worker-1").await;
                "restart".to_owned()
            }
            95 => self.lose_lease().await,
            96..=97 => {
                let runs = self.bench.store.time_out_runs(now, "scheduler-1").await.unwrap();
                format!("{} runs timed out", runs.len())
            }
            _ => match self.bench.store.heartbeat(now, self.bench.worker, LEASE).await.unwrap() {
                Heartbeat::Alive { held } => format!("holds {}", held.len()),
                Heartbeat::Dead => "dead".to_owned(),
            },
        }
    }

    async fn claim(&mut self, limit: usize) -> String {
        let mut orders = self.bench.claim_some(limit).await;
        orders.sort_by_key(|order| order.task_instance);
        let names: Vec<String> = orders
            .iter()
            .map(|order| format!("{} {} {}/{}", order.run_id, task_id(order), order.try_number, order.max_tries))
            .collect();
        self.held.extend(orders);
        format!("claim: {}", names.join(", "))
    }

    async fn report(&mut self, a: u64, b: u64, now: Timestamp) -> String {
        if self.held.is_empty() {
            return "nothing to report".to_owned();
        }
        let order = self.held.swap_remove(a as usize % self.held.len());
        let kind = match b % 10 {
            0..=5 => OutcomeKind::Success,
            6 => OutcomeKind::Skipped,
            7 => OutcomeKind::Failed { retry_at: now + Duration::from_secs(10) },
            8 => OutcomeKind::FailedForGood,
            _ => OutcomeKind::Released,
        };
        let mut report = outcome(&order, kind.clone(), now);
        report.xcoms = vec![NewXCom { key: "return_value".to_owned(), value: b.to_string() }];
        let recorded = self.bench.record(report).await;
        let text = format!("report {} {}: {kind:?} {recorded:?}", order.run_id, task_id(&order));
        self.lost.push(order);
        text
    }

    async fn report_again(&mut self, a: u64, now: Timestamp) -> String {
        if self.lost.is_empty() {
            return "nothing to repeat".to_owned();
        }
        let order = &self.lost[a as usize % self.lost.len()];
        let recorded = self.bench.record(outcome(order, OutcomeKind::Success, now)).await;
        format!("again {} {}: {recorded:?}", order.run_id, task_id(order))
    }

    async fn trigger(&mut self, a: u64, b: u64, now: Timestamp) -> String {
        let name = DAGS[a as usize % DAGS.len()];
        let run_id = format!("run-{}", self.runs.len());
        let run = NewRun {
            logical_date: b.is_multiple_of(2).then_some(now),
            run_after: now + Duration::from_secs(b % 3),
            ..new_run(name, &run_id, now)
        };
        let created = self.bench.store.create_run(now, &run).await.unwrap();
        self.runs.push(created.key);
        format!("trigger {name} {run_id} paused={}", created.dag_is_paused)
    }

    fn choose(&self, a: u64) -> Option<DagRunKey> {
        if self.runs.is_empty() { None } else { Some(self.runs[a as usize % self.runs.len()]) }
    }

    async fn clear(&mut self, a: u64, b: u64, now: Timestamp) -> String {
        let Some(run) = self.choose(a) else { return "nothing to clear".to_owned() };
        let tasks = Selection {
            task_ids: some_task(b),
            upstream: b % 4 == 1,
            downstream: b.is_multiple_of(2),
            ..Selection::default()
        };
        let request = ClearRequest { run, tasks, only_failed: b.is_multiple_of(5), principal: "someone".to_owned() };
        let result = self.bench.store.clear_tasks(now, &request, b.is_multiple_of(7)).await;
        format!("clear: {}", said(result.map(|affected| affected.tasks.len())))
    }

    async fn mark(&mut self, a: u64, b: u64, now: Timestamp) -> String {
        let Some(run) = self.choose(a) else { return "nothing to mark".to_owned() };
        let to = [Mark::Success, Mark::Failed, Mark::Skipped][b as usize % 3];
        let tasks = Selection {
            task_ids: some_task(b),
            upstream: false,
            downstream: b.is_multiple_of(4),
            ..Selection::default()
        };
        let request = MarkRequest { run, tasks, to, principal: "someone".to_owned() };
        let result = self.bench.store.mark_tasks(now, &request, false).await;
        format!("mark {to:?}: {}", said(result.map(|affected| affected.tasks.len())))
    }

    async fn end_run(&mut self, a: u64, b: u64, now: Timestamp) -> String {
        let Some(run) = self.choose(a) else { return "nothing to end".to_owned() };
        let store = &self.bench.store;
        let result = match b % 3 {
            0 => store.cancel_run(now, run, "someone").await,
            1 => store.mark_run(now, run, RunState::Success, "someone").await,
            _ => store.mark_run(now, run, RunState::Failed, "someone").await,
        };
        format!("end: {}", said(result.map(|affected| affected.tasks.len())))
    }

    async fn lose_lease(&mut self) -> String {
        self.lost.append(&mut self.held);
        self.bench.pass(36);
        let now = self.bench.now();
        let rescued = self.bench.store.rescue_lost(now, now - Duration::from_secs(5), "scheduler-1").await.unwrap();
        self.bench.worker = self.bench.register("worker-1").await;
        format!("{} rescued", rescued.len())
    }

    /// Lets everything come to its end, and checks that it does.
    pub async fn finish(&mut self) {
        self.bench.store.retire_dags(self.bench.now(), &["clock.toml".to_owned()]).await.unwrap();
        for name in DAGS {
            self.bench.store.set_dag_paused(self.bench.now(), name, false, "someone").await.unwrap();
        }
        self.bench.store.set_pool(self.bench.now(), "narrow", 5, None, "someone").await.unwrap();
        self.bench.worker = self.bench.register("worker-1").await;
        for _ in 0..40 {
            self.bench.pass(30);
            self.bench.run_to_end(&[]).await;
        }
        // Only a failed past may hold up a run.
        let open = "select dag_id || ' ' || run_id || ' ' || state from dag_run where state in ('queued', 'running')";
        let open = self.bench.raw.texts(open).await;
        assert!(open.iter().all(|run| run.starts_with("past ")), "{open:?}\n{:#?}", self.bench.states().await);
        self.bench.assert_sound().await;
    }

    /// The whole history, without the database's keys.
    pub async fn history(&self) -> Vec<String> {
        let mut history = self
            .bench
            .raw
            .texts(
                "select r.dag_id || ' ' || r.run_id || ' ' || t.task_id || ' ' || e.event_no || ' '
                    || coalesce(e.from_state, '-') || ' ' || e.to_state || ' epoch ' || e.epoch || ' try '
                    || e.try_number || ' ' || e.actor || ' ' || coalesce(e.reason, '-') || ' ' || e.at || ' claim '
                    || coalesce(cast(e.claim_id as text), '-')
                 from task_instance_event e join task_instance t on t.id = e.task_instance_id
                 join dag_run r on r.id = e.dag_run_id",
            )
            .await;
        history.extend(
            self.bench
                .raw
                .texts(
                    "select r.dag_id || ' ' || r.run_id || ' ' || e.event_no || ' ' || coalesce(e.from_state, '-')
                        || ' ' || e.to_state || ' ' || e.actor || ' ' || coalesce(e.reason, '-') || ' ' || e.at
                     from dag_run_event e join dag_run r on r.id = e.dag_run_id",
                )
                .await,
        );
        history.extend(
            self.bench
                .raw
                .texts(
                    "select r.run_id || ' ' || x.task_id || ' ' || x.key || ' ' || x.value || ' ' || x.epoch from xcom x
                     join dag_run r on r.id = x.dag_run_id",
                )
                .await,
        );
        history.sort();
        history
    }
}

/// A task that some of the DAGs have; none means all.
fn some_task(b: u64) -> Vec<String> {
    match (b >> 8) % 6 {
        0 => Vec::new(),
        1 | 2 => vec!["a".to_owned()],
        3 => vec!["u2".to_owned()],
        4 => vec!["n3".to_owned()],
        _ => vec!["tick".to_owned()],
    }
}

fn said<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::NotFound { .. }) => "not found".to_owned(),
        Err(StoreError::Conflict(why)) => why,
        Err(other) => panic!("{other:?}"),
    }
}
