//! What came in from outside, and what should have been told before it ran.

use std::process::Command;

use serde_json::{Value, json};

use super::Place;

const TEMPLATES: &str = r#"[tasks.a]
bash = "arr=(1 2 3); echo ${#arr[@]}"
[tasks.b]
bash = "echo {{ ds | nosuchfilter }}"
[tasks.c]
bash = "echo {{ xcom.zzz }} {{ params.q }} {{ undefined_thing }}"
[tasks.d]
bash = "echo {% if %}"
"#;

pub(super) fn the_check_looks_into_templates(place: &Place) {
    std::fs::write(place.path("templates.toml"), TEMPLATES).unwrap();
    let checked = place.flowctl(&["dags", "check", "templates.toml"]).expect(2);
    let told = checked.stdout + &checked.stderr;
    for (line, words) in [
        (2, &["begins a comment", "{% raw %}"][..]),
        (4, &["nosuchfilter"]),
        (6, &["zzz"]),
        (6, &["`q`"]),
        (6, &["undefined_thing"]),
        (8, &["write a condition"]),
    ] {
        assert!(told.contains(&format!("templates.toml:{line}:")), "line {line}: {told}");
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    }
}

pub(super) const HOOK_SECRET: &str = "a secret of the shop's";

const GITHUB: &str = r#"
schedule = { webhook = { name = "shop", secret = "orders_hook", scheme = "github", key = "payload" } }
[tasks.show]
bash = 'echo {{ params.payload.action }}'
"#;

/// GitHub's default content type; the bytes of the form are signed.
const DELIVERY: &str = r#"
signature=$(printf '%s' "$body" | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //')
curl -sS -w '\n%{http_code}' "$url/hooks/shop" -H "X-GitHub-Event: $event" -H "X-GitHub-Delivery: $event-1" \
    -H "X-Hub-Signature-256: sha256=$signature" -H "Content-Type: $kind" --data-binary "$body"
"#;

fn deliver(place: &Place, event: &str, kind: &str, body: &str) -> (String, Value) {
    let output = Command::new("sh")
        .args(["-euc", DELIVERY])
        .envs([("event", event), ("kind", kind), ("body", body), ("secret", HOOK_SECRET)])
        .envs([("url", place.api.url()), ("no_proxy", "*")])
        .output()
        .expect("there is a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    (status.to_owned(), serde_json::from_str(answer).unwrap_or(Value::Null))
}

pub(super) async fn a_form_from_github_starts_a_run(place: &Place) {
    place.publish("from_github", GITHUB).await;
    let form = "application/x-www-form-urlencoded";
    let body = "payload=%7B%22action%22%3A+%22opened%22%7D";
    assert_eq!(deliver(place, "ping", form, body).0, "200");
    let deliveries = [
        ("push", form, body.to_owned()),
        // With a byte order mark, as JSON.
        ("issues", "application/json", "\u{feff}{\"action\": \"opened\"}".to_owned()),
    ];
    for (event, kind, body) in deliveries {
        let (status, started) = deliver(place, event, kind, &body);
        assert_eq!(status, "202", "{started}");
        let run = started["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
        assert_eq!(place.end("from_github", &run).await, "success");
        assert_eq!(place.left("from_github", &run, "show").await, json!("opened"));
    }
}
