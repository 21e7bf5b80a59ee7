//! Random DAGs that between them use everything that scheduling depends on: when they run, and their versions. What is in
//! them is in `shape`.

use std::sync::Arc;
use std::time::Duration;

use flow_model::Timestamp;
use flow_model::dag::{Catchup, Dag};
use flow_model::schedule::{Schedule, TimeRule};
use flow_store::NewDagVersion;
use rand::prelude::*;

use crate::shape::random_shape;

/// Pools besides `default_pool`, and the slots that any of their tasks needs at most.
pub const POOLS: [&str; 2] = ["narrow", "wide"];
pub const POOL_SLOTS_MAX: i64 = 3;

/// No schedule ticks later than this after the start.
pub const SCHEDULES_END: Duration = Duration::from_secs(900);

/// A DAG, and the text of what is in it.
pub fn random_dag(rng: &mut StdRng, number: usize, start: Timestamp) -> (Dag, String) {
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
    let text = reshape(rng, &mut dag);
    (dag, text)
}

/// Gives the DAG other tasks and limits, as somebody who edits its file does: the new text. Its schedule stays.
pub fn reshape(rng: &mut StdRng, dag: &mut Dag) -> String {
    let (text, shape) = random_shape(rng, &dag.dag_id);
    *dag = Dag {
        schedule: dag.schedule.clone(),
        catchup: dag.catchup,
        is_paused_upon_creation: dag.is_paused_upon_creation,
        start_date: dag.start_date,
        end_date: dag.end_date,
        max_active_runs: rng.random_range(1..=4),
        max_active_tasks: rng.random_range(1..=6),
        dagrun_timeout: rng.random_bool(0.2).then(|| Duration::from_secs(rng.random_range(40..300))),
        ..shape
    };
    text
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
    let bounds = dag.bounds();
    let ticks = dag.schedule.upcoming(start - Duration::from_micros(1), bounds, 10_000);
    Some(ticks.into_iter().map(|tick| dag.schedule.data_interval(tick, bounds).0).collect())
}
