//! What once went wrong, as it was written: on SQLite in one process, and on PostgreSQL behind PgBouncer and Redis with a process for
//! each role.

mod edges;
mod engine;
mod full_disk;
mod sql;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use flow_testbed::{MariaDb, Redis, shared_mariadb, shared_pgbouncer, shared_postgres};
use flow_tests::{Api, Cluster, Done, Program, Role, Standalone, eventually, eventually_within};
use serde_json::Value;

/// An installation, whatever it is made of.
struct Place {
    api: Api,
    /// The program, as a client of it.
    client: Program,
    folder: PathBuf,
    /// What its processes write.
    logs: Vec<PathBuf>,
}

/// How the installations are configured: variables and connections.
fn environment() -> [(&'static str, String); 4] {
    let mariadb = shared_mariadb();
    let (name, port) = (mariadb.create_database().expect("a database"), mariadb.port());
    [
        ("FLOW_CONN_PG", shared_postgres().create_database().expect("a database")),
        ("FLOW_CONN_MY", format!("mysql://{}:{}@127.0.0.1:{port}/{name}", MariaDb::LOGIN, MariaDb::PASSWORD)),
        ("FLOW_CONN_API", format!("http://someone:{}@127.0.0.1", sql::PASSWORD)),
        ("FLOW_VAR_ORDERS_HOOK", edges::HOOK_SECRET.to_owned()),
    ]
}

async fn all_cases(place: &Place) {
    values::a_value_that_went_through_a_filter_is_no_code(place).await;
    values::a_script_with_windows_line_ends_runs(place).await;
    values::big_integers_keep_their_digits(place).await;
    values::percent_formats_and_zfill(place).await;
    values::byte_order_marks_are_no_content(place).await;
    values::the_last_line_is_whole(place).await;
    engine::teardowns_run_when_their_run_is_ended(place).await;
    engine::mapped_over_a_skipped_task_is_skipped(place).await;
    engine::what_the_clock_skips_is_not_told_as_skipped(place).await;
    engine::continuous_runs_have_a_brake(place).await;
    edges::the_check_looks_into_templates(place);
    edges::a_form_from_github_starts_a_run(place).await;
    sql::notices_stand_masked_in_the_log_of_the_task(place).await;
    sql::a_procedure_with_several_answers_leaves_the_last(place).await;
    sql::braces_in_a_query_are_sql(place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_in_one_process() {
    let mut flow = environment().into_iter().fold(Standalone::new(), |flow, (name, value)| flow.env(name, &value));
    flow.start().await;
    let api = Api::new(flow.api().url(), flow.api().token());
    let place =
        Place { api, client: flow.program().clone(), folder: flow.folder().to_owned(), logs: vec![flow.path("log")] };
    all_cases(&place).await;
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_behind_pgbouncer_and_redis_with_a_process_for_each_role() {
    let redis = Redis::start().expect("Redis starts");
    let direct = shared_postgres().create_database().expect("a database");
    let cluster = Cluster::new(&shared_pgbouncer().url(&direct), &redis.url()).expect("an installation");
    let keys = cluster.program().run(&["secrets", "generate-key"]).expect(0).stdout;
    let mut more = environment().to_vec();
    more.push(("FLOW__SECRETS__KEYS", keys.trim().to_owned()));
    let cluster =
        cluster.configured(|program| more.into_iter().fold(program, |program, (name, value)| program.env(name, value)));
    let names = ["scheduler", "web", "worker", "triggerer"];
    let roles: Vec<Role> = names.iter().map(|role| cluster.start(role, &[role]).expect("it starts")).collect();
    let api = cluster.api().expect("a token");
    eventually("the web role answers", async || {
        api.ask(reqwest::Method::GET, "/readyz", None).await.is_ok_and(|(status, _)| status == 200).then_some(())
    })
    .await;
    let client = cluster.program().clone().env("FLOW__CLIENT__URL", api.url()).env("FLOW__CLIENT__TOKEN", api.token());
    let logs = names.iter().map(|name| cluster.path(&format!("{name}.log"))).collect();
    let place = Place { api, client, folder: cluster.folder().to_owned(), logs };
    all_cases(&place).await;
    for mut role in roles {
        role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
    let audited = cluster.program().run(&["audit", "verify"]);
    assert_eq!(audited.code, 0, "{}{}", audited.stdout, audited.stderr);
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn flowctl(&self, args: &[&str]) -> Done {
        self.client.run(args)
    }

    /// Writes a DAG file, and waits until it is published. `@FOLDER@` in it stands for the installation's folder.
    async fn publish(&self, dag: &str, text: &str) {
        let text = text.replace("@FOLDER@", &self.folder.display().to_string());
        let draft = self.path(&format!("draft-{dag}"));
        std::fs::write(&draft, text).expect("a file can be written");
        std::fs::rename(draft, self.path("dags").join(format!("{dag}.toml"))).expect("a file can be moved");
        let path = format!("/api/v2/dags/{dag}");
        let is_there = async || self.api.get(&path).await["dag_id"].as_str().map(|_| ());
        eventually(&format!("dag `{dag}` is published"), is_there).await;
    }

    /// Triggers a DAG.
    fn trigger(&self, dag: &str, args: &[&str]) -> String {
        self.flowctl(&[&["trigger", dag], args].concat()).expect(0).stdout.trim().to_owned()
    }

    /// The state in which a run ends.
    async fn end(&self, dag: &str, run: &str) -> String {
        eventually_within(Duration::from_secs(60), &format!("a run of `{dag}` ends"), async || {
            let state = self.api.run_state(dag, run).await;
            matches!(state.as_str(), "success" | "failed").then_some(state)
        })
        .await
    }

    /// Publishes a DAG and runs it: the run, and the state in which it ends.
    async fn run(&self, dag: &str, text: &str, args: &[&str]) -> (String, String) {
        self.publish(dag, text).await;
        let run = self.trigger(dag, args);
        let state = self.end(dag, &run).await;
        (run, state)
    }

    /// The same where the run has to succeed.
    async fn succeeded(&self, dag: &str, text: &str, args: &[&str]) -> String {
        let (run, state) = self.run(dag, text, args).await;
        let told = || self.flowctl(&["tasks", "list", dag, "--run", &run]).stdout;
        assert_eq!(state, "success", "{}", told());
        run
    }

    async fn task_state(&self, dag: &str, run: &str, task: &str) -> Value {
        self.api.task(dag, run, task).await["state"].clone()
    }

    /// What a task has left.
    async fn left(&self, dag: &str, run: &str, task: &str) -> Value {
        self.api.xcom(dag, run, task, "return_value").await
    }

    /// What its processes have written so far.
    fn own_logs(&self) -> String {
        let read = |log: &PathBuf| std::fs::read_to_string(log).unwrap_or_default();
        self.logs.iter().map(read).collect()
    }
}
