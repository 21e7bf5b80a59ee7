//! Hostile values on their way from a run's conf into processes, databases, requests, messages, other runs and callbacks: each
//! arrives as what it is, and nothing that is in it ever happens.

use std::collections::BTreeSet;
use std::time::Duration;

use flow_tests::{HttpEcho, Random, Standalone, eventually, eventually_within};
use serde_json::{Value, json};

const DAG: &str = r#"
max_active_tasks = 100
[params]
values = { type = "array", items = { type = "string" } }

[default_args]
retries = 0
output = "json"

[tasks.shell]
expand = { v = "{{ params.values }}" }
bash = '''
tell() { python3 -c 'import json, os, sys; print(json.dumps(sys.argv[1:] + [os.environ["X"]]))' "$@"; }
{% set captured %}{{ v }}{% endset %}
tell {{ v }} "a {{ v }}" '{{ v }}' "$(cat <<EOF
{{ v }}.
EOF
)" "$(cat <<'EOF'
$v {{ v }}.
EOF
)" {{ captured }} "$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])[0] + ".")' {{ [v] | tojson }})"
'''
env = { X = "{{ v }}" }

[tasks.program]
expand = { v = "{{ params.values }}" }
command = { argv = ["python3", "-c", "import json, os, sys; print(json.dumps([sys.argv[1], os.environ['X'], sys.stdin.buffer.read().decode()]))", "{{ v }}"], stdin = "{{ v }}" }
env = { X = "{{ v }}" }

[tasks.script]
expand = { v = "{{ params.values }}" }
python = { code = "import json, sys; print(json.dumps(sys.argv[1:]))", args = ["{{ v }}", "--x={{ v }}"] }

[tasks.stored]
expand = { v = "{{ params.values }}" }
sql = { sqlite = "@FOLDER@/values.db", query = "create table if not exists t (v); insert into t values (:v); select :v as v, :list as list", parameters = { v = "{{ v }}", list = "['{{ v }}']" }, fetch = "first" }

[tasks.sent]
expand = { v = "{{ params.values }}" }
map_index_template = "{{ v }}"
on_success = [{ webhook = { url = "@ECHO@/told/{{ map_index }}", json = { label = "{{ v }}", "{{ v }}" = 1 } } }]
[tasks.sent.http]
url = "@ECHO@/a/x{{ v }}/b?q={{ v }}#{{ v }}"
method = "POST"
query = { more = "{{ v }}" }
json = { text = "{{ v }}", list = ["<{{ v }}>"] }

[tasks.headed]
expand = { v = "{{ params.values }}" }
http = { url = "@ECHO@/headed", headers = { "X-Value" = "a{{ v }}b" } }

[tasks.awaited]
expand = { v = "{{ params.values }}" }
http_sensor = { url = "@ECHO@/x{{ v }}/b", headers = { "X-Place" = "{{ map_index }}" } }

[tasks.again]
expand = { v = "{{ params.values }}" }
output = "none"
trigger_dag = { trigger_dag_id = "child", trigger_run_id = "child-{{ map_index }}", conf = { v = "{{ v }}", rendered = "{{ '{{' }} v {{ '}}' }}" } }

[tasks.stop]
expand = { v = "{{ params.values }}" }
bash = 'exit 7'
failure_rules = [{ exit_code = 7, action = "fail", reason = "because" }]
on_failure = [{ command = ["sh", "-c", 'printf "%s#END#" "$1" >> @FOLDER@/reasons', "sh", "{{ reason }} {{ v }}"] }]
"#;

const CHILD: &str = r#"
max_active_runs = 100
[tasks.show]
command = ["printf", "%s|%s", "{{ conf.rendered }}", "{{ params.v }}"]
output = "text"
"#;

/// What means something to a shell, a database, a template engine, a URL, a protocol or a program's options.
const KNOWN: [&str; 20] = [
    "$(touch @FOLDER@/owned) `touch @FOLDER@/owned`",
    "'; touch @FOLDER@/owned; '",
    "\" || touch @FOLDER@/owned #",
    "--version",
    "a\nEOF\ntouch @FOLDER@/owned\n",
    "'); drop table t; --",
    "\\'; drop table t; /*",
    "{{ conn.db.password }}{% for x in range(9) %}{# #}",
    "{{ params | tojson }}",
    "../../admin?x=1#y",
    "//evil.example/",
    "@evil.example",
    "%2e%2e%2f %00",
    "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1",
    "é ünïcode \u{1f600} \u{202e}",
    "*",
    "~ $HOME ${PATH} !!",
    "=1+1",
    "\u{1b}[31m\u{7f}",
    " leading, trailing and tab\t",
];

fn values(folder: &str) -> Vec<String> {
    let alphabet: Vec<char> = "ab'\"`$\\(){}[]<>|&;*?!#~%/:@=+-. \n\té√".chars().collect();
    let mut random = Random::new(20_261_127);
    let mut values: Vec<String> = KNOWN.iter().map(|known| known.replace("@FOLDER@", folder)).collect();
    values.extend((0..4).map(|_| (0..random.between(1, 24)).map(|_| alphabet[random.index(alphabet.len())]).collect()));
    values
}

fn escaped(run: &str) -> String {
    run.replace('+', "%2B").replace(':', "%3A")
}

