//! A secret is used by every kind of operator, sensor and callback, and found nowhere: in no log, file, dump, answer, page or list
//! of processes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_testbed::{Redis, shared_postgres};
use flow_tests::{Api, Cluster, HttpEcho, Program, Standalone, eventually_within};
use serde_json::{Value, json};

const SECRET: &str = "s3cr3t/ca nary'42";
const TOKEN: &str = "tok-canary-7";

/// What of the secret would be found in files, in any of the forms in which programs write it.
const TRACES: [&str; 9] = [
    SECRET,
    "s3cr3t/ca",
    "s3cr3t%2Fca",
    "s3cr3t%2fca",
    "czNjcjN0L2NhIG",
    "MzY3IzdC9jYSBu",
    "zM2NyM3QvY2Egb",
    "7333637233742f6361",
    TOKEN,
];

/// `@S@` is the secret as a template names it.
const DAG: &str = r#"
on_failure = [{ webhook = { url = "@ECHO@/run", json = { s = "@S@" } } }]

[default_args]
retries = 0
env = { P = "@S@" }

[tasks.shell]
bash = '''
echo "$P"; echo "@S@ {{ var.value.api_token }}"; printf '%s' "$P" | base64; printf 'ada:%s' "$P" | base64
python3 -c 'import os, urllib.parse as u; p = os.environ["P"]; print(u.quote(p), repr(p), p.encode().hex())'
echo "note=\"it is $P\"" >> "$FLOW_XCOM_FILE"
echo "it was $P"
'''
[tasks.stdin]
command = { argv = ["cat"], stdin = "@S@" }
[tasks.argument]
command = ["echo", "@S@"]
[tasks.code]
python = "import os; raise SystemExit('gone: ' + os.environ['P'])"
[tasks.script_argument]
python = { code = "print(1)", args = ["@S@"] }
[tasks.place]
command = ["pwd"]
cwd = "/nowhere/@S@"

[tasks.sent]
output = "json"
[tasks.sent.http]
url = "@ECHO@/sent/@S@?token=@S@"
method = "POST"
headers = { Authorization = "Bearer {{ var.value.api_token }}" }
json = { secret = "@S@" }
[tasks.over_connection]
output = "json"
http = { connection = "api", url = "over/@S@" }
[tasks.unreachable]
http = "http://127.0.0.1:1/@S@"
[tasks.unexpected]
http = { url = "@ECHO@/@S@", expected_status = ["404"] }
[tasks.hook]
webhook = { url = "@ECHO@/hook/@S@", json = { s = "@S@" }, secret = "api_token" }
[tasks.chat]
slack = { connection = "chat", text = "@S@" }
[tasks.mail]
email = { connection = "mail", to = "@S@@example.org", subject = "@S@", text = "@S@" }

[tasks.rows]
sql = { sqlite = "@FOLDER@/rows.db", query = "select :s as s", parameters = { s = "@S@" } }
[tasks.bad_query]
sql = { sqlite = "@FOLDER@/rows.db", query = "select json(:s)", parameters = { s = "@S@" } }
[tasks.database_speaks]
output = "json"
sql = { connection = "speaking", query = "select speak(:s)", parameters = { s = "@S@" } }
[tasks.waits_where_it_speaks]
sql_sensor = { connection = "speaking", query = "select speak_of_itself()", poke_interval = "100ms" }
[tasks.no_database]
sql = { connection = "warehouse", query = "select 1" }
[tasks.plugged]
plugin = { name = "echo", with = { s = "@S@" } }
[tasks.boxed]
docker = { image = "busybox", env = { S = "@S@" }, socket = "unix:///nowhere/docker.sock" }
[tasks.boxed_argument]
docker = { image = "busybox", command = ["echo", "@S@"], socket = "unix:///nowhere/docker.sock" }
[tasks.starts]
trigger_dag = { trigger_dag_id = "secretive", conf = { s = "@S@" } }

