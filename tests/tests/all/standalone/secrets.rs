//! A secret goes where it is needed, and is found nowhere else: in no log, file, answer, or list of processes.

use std::path::Path;

use flow_tests::Standalone;
use serde_json::json;

const SECRET: &str = "h1dden/ca nary'42";

const DAG: &str = r#"
[tasks.use]
bash = '''
test "$PASSWORD" = "$EXPECTED" || exit 3
echo "raw $PASSWORD"
echo "template {{ conn.warehouse.password }}"
printf '%s' "$PASSWORD" | base64
printf 'ada:%s@host' "$PASSWORD" | base64
python3 -c 'import json, os, shlex, urllib.parse as u; p = os.environ["PASSWORD"]; print(json.dumps(p), u.quote(p), u.quote_plus(p), shlex.quote(p), p.encode().hex(), repr(p))'
python3 -c 'import os, sys, time
for byte in os.environ["PASSWORD"].encode():
    sys.stdout.buffer.write(bytes([byte])); sys.stdout.flush()
print()'
flowctl xcom push note "it is $PASSWORD"
echo "host={{ conn.warehouse.host }} region={{ var.value.region }} token={{ var.value.api_token }}"
'''
env = { PASSWORD = "{{ conn.warehouse.password }}", EXPECTED = "{{ var.value.password_again }}" }
retries = 0

[tasks.show]
command = ["echo", "{{ conn.warehouse.get_uri() }}"]
retries = 0

[tasks.fail]
bash = "echo gone >&2; exit 1"
run_if = "{{ var.value.get('absent', 'true') }}"
env = { X = "{{ conn.absent.host }}" }
retries = 0
"#;