async fn xcom(flow: &Standalone, run: &str, task: &str, index: usize) -> Value {
    let instance = format!("/api/v2/dags/sinks/dagRuns/{}/taskInstances/{task}", escaped(run));
    flow.api().get(&format!("{instance}/xcomEntries/return_value?map_index={index}")).await["value"].clone()
}

/// Steps of the path and query pairs of a request, decoded.
fn target(head: &Value) -> (Vec<String>, Vec<(String, String)>) {
    let target = head.as_str().and_then(|head| head.split(' ').nth(1)).expect("a request line");
    let url = reqwest::Url::parse(&format!("http://h{target}")).expect("a URL");
    (url.path_segments().unwrap().map(percent_decoded).collect(), url.query_pairs().into_owned().collect())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits = (byte == b'%').then(|| [rest.next().unwrap_or(0), rest.next().unwrap_or(0)]);
        let decoded = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
    }
    String::from_utf8(bytes).expect("it was UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_arrives_as_what_it_is() {
    let echo = HttpEcho::start();
    let mut flow = Standalone::new();
    flow.write_dag("sinks", &DAG.replace("@ECHO@", &echo.url()));
    flow.write_dag("child", CHILD);
    flow.start().await;
    let values = values(&flow.folder().display().to_string());
    let conf = json!({ "values": values }).to_string();
    let run = flow.flowctl(&["trigger", "sinks", "--conf", &conf]).expect(0).stdout.trim().to_owned();
    // Hundreds of processes, on a machine that may be busy.
    let state = eventually_within(Duration::from_secs(180), "the run ends", async || {
        Some(flow.api().run_state("sinks", &run).await).filter(|state| state == "success" || state == "failed")
    });
    assert_eq!(state.await, "failed", "`stop` and some headers fail");

    for (index, v) in values.iter().enumerate() {
        let at = async |task: &str| xcom(&flow, &run, task, index).await;
        assert_eq!(
            at("shell").await,
            json!([v, format!("a {v}"), v, format!("{v}."), format!("$v {v}."), v, format!("{v}."), v])
        );
        assert_eq!(at("program").await, json!([v, v, v]));
        assert_eq!(at("script").await, json!([v, format!("--x={v}")]));
        assert_eq!(at("stored").await, json!({ "v": v, "list": format!("['{v}']") }));

        let sent = at("sent").await;
        let (path, query) = target(&sent["head"]);
        assert_eq!(path, ["a".to_owned(), format!("x{v}"), "b".to_owned()]);
        assert_eq!(query, [("q".to_owned(), v.clone()), ("more".to_owned(), v.clone())]);
        let body: Value = serde_json::from_str(sent["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({ "text": v, "list": [format!("<{v}>")] }));

        let headed = at("headed").await;
        if !v.chars().any(|c| c != '\t' && c.is_ascii_control()) {
            let head = headed["head"].as_str().unwrap_or_default();
            assert!(head.contains(&format!("\r\nx-value: a{v}b\r\n")), "{v:?}: {headed}");
        } else {
            assert_eq!(headed, Value::Null, "{v:?}");
        }
        let awaited = at("awaited").await;
        assert_eq!(target(&awaited["head"]).0, [format!("x{v}"), "b".to_owned()]);

        let child = format!("child-{index}");
        assert_eq!(flow.finished("child", &child).await, "success");
        let shown = flow.api().xcom("child", &child, "show", "return_value").await;
        assert_eq!(shown, format!("{{{{ v }}}}|{v}"));
    }
    told_by_callbacks(&flow, &echo, &values).await;
    let path = format!("/api/v2/dags/sinks/dagRuns/{}/taskInstances?limit=1000", escaped(&run));
    let instances = flow.api().get(&path).await["task_instances"].as_array().cloned().unwrap();
    let sent = instances.iter().filter(|one| one["task_id"] == "sent");
    let names: BTreeSet<&str> = sent.filter_map(|one| one["rendered_map_index"].as_str()).collect();
    assert_eq!(names, values.iter().map(String::as_str).collect());

    assert!(!flow.path("owned").exists(), "a value was run as code");
    let is_clean = |head: &str| !head.to_lowercase().contains("\nx-evil") && !head.starts_with("GET /evil");
    assert!(echo.requests().iter().all(|raw| is_clean(&raw.head)));
    flow.stop_and_audit().await;
}

/// Each value once, in whatever order.
async fn told_by_callbacks(flow: &Standalone, echo: &HttpEcho, values: &[String]) {
    let (told, reasons) = eventually("every callback is told", async || {
        let told: Vec<_> = echo.requests().into_iter().filter(|raw| raw.head.contains("/told/")).collect();
        let reasons = std::fs::read_to_string(flow.path("reasons")).unwrap_or_default();
        (told.len() == values.len() && reasons.matches("#END#").count() == values.len()).then_some((told, reasons))
    })
    .await;
    for raw in told {
        let index: usize = target(&json!(raw.head)).0[1].parse().unwrap();
        let body: Value = serde_json::from_str(&raw.body).unwrap();
        assert_eq!(body, json!({ "label": values[index], "{{ v }}": 1 }));
    }
    let reasons: BTreeSet<String> = reasons.split_terminator("#END#").map(str::to_owned).collect();
    assert_eq!(reasons, values.iter().map(|v| format!("because {v}")).collect());
}
