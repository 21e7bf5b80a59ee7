//! A site with one small DAG, and hands that do what scheduler and worker would do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use flow_model::decide::plan::DagPlan;
use flow_model::log::{Stream, write_line};
use flow_model::{ClaimId, Dag, Incarnation, ProcessId, Timestamp};
use flow_queue::Queue;
use flow_secrets::{Keyring, Secrets, Sources};
use flow_store::{
    AdvanceLimits, ClaimRequest, LogAppend, ManualClock, NewDagVersion, NewProcess, NewXCom, OpenOptions, Outcome,
    OutcomeKind, ProcessKind, Recorded, Store, WorkOrder,
};
use flow_web::{WebOptions, WebState};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Declares each test once and runs it on SQLite and on PostgreSQL.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(crate::fixture::Site::on_sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test(crate::fixture::Site::on_postgres().await).await; })+
        }
    };
}
pub(crate) use on_both_databases;

/// An answer for a snapshot.
pub fn pretty(answer: &serde_json::Value) -> String {
    serde_json::to_string_pretty(answer).unwrap()
}

/// The variable `orders_hook`.
pub(crate) const HOOK_SECRET: &str = "a secret of the shop's";

/// Secrets with a key, one variable of the environment, and otherwise no source but the store.
pub(crate) fn secrets(store: &Store) -> Secrets {
    let keys = Keyring::from_text("a test", Keyring::generate().expose()).unwrap();
    Secrets::new(
        store.clone(),
        Sources {
            env: Some(Box::new(|name| (name == "FLOW_VAR_ORDERS_HOOK").then(|| HOOK_SECRET.to_owned()))),
            keys,
            ..Sources::default()
        },
    )
}

pub(crate) struct Site {
    pub(crate) router: Router,
    /// What is served to operators only.
    pub(crate) probes: Router,
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    pub(crate) token: String,
    pub(crate) queue: Queue,
    pub(crate) secrets: Secrets,
    worker: ProcessId,
    _folder: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) const START: &str = "2026-01-01T06:00:00Z";

impl Site {
    /// What a web role of this site works with.
    pub(crate) fn state(&self, options: WebOptions) -> WebState {
        WebState {
            store: self.store.clone(),
            queue: self.queue.clone(),
            secrets: self.secrets.clone(),
            metrics: metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle(),
            version: "0.1.0",
            dags_folder: None,
            options,
        }
    }