[tasks.waits_for_header]
http_sensor = { url = "@ECHO@/ready", headers = { X-Secret = "@S@" } }
[tasks.waits_over_connection]
http_sensor = { connection = "api", url = "ready", poke_interval = "100ms" }
[tasks.waits_in_vain]
http_sensor = { connection = "api", url = "ready", response_check = { path = "head", equals = "x" }, poke_interval = "100ms", timeout = "1s" }
[tasks.waits_for_file]
file_sensor = "/nowhere/@S@"
[tasks.waits_for_row]
sql_sensor = { connection = "local", query = "select :s", parameters = { s = "@S@" } }
[tasks.waits_for_key]
redis_key_sensor = { connection = "local", key = "@S@" }
[tasks.waits_for_dag]
external_task_sensor = { external_dag_id = "@S@" }
[tasks.waits_for_program]
command_sensor = { command = "echo $P; exit 1", poke_interval = "100ms", timeout = "300ms" }

[tasks.chooses]
branch = "@S@"
[tasks.chooses_by_shell]
branch = { bash = "echo $P" }
[tasks.goes_on]
short_circuit = "@S@"
[tasks.asks]
approval = { subject = "Is it @S@?", body = "`@S@`", timeout = "1s", defaults = ["Approve"] }
[tasks.fills]
form = { subject = "@S@", body = "@S@", params = { n = { type = "integer", default = 1 } }, timeout = "1s", defaults_on_timeout = true }

[tasks.promises]
bash = "echo $P"
outputs = { return_value = { type = "string", maxLength = 3 } }
[tasks.named]
expand = { n = [1, 2] }
map_index_template = "{{ n }} @S@"
bash = "echo {{ n }} $P"
[tasks.repeats]
bash = "echo $P"
repeat = { until = "{{ output == conn.warehouse.password }}", every = "100ms", max = 2 }
[tasks.conditions]
run_if = "{{ conn.warehouse.password == 'x' }}"
bash = "true"
[tasks.broken]
bash = "echo {{ conn.warehouse.password.nothing }}"
[tasks.calls]
bash = "echo $P; exit 3"
failure_rules = [{ output = "s3cr3t", action = "fail" }]
on_failure = [
    { command = ["echo", "@S@"] },
    { command = ["sh", "-c", "echo $FLOW_REASON; exit 1"] },
    { webhook = { url = "@ECHO@/called/@S@", json = { s = "@S@" } } },
    { webhook = { url = "http://127.0.0.1:1/@S@" } },
    { slack = { connection = "chat", text = "@S@" } },
    { email = { connection = "mail", to = "@S@", subject = "@S@", text = "@S@" } },
]
"#;

/// Tasks that must have come to their end without a failure: there the secret was really used.
const USED: &[&str] = &[
    "shell",
    "stdin",
    "sent",
    "over_connection",
    "hook",
    "chat",
    "rows",
    "database_speaks",
    "waits_where_it_speaks",
    "plugged",
    "waits_over_connection",
    "goes_on",
    "asks",
    "fills",
    "named",
    "repeats",
    "conditions",
];

const PLUGIN: &str = r#"#!/usr/bin/env python3
import json, sys
request = json.loads(sys.stdin.readline())
print(json.dumps({"type": "log", "message": request["with"]["s"]}), flush=True)
print(json.dumps({"type": "xcom", "key": "k", "value": request["with"]}), flush=True)
print(json.dumps({"type": "result", "state": "success", "value": request["with"]}), flush=True)
"#;

/// Puts DAG and plugin into a folder of DAGs.
fn write_dag(folder: &Path, echo: &HttpEcho) {
    let text = DAG.replace("@S@", "{{ conn.warehouse.password }}").replace("@ECHO@", &echo.url());
    let text = text.replace("@FOLDER@", &folder.parent().unwrap().display().to_string());
    std::fs::create_dir_all(folder.join("plugins")).unwrap();
    std::fs::write(folder.join("plugins/echo"), PLUGIN).unwrap();
    std::fs::write(folder.join("secretive.toml"), text).unwrap();
}

