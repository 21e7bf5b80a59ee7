use std::time::Duration;

use axum::http::StatusCode;
use flow_model::Dag;
use flow_queue::Bell;
use flow_store::OutcomeKind;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fixture::{Site, dag, on_both_databases, pretty};

const RUNS: &str = "/api/v2/dags/sales/dagRuns";

async fn a_run_is_triggered_and_shown(site: Site) {
    let mut bell = site.queue.listen(Bell::Scheduler);
    let body = json!({ "conf": { "rows": 5, "extra": true }, "note": "by hand", "logical_date": null });
    let created = site.ask("POST", RUNS, Some(body)).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.text);
    assert_snapshot!("run_created", pretty(&created.json()));
    tokio::time::timeout(Duration::from_secs(5), bell.rang()).await.expect("the scheduler is woken");

    let plain = site.ask("POST", RUNS, None).await.json();
    assert_eq!(plain["logical_date"], "2026-01-01T06:00:00+00:00");
    assert_ne!(plain["dag_run_id"], created.json()["dag_run_id"], "a generated id never clashes");
}

async fn a_wrong_trigger_says_everything_that_is_wrong(site: Site) {
    let body = json!({ "conf": { "rows": 0, "region": "mars" } });
    let refused = site.ask("POST", RUNS, Some(body)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_snapshot!("trigger_refused", pretty(&refused.json()));
    for body in [
        json!({ "dag_run_id": "a b" }),
        json!({ "logical_date": "yesterday" }),
        json!({ "conf": [1] }),
        json!({ "note": "x".repeat(1_001) }),
        json!({ "data_interval_begin": "2026-01-31T06:00:00Z" }),
    ] {
        let refused = site.ask("POST", RUNS, Some(body)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    }
    site.trigger("one").await;
    let again = site.ask("POST", RUNS, Some(json!({ "dag_run_id": "one" }))).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.json()["hint"].as_str().unwrap().contains("another run id"), "{}", again.text);
}

/// Days from midnight to midnight.
fn by_intervals() -> Dag {
    let rules = json!([{ "cron": { "expression": "0 0 * * *", "timezone": "UTC" } }]);
    dag("days", json!({ "times": { "rules": rules, "data_intervals": true } }))
}

async fn a_run_gets_the_interval_that_is_asked_for_or_the_last_complete_one(site: Site) {
    site.publish(&by_intervals(), false).await;
    let interval = |run: &Value| (run["data_interval_start"].clone(), run["data_interval_end"].clone());
    let (start, end) = ("2026-01-05T03:00:00+00:00", "2026-01-06T04:30:00+00:00");
    let (noon, day) = ("2026-01-03T12:00:00+00:00", ["2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"]);
    for dag_id in ["days", "sales"] {
        let path = format!("/api/v2/dags/{dag_id}/dagRuns");
        let ask = async |body: Value| {
            let answer = site.ask("POST", &path, Some(body)).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            interval(&answer.json())
        };
        let given = (json!(start), json!(end));
        assert_eq!(ask(json!({ "data_interval_start": start, "data_interval_end": end })).await, given);
        let written = json!({ "logical_date": null, "data_interval_start": start, "data_interval_end": end });
        assert_eq!(ask(written).await, given, "a run without a logical date, too");
        let same = json!({ "data_interval_start": start, "data_interval_end": start });
        assert_eq!(ask(same).await, (json!(start), json!(start)));
        let complete = if dag_id == "days" { (json!(day[0]), json!(day[1])) } else { (json!(noon), json!(noon)) };
        assert_eq!(ask(json!({ "logical_date": noon })).await, complete);
        let neither = json!({ "logical_date": noon, "data_interval_start": null, "data_interval_end": null });
        assert_eq!(ask(neither).await, complete);
        assert_eq!(ask(json!({ "logical_date": null })).await, (Value::Null, Value::Null));
        for (body, problem, hint) in [
            (json!({ "data_interval_start": start }), "needs both its ends", "or neither"),
            (json!({ "data_interval_end": end, "logical_date": null }), "needs both its ends", "or neither"),
            (json!({ "data_interval_start": end, "data_interval_end": start }), "before it begins", "swap"),
        ] {
            let refused = site.ask("POST", &path, Some(body)).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
            assert!(refused.json()["detail"].as_str().unwrap().contains(problem), "{}", refused.text);
            assert!(refused.json()["hint"].as_str().unwrap().contains(hint), "{}", refused.text);
        }
        let unreadable = site.ask("POST", &path, Some(json!({ "data_interval_start": "x", "data_interval_end": end })));
        assert_eq!(unreadable.await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

async fn runs_are_listed_by_state_and_order(site: Site) {
    for run in ["a", "b", "c"] {
        site.trigger(run).await;
        site.clock.advance(Duration::from_secs(1));
    }
    let c = site.store.find_run("sales", "c").await.unwrap();
    site.store.mark_run(site.store.now(), c.id, flow_model::RunState::Failed, "tester").await.unwrap();
    for (query, expected) in [
        ("", vec!["c", "b", "a"]),
        ("?order_by=id", vec!["a", "b", "c"]),
        ("?order_by=-run_after&limit=2", vec!["c", "b"]),
        ("?order_by=end_date", vec!["c", "a", "b"]),
        ("?state=queued", vec!["b", "a"]),
        ("?state=queued&state=running&order_by=run_after", vec!["a", "b"]),
        ("?state=failed", vec!["c"]),
        ("?state=failed&state=queued&offset=1", vec!["b", "a"]),
        ("?state=success", vec![]),
        ("?reason=marked", vec!["c"]),
        ("?state=failed&reason=marked&reason=cancelled", vec!["c"]),
        ("?reason=cancelled", vec![]),
        ("?state=queued&reason=cancelled", vec![]),
    ] {
        for dag in ["sales", "~"] {
            let listed = site.get(&format!("/api/v2/dags/{dag}/dagRuns{query}")).await;
            let ids: Vec<&str> =
                listed["dag_runs"].as_array().unwrap().iter().map(|run| run["dag_run_id"].as_str().unwrap()).collect();
            assert_eq!(ids, expected, "{dag} {query}");
        }
    }
    assert_eq!(site.get(&format!("{RUNS}?limit=1")).await["total_entries"], 3);
    for refused in ["order_by=colour", "reason=bad-luck"] {
        let refused = site.ask("GET", &format!("{RUNS}?{refused}"), None).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    }
}

async fn a_run_is_cancelled_cleared_and_noted(site: Site) {
    site.run_until_load("one").await;
    let cancelled = site.ask("POST", "/api/flow/dags/sales/dagRuns/one/cancel", None).await;
    assert_eq!(cancelled.json()["state"], "failed", "{}", cancelled.text);
    assert_eq!(cancelled.json()["reason"], "cancelled");
    let again = site.ask("POST", "/api/flow/dags/sales/dagRuns/one/cancel", None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let body = json!({ "state": "queued", "note": "once more" });
    let cleared = site.ask("PATCH", &format!("{RUNS}/one"), Some(body)).await;
    assert_eq!(cleared.json()["state"], "queued", "{}", cleared.text);
    assert_eq!(cleared.json()["note"], "once more");
    let running = site.ask("PATCH", &format!("{RUNS}/one"), Some(json!({ "state": "running" }))).await;
    assert_eq!(running.status, StatusCode::UNPROCESSABLE_ENTITY);
    let done = site.ask("PATCH", &format!("{RUNS}/one"), Some(json!({ "state": "success" }))).await;
    assert_eq!(done.json()["state"], "success", "{}", done.text);
    let missing = site.ask("GET", &format!("{RUNS}/two"), None).await;
    assert_eq!(missing.json()["detail"], "dag `sales` has no run `two`");
}

async fn a_run_is_followed_to_its_end(site: Site) {
    let load = site.run_until_load("one").await;
    let path = "/api/flow/dags/sales/dagRuns/one/follow";
    let (followed, ()) = tokio::join!(site.ask("GET", path, None), async {
        site.finish(&load, OutcomeKind::FailedForGood).await;
        site.tick().await;
        site.queue.ring(Bell::Runs).await.unwrap();
    });
    assert_eq!(followed.headers["content-type"], "application/x-ndjson");
    let lines = followed.lines();
    assert_eq!(lines[0]["dag_run"]["state"], "running");
    assert_eq!(lines.last().unwrap()["dag_run"]["state"], "failed");
    let of = |task: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["task_id"] == task).map(|line| line["state"].clone()).collect()
    };
    assert_eq!(of("list"), [json!(null), json!("scheduled"), json!("queued"), json!("running"), json!("success")]);
    assert_eq!(of("load"), [json!(null), json!("scheduled"), json!("queued"), json!("running"), json!("failed")]);
    assert_eq!(of("report"), [json!(null), json!("upstream_failed")]);
    // Following a run that is over tells all of it at once.
    let again = site.ask("GET", path, None).await.lines();
    assert_eq!(again.len(), lines.len());
}

async fn names_that_are_none_are_told_with_those_that_there_are(site: Site) {
    for (query, told) in [
        ("state=foo", "use queued, running, success, failed"),
        ("state=success&state=faild", "did you mean `failed`? There are queued, running, success, failed"),
        ("reason=foo", "use cancelled, marked, dagrun_timeout, cleared"),
    ] {
        let refused = site.ask("GET", &format!("{RUNS}?{query}"), None).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_eq!(refused.json()["hint"], told, "{query}");
    }
}

on_both_databases!(
    names_that_are_none_are_told_with_those_that_there_are,
    a_run_is_triggered_and_shown,
    a_wrong_trigger_says_everything_that_is_wrong,
    a_run_gets_the_interval_that_is_asked_for_or_the_last_complete_one,
    runs_are_listed_by_state_and_order,
    a_run_is_cancelled_cleared_and_noted,
    a_run_is_followed_to_its_end,
);