    pub(crate) async fn on_sqlite() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("flow.db").display());
        Site::open(&url, folder).await
    }

    pub(crate) async fn on_postgres() -> Site {
        let url =
            tokio::task::spawn_blocking(|| flow_testbed::shared_postgres().create_database().unwrap()).await.unwrap();
        Site::open(&url, tempfile::tempdir().unwrap()).await
    }

    async fn open(url: &str, folder: tempfile::TempDir) -> Site {
        let clock = ManualClock::new(START.parse().unwrap());
        let options = OpenOptions { clock: Some(clock.clone()), connections_max: 4, ..OpenOptions::default() };
        let store = Store::open(url, options).await.unwrap();
        store.migrate().await.unwrap();
        let token = store.create_token(store.now(), "tester", None).await.unwrap();
        let queue = Queue::in_process();
        let new = NewProcess {
            kind: ProcessKind::Worker,
            slot: "worker-1".to_owned(),
            host: "alpha".to_owned(),
            pid: 17,
            incarnation: Incarnation(1),
            version: "0.1.0".to_owned(),
            queues: vec!["default".to_owned()],
            concurrency: Some(4),
            lease: Duration::from_secs(3_600),
        };
        let (worker, _) = store.register_process(store.now(), &new).await.unwrap();
        let scheduler = NewProcess {
            kind: ProcessKind::Scheduler,
            slot: "scheduler-1".to_owned(),
            queues: Vec::new(),
            concurrency: None,
            ..new
        };
        store.register_process(store.now(), &scheduler).await.unwrap();
        let secrets = secrets(&store);
        let (router, probes) = (Router::new(), Router::new());
        let mut site = Site { router, probes, store, clock, token, queue, secrets, worker, _folder: folder };
        site.router = flow_web::router(site.state(WebOptions::default()));
        site.probes = flow_web::probes_router(site.state(WebOptions::default()));
        site.publish(&sales(), false).await;
        site
    }

    pub(crate) async fn publish(&self, dag: &Dag, paused: bool) {
        let new = NewDagVersion {
            dag: Arc::new(dag.clone()),
            source: format!("# {}\n[tasks.list]\nnoop = {{}}\n", dag.dag_id),
            file_path: format!("{}.toml", dag.dag_id),
            files: Vec::new(),
        };
        self.store.publish_dags(self.store.now(), &[new], paused).await.unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Site::answer(self.router.clone(), request).await
    }

    async fn answer(router: Router, request: Request<Body>) -> Answer {
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// GET at the port for operators.
    pub(crate) async fn probe(&self, path: &str) -> Answer {
        Site::answer(self.probes.clone(), Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.map_or(Body::empty(), |body| Body::from(body.to_string()))).unwrap()).await
    }

    /// The JSON of a GET that succeeds.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json()
    }

    /// The text of a page.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.ask("GET", path, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.text
    }

    /// Sends a form as a browser does.
    pub(crate) async fn submit(&self, path: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Triggers a run of `sales` with an id.
    pub(crate) async fn trigger(&self, run_id: &str) {
        let body = json!({ "dag_run_id": run_id, "conf": { "rows": 3 } });
        let answer = self.ask("POST", "/api/v2/dags/sales/dagRuns", Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    /// What a scheduler does.
    pub(crate) async fn tick(&self) {
        let now = self.store.now();
        self.store
            .check_due_dags(now, 100, "1", |dag, now| DagPlan {
                start: dag.waiting.iter().filter(|run| run.run_after <= now).map(|run| run.run).collect(),
                ..DagPlan::default()
            })
            .await
            .unwrap();
        let limits = AdvanceLimits { runs_max: 100, look_at_past: true, use_outbox: false, actor_id: "1".to_owned() };
        for _ in 0..10 {
            let advanced = self.store.advance(now, &limits, flow_model::decide::decide_tick).await.unwrap();
            if advanced.decided == 0 && advanced.queued.is_empty() && advanced.finished.is_empty() {
                break;
            }
        }
    }

    /// What a worker does: claims everything that is queued.
    pub(crate) async fn claim(&self) -> HashMap<String, WorkOrder> {
        let orders = self.claim_all().await.into_iter();
        orders.map(|order| (order.graph.dag.tasks[order.task_index as usize].task_id.clone(), order)).collect()
    }

    /// The same, with all instances of mapped tasks.
    pub(crate) async fn claim_all(&self) -> Vec<WorkOrder> {
        let hints = self.store.queued_hints(&["default".to_owned()], 100).await.unwrap();
        let requests: Vec<ClaimRequest> = hints
            .into_iter()
            .map(|(task_instance, epoch)| ClaimRequest {
                task_instance,
                epoch,
                claim: ClaimId(task_instance.0 * 100 + epoch.0),
            })
            .collect();
        self.store.claim(self.store.now(), self.worker, &requests).await.unwrap()
    }

    /// Ships a line of the log of a running attempt.
    pub(crate) async fn log(&self, order: &WorkOrder, seq: i64, text: &str) {
        self.store.append_logs(&[self.piece(order, seq, text)]).await.unwrap();
    }

    fn piece(&self, order: &WorkOrder, seq: i64, text: &str) -> LogAppend {
        let mut content = String::new();
        write_line(&mut content, self.store.now(), Stream::Stdout, text);
        LogAppend {
            task_instance: order.task_instance,
            epoch: order.epoch,
            claim: order.claim,
            try_number: order.try_number,
            seq,
            content,
        }
    }

    /// Keeps a file of a running attempt.
    pub(crate) async fn keep(&self, order: &WorkOrder, name: &str, content: &[u8]) {
        let (task_instance, epoch, claim) = (order.task_instance, order.epoch, order.claim);
        let new = flow_store::NewArtifact { task_instance, epoch, claim, name, content };
        assert!(self.store.keep_artifact(self.store.now(), &new).await.unwrap());
    }

    /// Reports the end of an attempt, with a last line of its log.
    pub(crate) async fn finish(&self, order: &WorkOrder, kind: OutcomeKind) {
        self.finish_with(order, kind, |_| {}).await;
    }

    /// The same with an outcome that is not the usual one.
    pub(crate) async fn finish_with(&self, order: &WorkOrder, kind: OutcomeKind, change: impl FnOnce(&mut Outcome)) {
        let reason = match kind {
            OutcomeKind::Failed { .. } | OutcomeKind::FailedForGood => Some("exit code 1".to_owned()),
            _ => None,
        };
        let exit_code = Some(i32::from(kind != OutcomeKind::Success));
        let mut outcome = Outcome {
            reason,
            exit_code,
            rendered: Some(r#"{"command":"echo 3"}"#.to_owned()),
            xcoms: vec![NewXCom { key: "return_value".to_owned(), value: "[1,2]".to_owned() }],
            log: vec![self.piece(order, 1_000, "the end")],
            log_bytes: 8,
            log_lines: 1,
            ..Outcome::new(order, kind, self.store.now())
        };
        change(&mut outcome);
        let recorded = self.store.record_outcomes(self.store.now(), self.worker, &[outcome]).await.unwrap();
        assert_eq!(recorded, [Recorded::Applied]);
    }

    /// Runs `list` to its end and claims `load`.
    pub(crate) async fn run_until_load(&self, run_id: &str) -> WorkOrder {
        self.trigger(run_id).await;
        self.tick().await;
        let list = self.claim().await.remove("list").unwrap();
        self.clock.advance(Duration::from_secs(2));
        self.finish(&list, OutcomeKind::Success).await;
        self.tick().await;
        self.claim().await.remove("load").unwrap()
    }

    pub(crate) fn soon(&self) -> Timestamp {
        self.store.now() + Duration::from_secs(60)
    }
}

/// `list` before `load` before `report`, every day at six.
pub(crate) fn sales() -> Dag {
    dag(
        "sales",
        json!({ "times": { "rules": [{ "cron": { "expression": "0 6 * * *", "timezone": "UTC" } }], "data_intervals": false } }),
    )
}

pub(crate) fn dag(dag_id: &str, schedule: Value) -> Dag {
    serde_json::from_value(json!({
        "dag_id": dag_id,
        "description": "Load yesterday's sales",
        "owner": "data",
        "tags": ["sales", "daily \"x\""],
        "schedule": schedule,
        "start_date": "2026-01-01T00:00:00+00:00",
        "catchup": "latest",
        "max_active_runs": 2,
        "max_active_tasks": 8,
        "params": {
            "region": { "type": "string", "default": "eu", "enum": ["eu", "us"], "description": "Where" },
            "rows": { "type": "integer", "default": 1, "minimum": 1 },
        },
        "tasks": [task("list", &[]), task("load", &["list"]), task("report", &["load"])],
    }))
    .unwrap()
}

fn task(task_id: &str, depends_on: &[&str]) -> Value {
    json!({
        "task_id": task_id, "owner": "data", "depends_on": depends_on, "trigger_rule": "all_success",
        "retries": 1, "retry_delay": "1m", "retry_backoff_factor": 1.0, "max_retry_delay": "1d", "retry_jitter": 0.0,
        "pool": "default_pool", "pool_slots": 1, "priority_weight": 1, "weight_rule": "downstream", "queue": "default",
        "depends_on_past": false, "wait_for_downstream": false, "at_most_once": false, "overlap": "allow",
        "output": "last_line", "operator": { "noop": {} },
    })
}