/// Files of connections and variables, outside of what is searched.
fn set_secrets(program: &Program, echo: &HttpEcho) {
    let folder = tempfile::tempdir().unwrap();
    let connections = json!({
        "warehouse": { "conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "ada", "password": SECRET },
        "api": { "conn_type": "http", "host": echo.url(), "login": "ada", "password": SECRET, "extra": { "headers": { "X-Key": TOKEN } } },
        "chat": { "conn_type": "slack", "password": format!("{}/slack/{TOKEN}", echo.url()) },
        "mail": { "conn_type": "smtp", "host": "127.0.0.1", "port": 1, "login": "a@b.example", "password": SECRET, "extra": { "tls": "none" } },
        "speaking": { "conn_type": "postgres", "host": "127.0.0.1", "port": speaking_database(), "login": "flow", "password": SECRET, "schema": "postgres" },
        "local": { "conn_type": "sqlite", "host": "/nowhere/x.db", "password": SECRET },
    });
    let path = folder.path().join("x.json");
    for (what, things) in [("connections", connections), ("variables", json!({ "api_token": TOKEN }))] {
        std::fs::write(&path, things.to_string()).unwrap();
        let done = program.run(&[what, "import", path.to_str().unwrap()]).expect(0);
        assert_eq!(traces(&done.stderr), [""; 0]);
    }
}

/// The port of a database with functions that repeat in notices what they know.
fn speaking_database() -> u16 {
    static MADE: std::sync::Once = std::sync::Once::new();
    let server = shared_postgres();
    MADE.call_once(|| {
        let secret = SECRET.replace('\'', "''");
        let speak = "returns int language plpgsql as $$ begin raise warning 'beware of %', p; raise notice 'trying %', p; return 1; end $$";
        server.sql(&format!("create function speak(p text) {speak}")).unwrap();
        let itself = format!("create function speak_of_itself() returns int language sql as $$ select speak('{secret}') $$");
        server.sql(&itself).unwrap();
    });
    server.port()
}

/// Which traces are in a text.
fn traces(text: &str) -> Vec<&'static str> {
    TRACES.into_iter().filter(|trace| text.contains(trace)).collect()
}

/// Every file below a folder that holds a trace.
fn traces_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(traces_below(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            let held = traces(&String::from_utf8_lossy(&bytes));
            found.extend((!held.is_empty()).then(|| format!("{}: {held:?}", path.display())));
        }
    }
    found
}

/// Looks at the command lines of all processes until it is told to stop.
fn watch_processes(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<(BTreeSet<String>, u64)> {
    std::thread::spawn(move || {
        let (mut found, mut looks) = (BTreeSet::new(), 0);
        while !stop.load(Ordering::Relaxed) {
            for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                found.extend((!traces(&line).is_empty()).then_some(line));
            }
            looks += 1;
        }
        (found, looks)
    })
}

