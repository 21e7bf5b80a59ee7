//! Values that pass from task to task, and from outside to tasks, stay what they are: on SQLite in one process, and on PostgreSQL
//! and Redis with a process for each role.

use std::time::Duration;

use flow_testbed::{Redis, shared_postgres};
use flow_tests::{Api, Cluster, HttpEcho, Standalone, eventually, eventually_within};
use reqwest::Method;
use serde_json::{Value, json};

/// Runs one run of a DAG with a conf on each kind of installation, until it ends, and looks at it.
async fn on_each(dag: &str, conf: &str, look: impl AsyncFn(&Api, &str)) {
    let mut flow = Standalone::new();
    flow.write_dag("values", dag);
    flow.start().await;
    let run = trigger(flow.api(), conf).await;
    look(flow.api(), &run).await;
    flow.stop_and_audit().await;

    let redis = Redis::start().expect("Redis starts");
    let database = shared_postgres().create_database().expect("a database");
    let cluster = Cluster::new(&database, &redis.url()).expect("an installation");
    cluster.write_dag("values", dag).unwrap();
    let roles = ["scheduler", "web", "worker", "triggerer"].map(|role| cluster.start(role, &[role]).unwrap());
    let api = cluster.api().unwrap();
    let is_published = async || (!api.get("/api/v2/dags/values").await.is_null()).then_some(());
    eventually("the DAG is published", is_published).await;
    let run = trigger(&api, conf).await;
    look(&api, &run).await;
    for mut role in roles {
        role.stop(Duration::from_secs(20)).await.unwrap_or_else(|error| panic!("{error:#}"));
    }
}

/// Triggers the DAG, and waits for the end of the run.
async fn trigger(api: &Api, conf: &str) -> String {
    let conf: Value = serde_json::from_str(conf).expect("JSON");
    let body = json!({ "logical_date": null, "conf": conf });
    let (status, run) = api.ask(Method::POST, "/api/v2/dags/values/dagRuns", Some(&body)).await.expect("an answer");
    assert_eq!((status, &run["conf"]), (200, &conf), "{run}");
    let run = run["dag_run_id"].as_str().expect("a run has an id").to_owned();
    eventually_within(Duration::from_secs(60), "the run ends", async || {
        matches!(api.run_state("values", &run).await.as_str(), "success" | "failed").then_some(())
    })
    .await;
    run
}

/// What a task has left.
async fn left(api: &Api, run: &str, task: &str) -> Value {
    api.xcom("values", run, task, "return_value").await
}

/// Beyond 53, 64 and 128 bits, and floats of which a double would make another number.
const NUMBERS: &str = r#"{"a": 9007199254740993, "b": 12345678901234567890123, "c": 1e+400,
    "d": -340282366920938463463374607431768211456789, "e": [12345678901234567.89]}"#;

const BIG: &str = r#"
[params.numbers]
type = "object"
[params.limited]
type = "integer"
minimum = 3
default = 3

[tasks.json]
bash = "echo '@NUMBERS@'"
output = "json"

[tasks.named]
bash = "flowctl xcom push numbers '@NUMBERS@'"

[tasks.text]
depends_on = ["json", "named"]
command = ["printf", "%s %s %s %s %s %s", "{{ xcom.json.a }}", "{{ xcom.json.b }}", "{{ xcom.json.c }}",
    "{{ ti.xcom_pull('named', key='numbers').d }}", "{{ xcom.json.e[0] }}", "{{ params.limited }}"]

[tasks.conf]
command = ["printf", "%s %s %s", "{{ conf.numbers.b }}", "{{ params.numbers.d }}", "{{ dag_run.conf.numbers.c }}"]

