//! What a case works with: a migrated database of its own, a clock that it moves, and a worker.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use flow_model::state::{RunType, TriggeredBy};
use flow_model::{ClaimId, Dag, DagRunKey, Epoch, Incarnation, ProcessId, TaskInstanceKey, Timestamp};
use flow_store::{
    AdvanceLimits, Advanced, ClaimRequest, DueDags, ManualClock, NewProcess, NewRun, OpenOptions, Outcome, OutcomeKind,
    ProcessKind, Recorded, Store, StoreKind, WorkOrder,
};
use sqlx::{AssertSqlSafe, Row};

use crate::dags::new_version;

/// Runs each case on both databases.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::bench::Bench::new(flow_store::StoreKind::Sqlite).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::bench::Bench::new(flow_store::StoreKind::Postgres).await).await;
            })+
        }
    };
}

/// The lease of the test's workers.
pub const LEASE: Duration = Duration::from_secs(30);

pub struct Bench {
    pub store: Store,
    pub clock: ManualClock,
    pub url: String,
    pub raw: Raw,
    pub worker: ProcessId,
    claims: AtomicI64,
    _folder: Option<tempfile::TempDir>,
}

/// The database without the store in front of it.
pub enum Raw {
    Postgres(sqlx::PgPool),
    Sqlite(sqlx::SqlitePool),
}

impl Raw {
    pub async fn open(url: &str) -> Raw {
        if url.starts_with("postgres") {
            let options = sqlx::postgres::PgPoolOptions::new().max_connections(2);
            Raw::Postgres(options.connect(url).await.unwrap())
        } else {
            let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
            Raw::Sqlite(options.connect(url).await.unwrap())
        }
    }

    /// Runs a statement; the error as text.
    pub async fn run(&self, sql: &str) -> Result<u64, String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Raw::Postgres(pool) => sqlx::query(sql).execute(pool).await.map(|done| done.rows_affected()),
            Raw::Sqlite(pool) => sqlx::query(sql).execute(pool).await.map(|done| done.rows_affected()),
        }
        .map_err(|error| error.to_string())
    }

    /// The first column, as text, of what a query returns.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Raw::Postgres(pool) => {
                sqlx::query(sql).fetch_all(pool).await.unwrap().iter().map(|row| row.get(0)).collect()
            }
            Raw::Sqlite(pool) => sqlx::query(sql).fetch_all(pool).await.unwrap().iter().map(|row| row.get(0)).collect(),
        }
    }

    /// The single number that a query returns.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Raw::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            Raw::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
        }
    }
}

/// A migrated SQLite file to copy.
async fn sqlite_template() -> &'static [u8] {
    static TEMPLATE: tokio::sync::OnceCell<Vec<u8>> = tokio::sync::OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("template.db");
            let store = Store::open(&format!("sqlite:{}", path.display()), OpenOptions::default()).await.unwrap();
            store.migrate().await.unwrap();
            store.close().await;
            std::fs::read(path).unwrap()
        })
        .await
}

/// The name of a migrated PostgreSQL database to copy.
fn postgres_template() -> &'static str {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let url = flow_testbed::shared_postgres().create_database().unwrap();
        let name = url.rsplit('/').next().unwrap().to_owned();
        // A thread of its own: the caller's runtime ends with its case.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = Store::open(&url, OpenOptions::default()).await.unwrap();
                store.migrate().await.unwrap();
                store.close().await;
            });
        })
        .join()
        .unwrap();
        name
    })
}

/// The URL of an empty database, and the folder that keeps it.
pub fn empty_database(kind: StoreKind) -> (String, Option<tempfile::TempDir>) {
    match kind {
        StoreKind::Postgres => (flow_testbed::shared_postgres().create_database().unwrap(), None),
        StoreKind::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            (format!("sqlite:{}", folder.path().join("flow.db").display()), Some(folder))
        }
    }
}

