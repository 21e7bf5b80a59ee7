//! The byte order mark that programs on Windows put before text stands for nothing, wherever text comes from outside.

use std::io::{Read, Write};
use std::process::Stdio;

use flow_tests::Standalone;
use serde_json::json;

const MARK: &str = "\u{feff}";

/// Each task leaves `1`, or fails.
const DAG: &str = r#"
[params.one]
default = 0
[tasks.line]
bash = "printf '\\xef\\xbb\\xbf1\\n'"
[tasks.text]
output = "text"
bash = "printf '\\xef\\xbb\\xbf1'"
[tasks.json]
output = "json"
bash = "printf '\\xef\\xbb\\xbf1'"
[tasks.file]
output = "none"
bash = "printf '\\xef\\xbb\\xbfreturn_value=1\\n' > $FLOW_XCOM_FILE"
[tasks.shell]
bash = { script = "a.sh" }
[tasks.python]
python = { script = "a.py" }
[tasks.called]
python = { call = "marked_module:one" }
[tasks.sql.sql]
sqlite = "@FOLDER@/rows.db"
file = "a.sql"
[tasks.plugin]
plugin = "marked"
[tasks.answer]
http = { url = "@URL@" }
[tasks.answer_json]
output = "json"
http = { url = "@URL@" }
[tasks.looked]
http_sensor = { url = "@URL@", poke_interval = "100ms" }
[tasks.names]
bash = "echo {{ var.value.stdin }}{{ var.value.json }}{{ var.value.yaml }}{{ var.value.env }}{{ var.value.kept }}{{ conn.kept.port }}{{ conn.imported.port }}{{ params.one }} | tr -s 1"
"#;

/// An address where every request is answered with a marked `1`.
fn marked_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n{MARK}1");
        }
    });
    url
}

fn marked(flow: &Standalone, path: &str, text: &str) {
    let path = flow.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("{MARK}{text}")).unwrap();
}

/// Files of the DAG folder, of secrets, and of settings.
fn write_files(flow: &Standalone) {
    marked(flow, "flow.toml", "[secrets]\nfolder = 'kept'\n");
    marked(flow, "kept/variables/kept", "1\n");
    marked(flow, "kept/connections/kept", "http://host:1\n");
    marked(flow, "dags/a.sh", "#!/bin/bash\necho 1\n");
    marked(flow, "dags/a.py", "import marked_module\nprint(marked_module.one())\n");
    marked(flow, "dags/marked_module.py", "def one(**names):\n    return 1\n");
    marked(flow, "dags/a.sql", "select 1 as n;\n");
    let plugin = "#!/bin/sh\ncat > /dev/null &\nprintf '\\357\\273\\277{\"type\":\"result\",\"state\":\"success\",\"value\":1}\\n'\n";
    marked(flow, "dags/plugins/marked", plugin);
    let dag = format!("{MARK}{DAG}").replace("@URL@", &marked_server());
    flow.write_dag("marked", &dag);
}

/// What people and programs send to it.
fn send_names(flow: &Standalone) {
    let mut set = flow.program().command(&["variables", "set", "stdin", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(format!("{MARK}1\n").as_bytes()).unwrap();
    assert!(set.wait().unwrap().success());
    for (what, file, text) in [
        ("variables", "v.json", r#"{"json": "1"}"#),
        ("variables", "v.yaml", "yaml: '1'\n"),
        ("variables", "v.env", "env=1\n"),
        ("connections", "c.json", r#"{"imported": {"conn_type": "http", "port": 1}}"#),
    ] {
        marked(flow, file, text);
        flow.flowctl(&[what, "import", file]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_stands_for_nothing() {
    let mut flow = Standalone::new();
    write_files(&flow);
    flow.start().await;
    send_names(&flow);
    marked(&flow, "conf.json", r#"{"one": 1}"#);
    let run = flow.flowctl(&["trigger", "marked", "--conf", "@conf.json", "--wait"]);
    let run = run.expect(0).stdout.split_whitespace().next().unwrap_or_default().to_owned();
    for task in DAG.lines().filter_map(|line| line.strip_prefix("[tasks.")) {
        let task = task.trim_end_matches("]").trim_end_matches(".sql");
        let value = flow.api().xcom("marked", &run, task, "return_value").await;
        let is_one = value == 1 || value == "1" || value == json!([{ "n": 1 }]) || task == "sql" && !value.is_null();
        assert!(is_one, "{task}: {value}");
    }
    flow.stop_and_audit().await;
}

/// The bodies of requests: of the API, of hooks, and JSON in forms.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_may_begin_with_it() {
    let dag =
        "schedule = { webhook = { name = 'x', secret = 'x' } }\n[params.a]\ndefault = 0\n[tasks.a]\nnoop = true\n";
    let mut flow = Standalone::new().env("FLOW_VAR_X", "s");
    flow.write_dag("hooked", dag);
    flow.start().await;
    let script = r#"
body=$(printf '\357\273\277{"a": 1}')
time=$(date +%s)
signature=$(printf '%s.%s' "$time" "$body" | openssl dgst -sha256 -hmac s | sed 's/.* //')
curl -sS -o /dev/null -w '%{http_code} ' "$url/hooks/x" -H "X-Flow-Timestamp: $time" -H "X-Flow-Signature: sha256=$signature" -d "$body"
curl -sS -o /dev/null -w '%{http_code} ' "$url/api/v2/dags/hooked/dagRuns" -H "Authorization: Bearer $token" -H 'content-type: application/json' -d "$(printf '\357\273\277{"conf": {"a": 1}}')"
curl -sS -o /dev/null -w '%{http_code}' "$url/dags/hooked/trigger" -H "Authorization: Bearer $token" --data-urlencode "conf=$body"
"#;
    let output = std::process::Command::new("bash")
        .args(["-euc", script])
        .envs([("url", flow.api().url()), ("token", flow.api().token()), ("no_proxy", "*")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "202 200 303", "{output:?}");
    flow.stop_and_audit().await;
}
