//! Callbacks from the DAG file to what they do, and messages as tasks.

use flow_tests::{Standalone, eventually};
use serde_json::{Value, json};

const DAG: &str = r#"
on_failure = [{ command = ["sh", "-c", "echo run $FLOW_EVENT >> @FOLDER@/told"] }]
on_success = [{ command = ["sh", "-c", "echo run $FLOW_EVENT >> @FOLDER@/told"] }]

[tasks.unreliable]
retries = 2
retry_delay = "100ms"
bash = "test {{ try_number }} -gt 2"
on_retry = [{ command = ["sh", "-c", 'echo "retry $FLOW_TRY_NUMBER: $1" >> @FOLDER@/told', "sh", "{{ reason }} {{ params.text }}"] }]
on_success = [
    { command = ["sh", "-c", "echo success >> @FOLDER@/told"] },
    { command = ["false"] },
    { command = ["echo", "{{ params.text.nothing_like_it }}"] },
]
params = { text = "$(id); `id`" }

[tasks.skips]
bash = "exit 99"
on_skipped = [{ command = ["sh", "-c", "echo skipped >> @FOLDER@/told"] }]
on_failure = [{ command = ["sh", "-c", "echo never >> @FOLDER@/told"] }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_told_once() {
    let mut flow = Standalone::with(&[("calls", DAG)]).await;
    let run = flow.trigger("calls");
    assert_eq!(flow.finished("calls", &run).await, "success");
    let path = format!("/api/flow/dags/calls/dagRuns/{}/callbacks", run.replace('+', "%2B").replace(':', "%3A"));
    let callbacks = eventually("every callback is tried", async || {
        let callbacks = flow.api().get(&path).await["callbacks"].as_array().cloned()?;
        let is_tried = |callback: &Value| !callback["results"].as_array().unwrap().is_empty();
        (callbacks.len() == 5 && callbacks.iter().all(is_tried)).then_some(callbacks)
    })
    .await;
    let told = std::fs::read_to_string(flow.path("told")).unwrap();
    let mut told: Vec<&str> = told.lines().collect();
    told.sort_unstable();
    let retry = |number| format!("retry {number}: exit code 1 $(id); `id`");
    assert_eq!(told, [&retry(1), &retry(2), "run success", "skipped", "success"]);
    let success =
        callbacks.iter().find(|callback| callback["task_id"] == "unreliable" && callback["event"] == "success");
    let success = success.unwrap();
    // It is tried again: what has been reached, is not told twice.
    assert_eq!((&success["state"], &success["tries"]), (&json!("pending"), &json!(1)));
    let said: Vec<&str> =
        success["results"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert_eq!(said[..2], ["exit code 0", "exit code 1"]);
    assert!(said[2].contains("nothing_like_it"), "{said:?}");
    let listed = flow.flowctl(&["callbacks", "calls"]).expect(0).stdout;
    assert!(listed.contains("command: exit code 0; command: exit code 1"), "{listed}");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_sent_signed_and_escaped() {
    let hook = r#"
schedule = { webhook = { name = "told", secret = "hook_key" } }
[tasks.show]
bash = "echo {{ conf.message }}"
"#;
    let sender = r#"
[tasks.send.webhook]
connection = "flow"
url = "hooks/told"
json = { message = "{{ conf.text }}" }
secret = "hook_key"

[tasks.wrong]
retries = 0
[tasks.wrong.webhook]
connection = "flow"
url = "hooks/told"
json = { message = "unsigned" }
"#;
    let mut flow = Standalone::with(&[("told", hook), ("sends", sender)]).await;
    let url = flow.api().url().to_owned();
    flow.flowctl(&["connections", "set", "flow", "--conn-type", "http", "--host", &url]).expect(0);
    flow.flowctl(&["variables", "set", "hook_key", "a-key-that-nobody-knows", "--secret"]).expect(0);
    let text = "\"}, {\"message\": \"other\u{1f600}\\";
    let conf = json!({ "text": text }).to_string();
    let run = flow.flowctl(&["trigger", "sends", "--conf", &conf]).expect(0).stdout.trim().to_owned();
    flow.task_is("sends", &run, "send", "success").await;
    flow.task_is("sends", &run, "wrong", "failed").await;
    let started = eventually("the message starts a run", async || {
        let runs = flow.api().get("/api/v2/dags/told/dagRuns").await;
        let runs = runs["dag_runs"].as_array().cloned()?;
        (runs.len() == 1).then(|| runs[0].clone())
    })
    .await;
    assert_eq!(started["conf"]["message"], text);
    flow.stop_and_audit().await;
}