pub async fn migrated_database(kind: StoreKind) -> (String, Option<tempfile::TempDir>) {
    static COPIES: AtomicU32 = AtomicU32::new(0);
    match kind {
        StoreKind::Postgres => {
            let server = flow_testbed::shared_postgres();
            let name = format!("case_{}", COPIES.fetch_add(1, Ordering::SeqCst));
            server.sql(&format!("create database {name} template {}", postgres_template())).unwrap();
            (server.url(&name), None)
        }
        StoreKind::Sqlite => {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("flow.db");
            std::fs::write(&path, sqlite_template().await).unwrap();
            (format!("sqlite:{}", path.display()), Some(folder))
        }
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Bench {
    pub async fn new(kind: StoreKind) -> Bench {
        let (direct, folder) = migrated_database(kind).await;
        // `FLOW_TEST_PGBOUNCER=1`: everything through PgBouncer in transaction mode.
        let is_pooled = kind == StoreKind::Postgres && std::env::var_os("FLOW_TEST_PGBOUNCER").is_some();
        let url = if is_pooled { flow_testbed::shared_pgbouncer().url(&direct) } else { direct.clone() };
        Bench::over(url, &direct, folder).await
    }

    /// A bench whose store reaches its database at `url`, while what looks behind it takes the direct way.
    pub async fn over(url: String, direct: &str, folder: Option<tempfile::TempDir>) -> Bench {
        let clock = ManualClock::new(at("2026-01-01T00:00:00Z"));
        let options = OpenOptions { connections_max: 4, clock: Some(clock.clone()), ..OpenOptions::default() };
        let store = Store::open(&url, options).await.unwrap();
        let raw = Raw::open(direct).await;
        let mut bench =
            Bench { store, clock, url, raw, worker: ProcessId(0), claims: AtomicI64::new(1_000), _folder: folder };
        bench.worker = bench.register("worker-1").await;
        bench
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub async fn register(&self, slot: &str) -> ProcessId {
        self.store.register_process(self.now(), &new_worker(slot)).await.unwrap().0
    }

    pub async fn publish(&self, dag: Dag) {
        self.store.publish_dags(self.now(), &[new_version(dag)], false).await.unwrap();
    }

    pub async fn trigger(&self, dag_id: &str, run_id: &str) -> DagRunKey {
        self.store.create_run(self.now(), &new_run(dag_id, run_id, self.now())).await.unwrap().key
    }

    pub async fn check_dags(&self) -> DueDags {
        self.store.check_due_dags(self.now(), 100, "scheduler-1", flow_model::decide::decide_dag).await.unwrap()
    }

    pub async fn advance(&self) -> Advanced {
        self.store.advance(self.now(), &limits(), flow_model::decide::decide_tick).await.unwrap()
    }

    /// Ticks until nothing moves any more; what was queued on the way.
    pub async fn settle(&self) -> usize {
        let mut queued = 0;
        for _ in 0..100 {
            let due = self.check_dags().await;
            let advanced = self.advance().await;
            queued += advanced.queued.len();
            let moved = due.runs_created
                + due.runs_started
                + advanced.changes
                + advanced.decided
                + advanced.queued.len()
                + advanced.finished.len();
            if moved == 0 {
                return queued;
            }
        }
        panic!("it never comes to rest");
    }

    pub fn new_claim(&self) -> ClaimId {
        ClaimId(self.claims.fetch_add(1, Ordering::SeqCst))
    }

    /// Claims up to `limit` of what is queued for the worker.
    pub async fn claim_some(&self, limit: usize) -> Vec<WorkOrder> {
        let hints = self.store.queued_hints(&["default".to_owned()], limit).await.unwrap();
        let requests: Vec<ClaimRequest> = hints
            .into_iter()
            .map(|(task_instance, epoch)| ClaimRequest { task_instance, epoch, claim: self.new_claim() })
            .collect();
        self.store.claim(self.now(), self.worker, &requests).await.unwrap()
    }

    pub async fn claim_all(&self) -> Vec<WorkOrder> {
        self.claim_some(1_000).await
    }

    /// Settles, and claims the only queued task instance.
    pub async fn claim_one(&self) -> WorkOrder {
        self.settle().await;
        let mut orders = self.claim_all().await;
        assert_eq!(orders.len(), 1, "{:?}", self.states().await);
        orders.remove(0)
    }

    pub async fn report(&self, order: &WorkOrder, kind: OutcomeKind) -> Recorded {
        self.record(outcome(order, kind, self.now())).await
    }

    pub async fn record(&self, outcome: Outcome) -> Recorded {
        self.store.record_outcomes(self.now(), self.worker, &[outcome]).await.unwrap()[0]
    }

    /// Plays scheduler and worker until everything is over; tasks named in `failing` fail.
    pub async fn run_to_end(&self, failing: &[&str]) {
        for _ in 0..1_000 {
            self.settle().await;
            let orders = self.claim_all().await;
            if orders.is_empty() {
                return;
            }
            self.pass(1);
            let outcomes: Vec<Outcome> = orders
                .iter()
                .map(|order| {
                    let fails = failing.contains(&task_id(order));
                    let kind = if fails { OutcomeKind::FailedForGood } else { OutcomeKind::Success };
                    outcome(order, kind, self.now())
                })
                .collect();
            let recorded = self.store.record_outcomes(self.now(), self.worker, &outcomes).await.unwrap();
            assert!(recorded.iter().all(|recorded| *recorded == Recorded::Applied), "{recorded:?}");
        }
        panic!("it never ends");
    }

    /// `run task state` of every task instance.
    pub async fn states(&self) -> Vec<String> {
        self.raw
            .texts(
                "select r.run_id || ' ' || t.task_id || ' ' || t.state from task_instance t
                 join dag_run r on r.id = t.dag_run_id order by r.id, t.task_index, t.map_index",
            )
            .await
    }

    pub async fn state_of(&self, task: &str) -> String {
        self.raw.texts(&format!("select state from task_instance where task_id = '{task}'")).await.remove(0)
    }

    pub async fn run_state(&self, run: DagRunKey) -> String {
        self.raw.texts(&format!("select state from dag_run where id = {run}")).await.remove(0)
    }

    pub async fn key_of(&self, task: &str) -> TaskInstanceKey {
        TaskInstanceKey(self.raw.number(&format!("select id from task_instance where task_id = '{task}'")).await)
    }

    pub async fn field(&self, task: &str, field: &str) -> i64 {
        self.raw
            .number(&format!(
                "select cast(coalesce({field}, -1) as bigint) from task_instance where task_id = '{task}'"
            ))
            .await
    }

    pub async fn epoch_of(&self, task: &str) -> Epoch {
        Epoch(self.field(task, "epoch").await)
    }

    /// Nothing that is counted is wrong, and the history has no fault.
    pub async fn assert_sound(&self) {
        let much_later = self.now() + Duration::from_secs(3_600);
        assert_eq!(self.store.repair_counts(much_later).await.unwrap(), 0);
        let report = self.store.audit(None, self.now()).await.unwrap();
        assert_eq!(report.violations, []);
        let runs = self.raw.number("select count(*) from dag_run").await;
        assert_eq!(report.runs, runs.unsigned_abs());
    }
}

pub fn limits() -> AdvanceLimits {
    AdvanceLimits { runs_max: 100, look_at_past: true, use_outbox: false, actor_id: "scheduler-1".to_owned() }
}

pub fn task_id(order: &WorkOrder) -> &str {
    &order.graph.dag.tasks[order.task_index as usize].task_id
}

pub fn new_worker(slot: &str) -> NewProcess {
    NewProcess {
        kind: ProcessKind::Worker,
        slot: slot.to_owned(),
        host: "localhost".to_owned(),
        pid: 1,
        incarnation: Incarnation(7),
        version: "0.1.0".to_owned(),
        queues: vec!["default".to_owned()],
        concurrency: Some(4),
        lease: LEASE,
    }
}

pub fn new_run(dag_id: &str, run_id: &str, now: Timestamp) -> NewRun {
    NewRun {
        dag_id: dag_id.to_owned(),
        run_id: Some(run_id.to_owned()),
        run_type: RunType::Manual,
        triggered_by: TriggeredBy::Cli,
        principal: "someone".to_owned(),
        logical_date: None,
        data_interval: None,
        run_after: now,
        conf: Default::default(),
        note: None,
    }
}

pub fn outcome(order: &WorkOrder, kind: OutcomeKind, ended_at: Timestamp) -> Outcome {
    Outcome { exit_code: Some(0), ..Outcome::new(order, kind, ended_at) }
}
