//! DAGs for the cases.

use std::sync::Arc;
use std::time::Duration;

use flow_model::dag::{Catchup, Dag, Output, Overlap, Task, WeightRule};
use flow_model::operator::{Noop, Operator};
use flow_model::retry::RetryPolicy;
use flow_model::schedule::{Schedule, TimeRule};
use flow_model::{Timestamp, TriggerRule};
use flow_store::NewDagVersion;

/// A DAG without a schedule and without tasks.
pub fn dag(dag_id: &str) -> Dag {
    Dag {
        dag_id: dag_id.to_owned(),
        display_name: None,
        description: None,
        doc_md: None,
        owner: "airflow".to_owned(),
        tags: Vec::new(),
        schedule: Schedule::None,
        start_date: None,
        end_date: None,
        catchup: Catchup::None,
        max_active_runs: 16,
        max_active_tasks: 16,
        dagrun_timeout: None,
        is_paused_upon_creation: Some(false),
        params: Default::default(),
        files: Default::default(),
        tasks: Vec::new(),
    }
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
        task_id: task_id.to_owned(),
        display_name: None,
        doc_md: None,
        owner: "airflow".to_owned(),
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        trigger_rule: TriggerRule::AllSuccess,
        retry: RetryPolicy { retry_delay: Duration::from_secs(10), ..RetryPolicy::default() },
        execution_timeout: None,
        pool: "default_pool".to_owned(),
        pool_slots: 1,
        priority_weight: 1,
        weight_rule: WeightRule::Absolute,
        queue: "default".to_owned(),
        depends_on_past: false,
        wait_for_downstream: false,
        at_most_once: false,
        overlap: Overlap::Allow,
        env: Default::default(),
        cwd: None,
        output: Output::LastLine,
        params: Default::default(),
        operator: Operator::Noop(Noop {}),
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
