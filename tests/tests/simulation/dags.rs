//! Random DAGs that between them use everything that scheduling depends on.

use std::sync::Arc;
use std::time::Duration;

use flow_model::dag::{Catchup, Dag, Task, WeightRule};
use flow_model::operator::{Noop, Operator};
use flow_model::retry::RetryPolicy;
use flow_model::schedule::{Bounds, Schedule, TimeRule};
use flow_model::{Timestamp, TriggerRule};
use flow_store::NewDagVersion;
use rand::prelude::*;

/// Pools besides `default_pool`, and the slots that any of their tasks needs at most.
pub const POOLS: [&str; 2] = ["narrow", "wide"];
pub const POOL_SLOTS_MAX: i64 = 3;

/// No schedule ticks later than this after the start.
pub const SCHEDULES_END: Duration = Duration::from_secs(900);

pub fn random_dag(rng: &mut StdRng, number: usize, start: Timestamp) -> Dag {
    let mut dag = Dag {
        schedule: random_schedule(rng),
        catchup: *Catchup::ALL.choose(rng).expect("there are some"),
        is_paused_upon_creation: Some(rng.random_bool(0.1)),
        ..Dag::new(format!("dag{number}"), Vec::new())
    };
    if dag.schedule != Schedule::None {
        if rng.random_bool(0.8) {
            dag.start_date = Some(start - Duration::from_secs(rng.random_range(0..600)));
        }
        // Without a pause between its runs a DAG has very many of them.
        let end_max = if dag.schedule == Schedule::Continuous { 400 } else { SCHEDULES_END.as_secs() };
        dag.end_date = Some(start + Duration::from_secs(rng.random_range(300..=end_max)));
    }
    reshape(rng, &mut dag);
    dag
}

/// Gives the DAG other tasks and limits, as somebody who edits its file does. Its schedule stays.
pub fn reshape(rng: &mut StdRng, dag: &mut Dag) {
    dag.max_active_runs = rng.random_range(1..=4);
    dag.max_active_tasks = rng.random_range(1..=5);
    dag.dagrun_timeout = rng.random_bool(0.2).then(|| Duration::from_secs(rng.random_range(40..300)));
    let looks_back = rng.random_bool(0.4);
    let edges = rng.random_range(0.1..0.7);
    let rules = rng.random_range(0.0..0.8);
    dag.tasks =
        (0..rng.random_range(0..=8_u32)).map(|index| random_task(rng, index, edges, rules, looks_back)).collect();
}

fn random_task(rng: &mut StdRng, index: u32, edges: f64, rules: f64, looks_back: bool) -> Task {
    let trigger_rule = if rng.random_bool(rules) {
        *TriggerRule::ALL.choose(rng).expect("there are some")
    } else {
        TriggerRule::AllSuccess
    };
    let depends_on_past = looks_back && rng.random_bool(0.5);
    let pool = if rng.random_bool(0.5) { "default_pool" } else { POOLS.choose(rng).expect("there are some") };
    Task {
        depends_on: (0..index).filter(|_| rng.random_bool(edges)).map(|upstream| format!("t{upstream}")).collect(),
        trigger_rule,
        retry: RetryPolicy {
            retries: rng.random_range(0..=2),
            retry_delay: Duration::from_secs(rng.random_range(0..30)),
            retry_backoff_factor: *[1.0, 2.0].choose(rng).expect("there are some"),
            ..RetryPolicy::default()
        },
        pool: pool.to_owned(),
        pool_slots: rng.random_range(1..=u32::try_from(POOL_SLOTS_MAX).expect("it is small")),
        priority_weight: rng.random_range(0..5),
        weight_rule: *WeightRule::ALL.choose(rng).expect("there are some"),
        depends_on_past,
        wait_for_downstream: depends_on_past && rng.random_bool(0.4),
        at_most_once: rng.random_bool(0.15),
        ..Task::new(format!("t{index}"), Operator::Noop(Noop {}))
    }
}

fn random_schedule(rng: &mut StdRng) -> Schedule {
    let rule = match rng.random_range(0..20) {
        0..=7 => return Schedule::None,
        8 => return Schedule::Once,
        9 => return Schedule::Continuous,
        10..=12 => TimeRule::Cron { expression: "*/3 * * * *".to_owned(), timezone: "UTC".to_owned() },
        _ => TimeRule::Every { interval: Duration::from_secs(*[60, 90, 200].choose(rng).expect("there are some")) },
    };
    Schedule::Times { rules: vec![rule], data_intervals: rng.random_bool(0.3) }
}

/// The DAG as it would come from its file.
pub fn new_version(dag: &Dag) -> NewDagVersion {
    NewDagVersion {
        file_path: format!("{}.toml", dag.dag_id),
        source: format!("dag_id = \"{}\"", dag.dag_id),
        dag: Arc::new(dag.clone()),
        files: Vec::new(),
    }
}

/// All logical dates that the DAG's schedule has, from its start to its end; `None` where they follow from other things.
pub fn logical_dates(dag: &Dag) -> Option<Vec<Timestamp>> {
    let (Schedule::Times { .. }, Some(start)) = (&dag.schedule, dag.start_date) else { return None };
    let bounds = Bounds { start: dag.start_date, end: dag.end_date };
    let ticks = dag.schedule.upcoming(start - Duration::from_micros(1), bounds, 10_000);
    Some(ticks.into_iter().map(|tick| dag.schedule.data_interval(tick, bounds).0).collect())
}
