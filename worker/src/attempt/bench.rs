//! An attempt of one task on a bench, for tests: no scheduler, no database with rows, no warden.

use std::sync::Arc;

use flow_model::graph::DagGraph;
use flow_model::log::{Stream, lines};
use flow_model::operator::Operator;
use flow_model::state::RunType;
use flow_model::{ClaimId, Dag, DagRunKey, DagVersionKey, Epoch, Task, TaskInstanceKey, Timestamp};
use flow_secrets::{Secrets, Sources};
use flow_store::{OpenOptions, Outcome, Store, WorkOrder};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{Stop, Workshop, run};
use crate::ArtifactLimits;
use crate::environment::TaskEnvironment;
use crate::log::AttemptLog;
use crate::operators::HttpClient;
use crate::warden::WardenKeeper;

/// A task that can be run.
pub(crate) struct Bench {
    /// Everything that the attempt may put somewhere.
    pub folder: tempfile::TempDir,
    /// The task; tests change what they want.
    pub task: Task,
    pub conf: Map<String, Value>,
    pub claim: i64,
    stop: watch::Sender<Option<Stop>>,
}

/// How an attempt ended.
pub(crate) struct Told {
    pub outcome: Option<Outcome>,
    /// What stands in the log, one line each, with the stream in front.
    pub log: String,
}

impl Told {
    pub fn outcome(&self) -> &Outcome {
        self.outcome.as_ref().expect("the attempt reports")
    }

    pub fn kind(&self) -> &flow_store::OutcomeKind {
        &self.outcome().kind
    }

    pub fn xcoms(&self) -> Vec<(&str, &str)> {
        self.outcome().xcoms.iter().map(|xcom| (xcom.key.as_str(), xcom.value.as_str())).collect()
    }
}

impl Bench {
    pub fn new(operator: &Value) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let operator: Operator = serde_json::from_value(operator.clone()).unwrap();
        let task = Task::new("load", operator);
        let folder = tempfile::tempdir().unwrap();
        Bench { folder, task, conf: Map::new(), claim: 7, stop: watch::channel(None).0 }
    }

    /// Tells the attempt to stop.
    pub fn stop(&self, why: Stop) {
        self.stop.send_replace(Some(why));
    }

    pub async fn run(&self) -> Told {
        let order = self.order();
        let log = Arc::new(AttemptLog::new(&order));
        let stop = self.stop.subscribe();
        let outcome = Box::pin(run(&self.workshop().await, order, Arc::clone(&log), stop)).await;
        let mut pieces = log.finish(Timestamp::UNIX_EPOCH).0;
        pieces.splice(0..0, outcome.iter().flat_map(|outcome| outcome.log.clone()));
        let log = pieces.iter().flat_map(|piece| lines(&piece.content)).map(|line| {
            let mark = match line.stream {
                Stream::Stdout => "1",
                Stream::Stderr => "2",
                Stream::System => "*",
            };
            format!("{mark} {}\n", line.text)
        });
        Told { log: log.collect(), outcome }
    }

    pub async fn workshop(&self) -> Workshop {
        let url = format!("sqlite:{}", self.folder.path().join("flow.db").display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        let env = |name: &str| {
            (name == "FLOW_CONN_REGISTRY").then(|| "docker://ada:hunter2-hunter2@registry.example.org:5000".to_owned())
        };
        Workshop {
            secrets: Secrets::new(store.clone(), Sources { env: Some(Box::new(env)), ..Sources::default() }),
            store,
            wardens: WardenKeeper::new(Vec::new(), None),
            http: HttpClient::default(),
            sql: flow_sql::SqlClient::default(),
            place: std::sync::Arc::default(),
            environment: TaskEnvironment::inherited(),
            run_as: None,
            plugins_folder: None,
            environments: super::EnvironmentOptions {
                folder: self.folder.path().join("environments"),
                max_age: std::time::Duration::from_secs(60),
                bytes_max: 1 << 20,
                build_timeout: std::time::Duration::from_secs(60),
            },
            folder: self.folder.path().join("attempts"),
            kill_grace: std::time::Duration::from_secs(5),
            artifact_limits: ArtifactLimits { files: 10, file_bytes: 1 << 20, total_bytes: 1 << 20 },
        }
    }

    pub fn order(&self) -> WorkOrder {
        let dag = Dag::new("sales", vec![self.task.clone()]);
        WorkOrder {
            task_instance: TaskInstanceKey(11),
            epoch: Epoch(1),
            claim: ClaimId(self.claim),
            run: DagRunKey(1),
            run_id: "manual__1".to_owned(),
            run_type: RunType::Manual,
            graph: Arc::new(DagGraph::new(DagVersionKey(1), dag)),
            task_index: 0,
            map_index: -1,
            map_values: Map::new(),
            scheduled_at: Timestamp::UNIX_EPOCH,
            try_number: 2,
            max_tries: 3,
            logical_date: None,
            data_interval: None,
            run_after: Timestamp::UNIX_EPOCH,
            run_started_at: None,
            conf: self.conf.clone(),
            try_started_at: Timestamp::UNIX_EPOCH,
            is_continued: false,
            resume: None,
            log_before: flow_store::LogBefore::default(),
        }
    }
}

/// The text of a failure's kind and of what people read about it.
pub(crate) fn shown(told: &Told) -> String {
    let outcome = told.outcome();
    json!({ "kind": format!("{:?}", outcome.kind).split(' ').next(), "code": outcome.exit_code, "reason": outcome.reason })
        .to_string()
}