/// Every file below a folder that holds a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_used_and_never_seen() {
    let mut flow = Standalone::with(&[("secretive", DAG)]).await;
    let connection = json!({ "warehouse": {
        "conn_type": "postgres", "host": "db.example", "login": "ada", "password": SECRET, "extra": "{}",
    } });
    let file = flow.folder().parent().unwrap().join(format!("flow-connections-{}.json", std::process::id()));
    std::fs::write(&file, connection.to_string()).unwrap();
    flow.flowctl(&["connections", "import", file.to_str().unwrap()]).expect(0);
    let variables = json!({ "region": "eu-north", "password_again": SECRET, "api_token": "tok-canary-7" });
    std::fs::write(&file, variables.to_string()).unwrap();
    flow.flowctl(&["variables", "import", file.to_str().unwrap()]).expect(0);
    std::fs::remove_file(&file).unwrap();

    let run = flow.trigger("secretive");
    assert_eq!(flow.finished("secretive", &run).await, "failed");
    flow.task_is("secretive", &run, "use", "success").await;
    let log = flow.flowctl(&["tasks", "logs", "secretive", "use", "--run", &run]).expect(0).stdout;
    assert!(log.contains("raw ***") && log.contains("template ***"), "{log}");
    assert!(log.contains("host=db.example region=eu-north token=***"), "{log}");
    let reason = |task: &str| flow.flowctl(&["tasks", "logs", "secretive", task, "--run", &run]).expect(0).stdout;
    let shown = reason("show");
    assert!(
        shown.contains("a secret stands in the command line") && shown.contains("hint: pass it in `env`"),
        "{shown}"
    );
    let missing = reason("fail");
    assert!(missing.contains("hint: set it with `flowctl connections set absent"), "{missing}");
    let note = flow.api().xcom("secretive", &run, "use", "note").await;
    assert_eq!(note, "it is ***");

    // What an attacker could read: the folder with the database and the logs, and what commands print.
    let listed = flow.flowctl(&["connections", "list", "-o", "json"]).expect(0).stdout;
    let got = flow.flowctl(&["connections", "get", "warehouse"]).expect(0).stdout;
    let variables = flow.flowctl(&["variables", "list"]).expect(0).stdout;
    assert!(variables.contains("eu-north") && variables.contains("***"), "{variables}");
    let forms = [
        SECRET.to_owned(),
        "h1dden%2Fca".to_owned(),
        "h1dden/ca".to_owned(),
        "aDFkZGVuL2NhIG5hcn".to_owned(),
        "gxZGRlbi9j".to_owned(),
        "68316464656e2f6361".to_owned(),
        "tok-canary".to_owned(),
    ];
    for form in &forms {
        for text in [&log, &shown, &missing, &listed, &got, &variables] {
            assert!(!text.contains(form), "{form} is in {text}");
        }
    }
    flow.stop_and_audit().await;
    for form in &forms {
        assert_eq!(files_with(flow.folder(), form), Vec::<String>::new(), "{form}");
    }
    // Only who has the database and the keys can have it back.
    let exported = flow.flowctl(&["connections", "export"]).expect(0).stdout;
    let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["warehouse"]["password"], SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_while_everything_runs() {
    let mut flow = Standalone::new();
    flow.write_dag("reader", "[tasks.read]\nbash = 'echo {{ var.value.region }}'\n");
    flow.start().await;
    flow.flowctl(&["variables", "set", "region", "eu"]).expect(0);
    let before = flow.flowctl(&["secrets", "status", "-o", "json"]).expect(0).stdout;
    flow.flowctl(&["secrets", "rotate"]).expect(0);
    let after = flow.flowctl(&["secrets", "status", "-o", "json"]).expect(0).stdout;
    let keys = |text: &str| -> Vec<serde_json::Value> { serde_json::from_str(text).unwrap() };
    assert_eq!((keys(&before).len(), keys(&after).len()), (1, 1));
    assert_ne!(keys(&before)[0]["key"], keys(&after)[0]["key"]);
    assert_eq!((&keys(&after)[0]["values"], &keys(&after)[0]["encrypts"]), (&json!(1), &json!(true)));
    // The running standalone has never seen the new key.
    flow.flowctl(&["trigger", "reader", "--wait"]).expect(0);
    assert_eq!(flow.flowctl(&["variables", "get", "region"]).expect(0).stdout, "eu\n");
    flow.flowctl(&["variables", "set", "zone", "a"]).expect(0);
    flow.flowctl(&["trigger", "reader", "--wait"]).expect(0);
    // Somebody loses the keys.
    std::fs::remove_file(flow.path("state/secrets.key")).unwrap();
    let status = flow.flowctl(&["secrets", "status"]).expect(1);
    assert!(status.stderr.contains("2 values cannot be decrypted") && status.stderr.contains("hint: add the keys"));
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_comes_first_and_tasks_do_not_inherit_it() {
    let mut flow = Standalone::new()
        .env("FLOW_VAR_REGION", "from the environment")
        .env("AIRFLOW_CONN_LEGACY", "postgres://ada:hunter2-x@old.example:5432/sales");
    let dag = "[tasks.read]\nbash = '''\nenv | grep -c -e hunter2 -e FLOW_VAR && exit 1\necho \"{{ var.value.region }} {{ conn.legacy.host }}\"\n'''\n";
    flow.write_dag("reader", dag);
    flow.start().await;
    flow.flowctl(&["variables", "set", "region", "from the store"]).expect(0);
    let run = flow.trigger("reader");
    assert_eq!(flow.finished("reader", &run).await, "success");
    let value = flow.api().xcom("reader", &run, "read", "return_value").await;
    assert_eq!(value, "from the environment old.example");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_over_connections() {
    let dag = r#"
[tasks.ask]
retries = 0
output = "json"
[tasks.ask.http]
connection = "flow"
url = "api/v2/dags/{{ conf.dag }}"

[tasks.wait.http_sensor]
connection = "flow"
url = "/api/v2/dags/asks"
response_check = { path = "dag_id", equals = "asks" }
poke_interval = "1s"

[tasks.stranger.http_sensor]
connection = "nobody"
url = ""
"#;
    let mut flow = Standalone::with(&[("asks", dag)]).await;
    let token = flow.flowctl(&["tokens", "create", "robot"]).expect(0).stdout.trim().to_owned();
    let extra = json!({ "headers": { "Authorization": format!("Bearer {token}") } }).to_string();
    let url = flow.api().url().to_owned();
    flow.flowctl(&["connections", "set", "flow", "--conn-type", "http", "--host", &url, "--extra", &extra]).expect(0);
    let run = flow.flowctl(&["trigger", "asks", "--conf", r#"{"dag": "asks"}"#]).expect(0).stdout.trim().to_owned();
    flow.task_is("asks", &run, "ask", "success").await;
    flow.task_is("asks", &run, "wait", "success").await;
    flow.task_is("asks", &run, "stranger", "failed").await;
    let answer = flow.api().xcom("asks", &run, "ask", "return_value").await;
    assert_eq!(answer["dag_id"], "asks");
    flow.stop_and_audit().await;
    assert_eq!(files_with(flow.folder(), &token), Vec::<String>::new());
}

/// Values that nobody has called secret, in fields whose names say that they are.
const NAMED: &str = r#"
[params.login]
type = "object"
default = { user = "ada", password = "pw-canary-1", more = [{ api_key = "pw-canary-2" }] }
[params.text]
default = '{"a": {"client_secret": "pw-canary-3"}}'

[tasks.shell]
bash = { command = "cat > /dev/null", stdin = "{{ params.login | tojson }}" }
retries = 0
env = { DB_PASSWORD = "{{ params.login.password }}", NOTE = "{{ params.text }}" }
[tasks.code]
retries = 0
python = { call = "json:dumps", with = { obj = { login = "{{ params.login }}", text = "{{ params.text }}" } } }
[tasks.ask]
retries = 0
[tasks.ask.http]
method = "POST"
url = "http://127.0.0.1:1/"
json = { login = "{{ params.login }}", text = "{{ params.text }}" }
[tasks.query]
retries = 0
[tasks.query.sql]
sqlite = "@FOLDER@/rows.db"
query = "select 1 as n where :token <> :text"
parameters = { token = "pw-canary-4", text = "{{ params.text }}" }
[tasks.start]
retries = 0
[tasks.start.trigger_dag]
trigger_dag_id = "{{ 'absent' }}"
conf = { login = "{{ params.login }}", text = "{{ params.text }}" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rendered_fields_are_masked_by_the_names_of_fields() {
    let mut flow = Standalone::with(&[("named", NAMED)]).await;
    let run = flow.trigger("named");
    flow.finished("named", &run).await;
    for task in ["shell", "code", "ask", "query", "start"] {
        let rendered = flow.api().tries("named", &run, task).await[0]["rendered_fields"].to_string();
        assert!(rendered.contains("***") && rendered.contains("client_secret"), "{task}: {rendered}");
        let page =
            flow.api().text(&format!("/dags/named/runs/{}/tasks/{task}", run.replace('+', "%2B"))).await.unwrap();
        assert_eq!(page.0, 200);
        for text in [rendered, page.1] {
            assert!(!text.contains("pw-canary"), "{task}: {text}");
        }
    }
    flow.stop_and_audit().await;
}