/// Everything that somebody who may log in can read of a run.
async fn read_everything(api: &Api, run: &str) -> String {
    let run = run.replace('+', "%2B").replace(':', "%3A");
    let of_run = format!("/api/v2/dags/secretive/dagRuns/{run}");
    let mut paths: Vec<String> = [
        "/",
        "/dags/secretive",
        "/dags/secretive/source",
        "/dags/secretive/trigger",
        "/questions",
        "/variables",
        "/connections",
        "/connections?edit=api",
        "/variables?edit=api_token",
        "/processes",
        "/api/v2/variables",
        "/api/v2/connections",
        "/api/v2/eventLogs?limit=1000",
        "/api/v2/dags/secretive/details",
    ]
    .map(str::to_owned)
    .into();
    paths.extend([
        format!("/dags/secretive/runs/{run}"),
        of_run.clone(),
        format!("{of_run}/taskInstances?limit=1000"),
        format!("{of_run}/taskInstances/~/xcomEntries?values=true&limit=1000"),
        format!("{of_run}/hitlDetails"),
        format!("/api/flow/dags/secretive/dagRuns/{run}/callbacks"),
    ]);
    let listed = api.get(&format!("{of_run}/taskInstances?limit=1000")).await;
    for instance in listed["task_instances"].as_array().unwrap() {
        let task = instance["task_id"].as_str().unwrap();
        let index = instance["map_index"].as_i64().unwrap();
        paths.push(format!("/dags/secretive/runs/{run}/tasks/{task}?map_index={index}"));
        paths.push(format!("{of_run}/taskInstances/{task}"));
        paths.push(format!("{of_run}/taskInstances/{task}/tries?map_index={index}"));
        paths.push(format!("{of_run}/taskInstances/{task}/logs/1?map_index={index}"));
    }
    let mut all = String::new();
    for path in paths {
        let (status, text) = api.text(&path).await.unwrap();
        assert!(status < 500, "{path}: {status} {text}");
        let held = traces(&text);
        assert!(held.is_empty(), "{path} tells {held:?}:\n{text}");
        all.push_str(&text);
    }
    all
}

