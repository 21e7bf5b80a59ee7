//! DAGs for the cases.

use std::sync::Arc;
use std::time::Duration;

use flow_model::Timestamp;
use flow_model::dag::{Catchup, Dag, Task, WeightRule};
use flow_model::operator::{Noop, Operator};
use flow_model::retry::RetryPolicy;
use flow_model::schedule::{Schedule, TimeRule};
use flow_store::NewDagVersion;

/// A DAG without a schedule and without tasks.
pub fn dag(dag_id: &str) -> Dag {
    Dag { catchup: Catchup::None, is_paused_upon_creation: Some(false), ..Dag::new(dag_id, Vec::new()) }
}

/// A DAG of the given tasks, each written as `name` or `name < upstream upstream`.
pub fn shaped(dag_id: &str, tasks: &[&str]) -> Dag {
    let mut dag = dag(dag_id);
    for line in tasks {
        let (name, upstream) = line.split_once('<').unwrap_or((line, ""));
        dag.tasks.push(task(name.trim(), &upstream.split_whitespace().collect::<Vec<_>>()));
    }
    dag
}

/// A task with Airflow's defaults.
pub fn task(task_id: &str, depends_on: &[&str]) -> Task {
    Task {
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        retry: RetryPolicy { retry_delay: Duration::from_secs(10), ..RetryPolicy::default() },
        weight_rule: WeightRule::Absolute,
        ..Task::new(task_id, Operator::Noop(Noop {}))
    }
}

/// The DAG with an interval schedule.
pub fn every(mut dag: Dag, seconds: u64, start: Timestamp, catchup: Catchup) -> Dag {
    dag.schedule = Schedule::Times {
        rules: vec![TimeRule::Every { interval: Duration::from_secs(seconds) }],
        data_intervals: false,
    };
    dag.start_date = Some(start);
    dag.catchup = catchup;
    dag
}

/// The DAG as it would come from its file.
pub fn new_version(dag: Dag) -> NewDagVersion {
    NewDagVersion {
        file_path: format!("{}.toml", dag.dag_id),
        source: format!("dag_id = \"{}\"", dag.dag_id),
        dag: Arc::new(dag),
        files: Vec::new(),
    }
}
