//! Signed requests start runs, each event one.

use std::process::Command;

use flow_tests::{Standalone, eventually};
use serde_json::Value;

/// GitHub's scheme: the body is signed, the id of the delivery stands beside it.
const GITHUB: &str = r#"
schedule = { webhook = { name = "github", secret = "orders_hook", scheme = "github", key = "payload" } }
[tasks.show]
bash = 'echo {{ params.payload.action }}'
"#;

const DELIVERY: &str = r#"
signature=$(printf '%s' "$body" | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //')
curl -sS -w '\n%{http_code}' "$url/hooks/github" -H "X-GitHub-Event: $event" -H "X-GitHub-Delivery: 72d3162e" \
    -H "X-Hub-Signature-256: sha256=$signature" --data-binary "$body"
"#;

fn deliver(flow: &Standalone, event: &str) -> (String, Value) {
    let script = format!("event={event}; body='{{\"action\": \"opened\"}}'\n{DELIVERY}");
    run(flow, SECRET, &script)
}

#[tokio::test(flavor = "multi_thread")]
async fn github_is_answered_and_its_ping_starts_nothing() {
    let flow = Standalone::new();
    flow.write_dag("github", GITHUB);
    let mut flow = flow.env("FLOW_VAR_ORDERS_HOOK", SECRET);
    flow.start().await;
    let (status, answer) = deliver(&flow, "ping");
    assert_eq!((status.as_str(), &answer["dag_runs"]), ("200", &Value::Array(Vec::new())), "{answer}");
    let (status, started) = deliver(&flow, "pull_request");
    assert_eq!(status, "202", "{started}");
    let run = started["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
    assert_eq!(flow.finished("github", &run).await, "success");
    assert_eq!(deliver(&flow, "pull_request"), ("200".to_owned(), started), "delivered again");
    flow.stop_and_audit().await;
}

const SECRET: &str = "a secret of the shop's";

/// How docs/starts.md signs a request with curl and openssl, in a shell. The last line of the output is the status.
fn send(flow: &Standalone, secret: &str, change: impl Fn(String) -> String) -> (String, Value) {
    let page = include_str!("../../../../docs/starts.md");
    let script = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page shows how");
    assert!(script.contains("curl -sS "), "{script}");
    run(flow, secret, &change(script.replace("curl -sS ", "curl -sS -w '\\n%{http_code}' ")))
}

/// Runs a script in a shell. The last line of its output is the status.
fn run(flow: &Standalone, secret: &str, script: &str) -> (String, Value) {
    let output = Command::new("sh")
        .args(["-euc", script])
        .env("secret", secret)
        .env("url", flow.api().url())
        .env("no_proxy", "*")
        .output()
        .expect("there is a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    (status.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_starts_a_run_once() {
    let page = include_str!("../../../../docs/starts.md");
    let dag =
        page.split("```toml\n").find(|block| block.contains("[tasks.load]")).unwrap().split("```").next().unwrap();
    let flow = Standalone::new();
    flow.write_dag("orders", dag);
    let mut flow = flow.env("FLOW_VAR_ORDERS_HOOK", SECRET).env("FLOW_VAR_NEW_HOOK", "the secret after");
    flow.start().await;

    let (status, first) = send(&flow, SECRET, |script| script);
    assert_eq!(status, "202", "{first}");
    let run = first["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
    assert_eq!(flow.finished("orders", &run).await, "success");
    let log = flow.api().log("orders", &run, "load", 1).await.unwrap();
    assert!(log.iter().any(|line| line == "loading order 17"), "{log:?}");

    assert_eq!(send(&flow, SECRET, |script| script), ("200".to_owned(), first.clone()));
    // Recorded by somebody, and sent again later.
    let (status, _) = send(&flow, SECRET, |script| script.replace("$(date +%s)", "$(( $(date +%s) - 3600 ))"));
    assert_eq!(status, "401");
    assert_eq!(send(&flow, "guess", |script| script).0, "401");
    assert_eq!(send(&flow, SECRET, |script| script.replace("/hooks/orders", "/hooks/other")).0, "401");
    let other_id =
        |script: String| script.replace("-H \"X-Flow-Event-Id: $event_id\"", "-H 'X-Flow-Event-Id: order-18'");
    assert_eq!(send(&flow, SECRET, other_id).0, "401", "the id is signed");
    let wrong = |script: String| script.replace("\"order\": 17", "\"order\": 0").replace("'order-17'", "'order-0'");
    let (status, refused) = send(&flow, SECRET, wrong);
    assert_eq!((status.as_str(), refused["errors"][0]["name"].as_str()), ("422", Some("order")));
    let big = flow.path("big.json");
    std::fs::write(&big, format!(r#"{{"order": 1, "text": "{}"}}"#, "x".repeat(1 << 20))).unwrap();
    let too_big = |script: String| script.replace("\"$body\"", &format!("@{}", big.display()));
    assert_eq!(send(&flow, SECRET, too_big).0, "413");

    // It survives a crash: what was counted stays counted.
    flow.kill();
    flow.start().await;
    assert_eq!(send(&flow, SECRET, |script| script), ("200".to_owned(), first.clone()));
    let another = |script: String| script.replace("'order-17'", "'order-18'");
    assert_eq!(send(&flow, SECRET, another).0, "202");
    // The secret is changed: for a while both count.
    let changing = dag.replace("secret = \"orders_hook\"", "secret = \"new_hook\", previous_secret = \"orders_hook\"");
    assert_ne!(changing, dag);
    flow.write_dag("orders", &changing);
    eventually("the new secret counts", async || {
        (send(&flow, "the secret after", |script| script) == ("200".to_owned(), first.clone())).then_some(())
    })
    .await;
    assert_eq!(send(&flow, SECRET, |script| script), ("200".to_owned(), first.clone()));
    flow.write_dag("orders", &changing.replace(", previous_secret = \"orders_hook\"", ""));
    eventually("the old one does not", async || (send(&flow, SECRET, |script| script).0 == "401").then_some(())).await;
    let shown = eventually("both runs are listed", async || {
        let shown = flow.flowctl(&["runs", "list", "orders"]).expect(0).stdout;
        (shown.matches("asset_triggered__").count() == 2).then_some(shown)
    })
    .await;
    assert!(shown.contains("asset_triggered"), "{shown}");
    let shown = flow.flowctl(&["runs", "show", "orders", &run]).expect(0).stdout;
    assert!(shown.contains("webhook orders"), "{shown}");
    flow.stop_and_audit().await;
}