[tasks.each]
depends_on = ["json"]
expand = { number = "{{ xcom.json.e }}" }
command = ["printf", "%s", "{{ number }}"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn numbers_keep_their_digits() {
    let conf = format!(r#"{{"numbers": {NUMBERS}, "limited": 12345678901234567890123}}"#);
    let dag = BIG.replace("@NUMBERS@", &NUMBERS.replace('\n', " ").replace('"', "\\\""));
    on_each(&dag, &conf, async |api, run| {
        let numbers: Value = serde_json::from_str(NUMBERS).unwrap();
        assert_eq!(left(api, run, "json").await, numbers);
        assert_eq!(api.xcom("values", run, "named", "numbers").await, numbers);
        let all = "9007199254740993 12345678901234567890123 1e+400 -340282366920938463463374607431768211456789 \
            12345678901234567.89 12345678901234567890123";
        assert_eq!(left(api, run, "text").await, all);
        assert_eq!(
            left(api, run, "conf").await,
            "12345678901234567890123 -340282366920938463463374607431768211456789 1e+400"
        );
        let path = format!("/api/v2/dags/values/dagRuns/{run}/taskInstances/each/xcomEntries/return_value?map_index=0");
        assert_eq!(api.get(&escape(&path)).await["value"], "12345678901234567.89");
        assert_eq!(api.run_state("values", run).await, "success");
    })
    .await;
}

/// A mapping over nothing, and what reads its tasks; a task that is mapped in a group and one by itself.
const NOTHING: &str = r#"
[tasks.list]
bash = "echo '[]'"
output = "json"

[tasks.one]
expand = { item = "{{ xcom.list }}" }
bash = "echo {{ item }}"

[task_groups.each]
expand = { item = "{{ xcom.list }}" }
[task_groups.each.tasks.inside]
bash = "echo {{ item }}"

[tasks.mute]
expand = { item = [1, 2] }
noop = true

[tasks.plain]
noop = true

[tasks.read]
depends_on = ["one", "each", "mute", "plain"]
trigger_rule = "all_done"
command = ["printf", "%s", """{{ [xcom.one, xcom.each.inside, xcom.mute, xcom.one | length, ti.xcom_pull("one"), ti.xcom_pull("each.inside"),
    ti.xcom_pull("one", key="rows"), ti.xcom_pull("one", map_indexes=[0, 1]), ti.xcom_pull("one", map_indexes=0),
    ti.xcom_pull("one", include_prior_dates=true), ti.xcom_pull("plain"), ti.xcom_pull(["one", "plain"])] | tojson }}"""]

[tasks.again]
depends_on = ["one"]
trigger_rule = "all_done"
expand = { item = "{{ xcom.one }}" }
noop = true
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_over_nothing_leaves_an_empty_list() {
    on_each(NOTHING, "{}", async |api, run| {
        let read = left(api, run, "read").await;
        let read: Value = serde_json::from_str(read.as_str().expect("a text")).unwrap();
        assert_eq!(read, json!([[], [], [], 0, [], [], [], [], null, [], null, [[], null]]));
    })
    .await;
}

/// Every way to leave a value, with one that is too large.
const LARGE: &str = r#"
[tasks.bash]
bash = "head -c 1048577 /dev/zero | tr '\\0' x; echo; echo"
[tasks.text]
command = ["bash", "-c", "yes $(printf '%01000d' 0) | head -c 1048577"]
output = "text"
[tasks.json]
bash = "printf '\"'; head -c 1048577 /dev/zero | tr '\\0' x; printf '\"'"
output = "json"
[tasks.escaped]
bash = '''yes "$(printf '"%.0s' {1..999})" | head -c 900000'''
output = "text"
[tasks.python]
python = "print('x' * 1048577)"
[tasks.file]
bash = "{ printf 'rows='; head -c 1048577 /dev/zero | tr '\\0' x; } > $FLOW_XCOM_FILE"
[tasks.push]
bash = "flowctl xcom push rows \"$(head -c 100000 /dev/zero | tr '\\0' x)\" && { printf 'a='; head -c 1048577 /dev/zero | tr '\\0' 1; } >> $FLOW_XCOM_FILE"
[tasks.rows.sql]
sqlite = ":memory:"
query = "select replace(hex(zeroblob(:half)), '0', 'x') as x"
parameters = { half = 524300 }
[tasks.first.sql]
sqlite = ":memory:"
query = "select replace(hex(zeroblob(524300)), '0', 'x') as x"
fetch = "first"
[tasks.http.http]
url = "@URL@/large"
method = "POST"
body = "{{ 'x' * 700000 }}{{ '\\n' * 400000 }}"
response_bytes_max = 10000000
[tasks.sensor]
output = "text"
command_sensor = "head -c 1048577 /dev/zero | tr '\\0' x"
[tasks.branch]
branch = { bash = "head -c 1048577 /dev/zero | tr '\\0' x" }
[tasks.short_circuit]
short_circuit = { bash = "head -c 1048577 /dev/zero | tr '\\0' x" }

[tasks.last]
bash = "head -c 1048000 /dev/zero | tr '\\0' x; echo END"
[tasks.use]
depends_on = ["last"]
command = ["bash", "-c", "case \"$1\" in *END) printf %s \"$1\" | wc -c;; esac", "x", "{{ xcom.last[-100000:] }}"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_value_is_cut_and_what_is_larger_than_an_xcom_fails_with_a_hint() {
    let echo = HttpEcho::start();
    on_each(&LARGE.replace("@URL@", &echo.url()), "{}", async |api, run| {
        assert_eq!(left(api, run, "last").await.as_str().map(str::len), Some(1_048_003));
        assert_eq!(left(api, run, "use").await, "100000");
        let page = api.get(&format!("/api/v2/dags/values/dagRuns/{}/taskInstances", escape(run))).await;
        for task in page["task_instances"].as_array().expect("a list") {
            let id = task["task_id"].as_str().unwrap();
            if matches!(id, "last" | "use") {
                continue;
            }
            assert_eq!(task["state"], "failed", "{task}");
            let log = api.log("values", run, id, 1).await.unwrap();
            let told = log.into_iter().filter(|line| line.len() < 1_000).collect::<Vec<_>>().join("\n");
            assert!(told.contains("1 MiB") || told.contains("1048576 bytes"), "{id}: {told}");
            assert!(told.contains("hint: "), "{id}: {told}");
        }
    })
    .await;
}

fn escape(run: &str) -> String {
    run.replace('+', "%2B").replace(':', "%3A")
}
