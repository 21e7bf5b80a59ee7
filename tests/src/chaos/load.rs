//! The load: runs are triggered as fast as they finish.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::dags;
use crate::api::Api;
use crate::random::Random;

/// Runs at once.
const RUNS_MAX: i64 = 10;
const PAUSE: Duration = Duration::from_millis(100);
/// Answers: created, and there already.
const CREATED: [u16; 3] = [200, 201, 409];

/// Triggers runs until it is stopped. Returns the ids of those that the web role has promised.
pub async fn run(api: Api, mut random: Random, stop: CancellationToken) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    let mut number = 0_u64;
    while !stop.is_cancelled() {
        tokio::time::sleep(PAUSE).await;
        let open = api.get("/api/v2/dags/~/dagRuns?state=running&state=queued&limit=1").await;
        if open["total_entries"].as_i64().is_none_or(|count| count >= RUNS_MAX) {
            continue;
        }
        let dag = dags::NAMES[random.index(dags::NAMES.len())];
        number += 1;
        let run_id = format!("load_{number}");
        let body = json!({ "dag_run_id": run_id, "logical_date": null });
        // Asked again until there is an answer: the same id twice is one run.
        while !stop.is_cancelled() {
            match api.ask(Method::POST, &format!("/api/v2/dags/{dag}/dagRuns"), Some(&body)).await {
                Ok((status, _)) if CREATED.contains(&status) => {
                    acknowledged.insert(run_id);
                    break;
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
    acknowledged
}
