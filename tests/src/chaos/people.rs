//! People, and senders of events: they answer what is asked, and send what has happened, again and again until somebody hears.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// The secret of the webhook, which the web role finds in its environment.
pub const SECRET: (&str, &str) = ("FLOW_VAR_ORDERS_HOOK", "a secret of the shop's");

const PAUSE: Duration = Duration::from_millis(300);

/// Answers every open question that waits for somebody, until it is stopped. How many answers counted.
pub async fn answer(api: Api, stop: CancellationToken) -> u64 {
    let mut counted = 0;
    let mut is_last_look = false;
    loop {
        let open = api.get("/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false&limit=50").await;
        for asked in open["hitl_details"].as_array().into_iter().flatten() {
            // The others are answered by their time.
            if asked["subject"] != "Go on?" {
                continue;
            }
            let of = &asked["task_instance"];
            let text = |name: &str| of[name].as_str().unwrap_or_default().replace('+', "%2B").replace(':', "%3A");
            let path = format!(
                "/api/v2/dags/{}/dagRuns/{}/taskInstances/{}/-1/hitlDetails",
                text("dag_id"),
                text("dag_run_id"),
                text("task_id")
            );
            let body = json!({ "chosen_options": ["Approve"], "params_input": {} });
            // Two at once.
            let (one, other) =
                tokio::join!(api.ask(Method::PATCH, &path, Some(&body)), api.ask(Method::PATCH, &path, Some(&body)));
            counted += [one, other].iter().filter(|answer| matches!(answer, Ok((200, _)))).count() as u64;
        }
        if is_last_look {
            return counted;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.cancelled() => is_last_look = true,
        }
    }
}

/// Sends signed events, each several times, until it is stopped. The runs that were promised for each.
pub async fn send_events(api: Api, stop: CancellationToken) -> BTreeMap<u64, Vec<String>> {
    let mut promised: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut number = 0_u64;
    while !stop.is_cancelled() {
        number += 1;
        for sent in [number, number, number.saturating_sub(3).max(1)] {
            if let Some(run) = send(&api, sent).await {
                promised.entry(sent).or_default().push(run);
            }
        }
        tokio::time::sleep(PAUSE * 4).await;
    }
    promised
}

#[expect(clippy::disallowed_methods, reason = "a sender outside of Flow has no other clock")]
async fn send(api: &Api, number: u64) -> Option<String> {
    let (body, id) = (json!({ "order": number }).to_string(), format!("order-{number}"));
    let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs().to_string();
    let signature = sign(&format!("{timestamp}.{id}.{body}"))?;
    let request = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().ok()?;
    let answer = request
        .post(format!("{}/hooks/orders", api.url()))
        .header("X-Flow-Timestamp", timestamp)
        .header("X-Flow-Event-Id", id)
        .header("X-Flow-Signature", format!("sha256={signature}"))
        .header("Content-Type", "application/json")
        .body(body)
        .send()
        .await
        .ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let told: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
    told["dag_runs"][0]["dag_run_id"].as_str().map(str::to_owned)
}

fn sign(text: &str) -> Option<String> {
    let script = "printf '%s' \"$1\" | openssl dgst -sha256 -hmac \"$2\" | sed 's/.* //'";
    let output = Command::new("sh").args(["-c", script, "sh", text, SECRET.1]).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