/// Runs the DAG, and looks at it from all sides while and after it runs.
async fn use_secrets(api: &Api, program: &Program) {
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch_processes(Arc::clone(&stop));
    let (status, run) = api
        .ask(
            reqwest::Method::POST,
            "/api/v2/dags/secretive/dagRuns",
            Some(&json!({ "logical_date": "2026-03-05T06:00:00Z" })),
        )
        .await
        .unwrap();
    assert_eq!(status, 200, "{run}");
    let run = run["dag_run_id"].as_str().unwrap().to_owned();
    eventually_within(Duration::from_secs(120), "the run ends", async || {
        (api.run_state("secretive", &run).await == "failed").then_some(())
    })
    .await;
    let path = format!("/api/flow/dags/secretive/dagRuns/{}/callbacks", run.replace('+', "%2B").replace(':', "%3A"));
    eventually_within(Duration::from_secs(60), "the callbacks were tried", async || {
        let callbacks = api.get(&path).await["callbacks"].as_array().cloned()?;
        callbacks
            .iter()
            .all(|callback| callback["results"].as_array().is_some_and(|list| !list.is_empty()))
            .then_some(())
    })
    .await;
    let (seen, looks) = {
        stop.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    };
    assert_eq!(seen, BTreeSet::new(), "somebody's command line");
    assert!(looks > 10, "{looks} looks at the processes are too few");

    let listed = api
        .get(&format!(
            "/api/v2/dags/secretive/dagRuns/{}/taskInstances?limit=1000",
            run.replace('+', "%2B").replace(':', "%3A")
        ))
        .await;
    let state = |task: &str| -> Value {
        let mut instances = listed["task_instances"].as_array().unwrap().iter();
        instances
            .find(|instance| instance["task_id"] == task)
            .map(|instance| instance["state"].clone())
            .unwrap_or_default()
    };
    for task in USED {
        let log = api.log("secretive", &run, task, 1).await.unwrap_or_default();
        assert!(state(task) == "success" || state(task) == "skipped", "{task} is {}: {log:?}", state(task));
    }
    for (task, why) in [
        ("argument", "a secret stands in the command line"),
        ("script_argument", "a secret stands in the command line"),
        ("boxed_argument", "a secret stands in the container's command line"),
        ("starts", "the run to start would keep a secret"),
        ("waits_for_header", "it would wait with a secret kept in the clear"),
        ("waits_for_file", "it would wait with a secret kept in the clear"),
        ("waits_for_row", "it would wait with a secret kept in the clear"),
        ("waits_for_key", "it would wait with a secret kept in the clear"),
        ("waits_for_dag", "it would wait with a secret kept in the clear"),
    ] {
        let log = api.log("secretive", &run, task, 1).await.unwrap().join("\n");
        assert!(log.contains(why) && log.contains("hint: "), "{task}: {log}");
    }
    for task in ["database_speaks", "waits_where_it_speaks"] {
        let log = api.log("secretive", &run, task, 1).await.unwrap().join("\n");
        assert!(log.contains("warning: beware of ***") && log.contains("notice: trying ***"), "{task}: {log}");
    }
    let all = read_everything(api, &run).await;
    assert!(all.contains("it was ***") && all.contains("it is ***"), "the masks are there");
    let printed = [
        "connections list -o json",
        "connections get api",
        "variables list",
        "callbacks secretive",
        "xcoms list secretive -o json",
    ];
    for command in printed {
        let done = program.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, traces(&(done.stdout + &done.stderr))), (0, Vec::new()), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_nobody_finds_it() {
    let echo = HttpEcho::start();
    // Whatever is asked of it, its log holds only what Flow itself says.
    let mut flow = Standalone::new().env("FLOW__LOG__LEVEL", "trace");
    write_dag(&flow.path("dags"), &echo);
    flow.start().await;
    set_secrets(flow.program(), &echo);
    use_secrets(flow.api(), flow.program()).await;
    told_for_real(&echo);
    flow.stop_and_audit().await;
    assert_eq!(traces_below(flow.folder()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_and_redis_nobody_finds_it() {
    let (postgres, redis) = (shared_postgres(), Redis::start().unwrap());
    let url = postgres.create_database().unwrap();
    let echo = HttpEcho::start();
    let cluster = Cluster::new(&url, &redis.url()).unwrap();
    let keys = cluster.program().run(&["secrets", "generate-key"]).expect(0).stdout;
    let cluster =
        cluster.configured(|program| program.env("FLOW__SECRETS__KEYS", keys.trim()).env("FLOW__LOG__LEVEL", "trace"));
    write_dag(&cluster.path("dags"), &echo);
    let roles: Vec<_> = [
        ("web", vec!["web"]),
        ("scheduler", vec!["scheduler"]),
        ("worker", vec!["worker"]),
        ("triggerer", vec!["triggerer"]),
    ]
    .into_iter()
    .map(|(name, args)| cluster.start(name, &args).unwrap())
    .collect();
    let api = cluster.api().unwrap();
    eventually_within(Duration::from_secs(60), "the DAG is published", async || {
        api.get("/api/v2/dags/secretive").await["dag_id"].as_str().map(|_| ())
    })
    .await;
    let program = cluster.program().clone().env("FLOW__CLIENT__URL", api.url()).env("FLOW__CLIENT__TOKEN", api.token());
    set_secrets(&program, &echo);
    use_secrets(&api, &program).await;
    told_for_real(&echo);
    for mut role in roles {
        role.stop(Duration::from_secs(30)).await.unwrap();
    }
    let audit = cluster.program().run(&["audit", "verify"]).expect(0);
    assert!(audit.stdout.contains(" 0 violations"), "{}", audit.stdout);
    assert_eq!(traces(&postgres.dump(&url).unwrap()), [""; 0], "in the dump of the database");
    assert_eq!(traces_below(redis.folder()), Vec::<String>::new());
    assert_eq!(traces_below(cluster.folder()), Vec::<String>::new());
}

/// The secret did reach those whom it was meant for.
fn told_for_real(echo: &HttpEcho) {
    let requests = echo.requests();
    let told = |path: &str| requests.iter().filter(|raw| raw.head.contains(path) || raw.body.contains(path)).count();
    for path in [
        format!("/slack/{TOKEN}"),
        format!("Bearer {TOKEN}"),
        "/hook/s3cr3t%2Fca".to_owned(),
        "/called/s3cr3t%2Fca".to_owned(),
        SECRET.to_owned(),
    ] {
        assert!(told(&path) > 0, "{path}");
    }
}
