use axum::http::StatusCode;
use flow_queue::Bell;
use flow_store::OutcomeKind;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fixture::{Site, on_both_databases, pretty};

const RUN: &str = "/api/v2/dags/sales/dagRuns/one";
const FLOW: &str = "/api/flow/dags/sales/dagRuns/one/taskInstances";

fn states(listed: &Value) -> Vec<&str> {
    let instances = listed["task_instances"].as_array().unwrap();
    instances.iter().map(|instance| instance["state"].as_str().unwrap_or("none")).collect()
}

async fn task_instances_are_shown_in_airflows_shape(site: Site) {
    let load = site.run_until_load("one").await;
    let listed = site.get(&format!("{RUN}/taskInstances")).await;
    assert_eq!(listed["total_entries"], 3);
    assert_eq!(states(&listed), ["success", "running", "none"]);
    assert_snapshot!("task_instance", pretty(&site.get(&format!("{RUN}/taskInstances/load")).await));
    site.finish(&load, OutcomeKind::Failed { retry_at: site.soon() }).await;
    assert_snapshot!("tries", pretty(&site.get(&format!("{RUN}/taskInstances/load/tries")).await));
    assert_snapshot!("xcoms", pretty(&site.get(&format!("{RUN}/taskInstances/list/xcomEntries")).await));
    assert_snapshot!("xcom", pretty(&site.get(&format!("{RUN}/taskInstances/list/xcomEntries/return_value")).await));
    let missing = site.ask("GET", &format!("{RUN}/taskInstances/list/xcomEntries/nope"), None).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let missing = site.ask("GET", &format!("{RUN}/taskInstances/nope"), None).await;
    assert_eq!(missing.json()["detail"], "there is no task `sales.nope`");
}

async fn people_change_what_a_task_has_left(site: Site) {
    site.run_until_load("one").await;
    let entries = format!("{RUN}/taskInstances/list/xcomEntries");
    let created = site.ask("POST", &entries, Some(json!({ "key": "who", "value": { "n": [1] } }))).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.json()["value"], json!({ "n": [1] }));
    let again = site.ask("POST", &entries, Some(json!({ "key": "who", "value": 1 }))).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.json()["hint"], "replace it");
    let replaced = site.ask("PATCH", &format!("{entries}/who"), Some(json!({ "value": "ada" }))).await;
    assert_eq!(replaced.json()["value"], "ada", "{}", replaced.text);
    assert_eq!(site.get(&format!("{entries}/return_value?stringify=true")).await["value"], "[1,2]");
    let all = site.get(&format!("{RUN}/taskInstances/~/xcomEntries?values=true")).await;
    assert_eq!(all["total_entries"], 2);
    assert_eq!(all["xcom_entries"][1]["value"], "ada");
    assert_eq!(site.get(&format!("{entries}?xcom_key=who&limit=5")).await["total_entries"], 1);
    let gone = site.ask("DELETE", &format!("{entries}/who"), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let gone = site.ask("DELETE", &format!("{entries}/who"), None).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let of_load = format!("{RUN}/taskInstances/load/xcomEntries");
    let early = site.ask("POST", &of_load, Some(json!({ "key": "k", "value": 1 }))).await;
    assert_eq!(early.status, StatusCode::CONFLICT);
    assert!(early.json()["detail"].as_str().unwrap().contains("task `load` is running"), "{}", early.text);
}

async fn artifacts_are_listed_and_downloaded_but_never_run(site: Site) {
    let load = site.run_until_load("one").await;
    let page = "<script>alert(1)</script>".repeat(20_000);
    site.keep(&load, "plots/May 1+2.html", page.as_bytes()).await;
    site.keep(&load, "rows.csv", b"a,b\n").await;
    let listing = "/api/flow/dags/sales/dagRuns/one/artifacts";
    assert_eq!(site.get(listing).await["total_entries"], 0, "the try has not ended");
    site.finish(&load, OutcomeKind::FailedForGood).await;
    let listed = site.get(listing).await;
    assert_eq!(listed["total_entries"], 2);
    assert_eq!(listed["artifacts"][1]["name"], "rows.csv");
    assert_eq!(listed["artifacts"][1]["size"], 4);
    assert_eq!(site.get(&format!("{FLOW}/load/artifacts")).await["artifacts"], listed["artifacts"]);
    assert_eq!(site.get(&format!("{FLOW}/list/artifacts")).await["total_entries"], 0);

    for path in ["/dags/sales/runs/one", "/dags/sales/runs/one/tasks/load"] {
        let html = site.ask("GET", path, None).await.text;
        let link = html.split('"').find(|part| part.contains("name=plots")).expect("the page links to it");
        let file = site.ask("GET", &link.replace("&#38;", "&"), None).await;
        assert_eq!(file.status, StatusCode::OK, "{link}: {}", file.text);
        assert_eq!(file.text, page);
        for (header, value) in [
            ("content-type", "application/octet-stream"),
            ("content-disposition", "attachment; filename*=UTF-8''May%201%2B2.html"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("content-length", "500000"),
        ] {
            assert_eq!(file.headers[header], value, "{header}");
        }
    }
    let csv = site.ask("GET", &format!("{FLOW}/load/artifacts/content?name=rows.csv&try_number=1"), None).await;
    assert_eq!(
        (csv.text.as_str(), &csv.headers["content-type"]),
        ("a,b\n", &"text/plain; charset=utf-8".parse().unwrap())
    );
    for name in ["nope", "../rows.csv", "rows.csv&try_number=2"] {
        let missing = site.ask("GET", &format!("{FLOW}/load/artifacts/content?name={name}"), None).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{name}");
    }
}

async fn a_run_that_waits_has_no_instances_yet(site: Site) {
    site.trigger("one").await;
    assert_eq!(site.get(&format!("{RUN}/taskInstances")).await["total_entries"], 0);
    let early = site.ask("GET", &format!("{RUN}/taskInstances/list"), None).await;
    assert_eq!(early.status, StatusCode::NOT_FOUND);
    assert!(early.text.contains("the run is queued"), "{}", early.text);
    let explained = site.get(&format!("{FLOW}/list/explain")).await;
    assert_eq!(explained["reasons"][0]["kind"], "next_tick");
}

async fn every_state_is_explained(site: Site) {
    let load = site.run_until_load("one").await;
    let explained = site.get(&format!("{FLOW}/report/explain")).await;
    assert_snapshot!("explain", pretty(&explained));
    let running = site.get(&format!("{FLOW}/load/explain")).await;
    assert_eq!(running["summary"], "runs on alpha for 0s (try 1 of 2)");
    site.finish(&load, OutcomeKind::FailedForGood).await;
    site.tick().await;
    let failed = site.get(&format!("{FLOW}/report/explain")).await;
    assert_eq!(failed["summary"], "did not run, because of `load` (failed)");
}

async fn tasks_are_cleared_with_a_dry_run_first(site: Site) {
    let load = site.run_until_load("one").await;
    site.finish(&load, OutcomeKind::FailedForGood).await;
    site.tick().await;
    let path = "/api/v2/dags/sales/clearTaskInstances";
    let dry = site.ask("POST", path, Some(json!({ "dag_run_id": "one" }))).await.json();
    assert_eq!(dry["total_entries"], 2);
    assert_eq!(states(&dry), ["failed", "upstream_failed"], "a dry run changes nothing");
    let body = json!({ "dag_run_id": "one", "task_ids": ["load"], "include_downstream": true, "dry_run": false });
    let done = site.ask("POST", path, Some(body)).await.json();
    assert_eq!(states(&done), ["none", "none"]);
    assert_eq!(site.get(RUN).await["state"], "queued");
    for (body, status) in [
        (json!({}), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "dag_run_id": "two" }), StatusCode::NOT_FOUND),
        (json!({ "dag_run_id": "one", "task_ids": ["nope"] }), StatusCode::NOT_FOUND),
        (json!({ "dag_run_id": "one", "include_past": true }), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let refused = site.ask("POST", path, Some(body)).await;
        assert_eq!(refused.status, status, "{}", refused.text);
    }
}

async fn tasks_are_marked(site: Site) {
    site.run_until_load("one").await;
    let path = format!("{RUN}/taskInstances/load");
    let body = json!({ "new_state": "success", "dry_run": true });
    assert_eq!(states(&site.ask("PATCH", &path, Some(body)).await.json()), ["running"]);
    let body = json!({ "new_state": "success", "include_downstream": true });
    assert_eq!(states(&site.ask("PATCH", &path, Some(body)).await.json()), ["success", "success"]);
    let refused = site.ask("PATCH", &path, Some(json!({ "new_state": "purple" }))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn logs_are_read_and_followed(site: Site) {
    let load = site.run_until_load("one").await;
    site.log(&load, 0, "<b>hello</b>").await;
    let path = format!("{RUN}/taskInstances/load/logs/1");
    let first = site.get(&path).await;
    assert_snapshot!("log", pretty(&first));
    let token = first["continuation_token"].as_str().unwrap();
    assert_eq!(site.get(&format!("{path}?token={token}")).await["content"], json!([]));

    let follow = format!("{FLOW}/load/logs/0/follow");
    let (followed, ()) = tokio::join!(site.ask("GET", &follow, None), async {
        site.log(&load, 1, "more").await;
        site.finish(&load, OutcomeKind::Success).await;
        site.queue.ring(Bell::Runs).await.unwrap();
    });
    let lines = followed.lines();
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(texts, ["<b>hello</b>", "more", "the end"]);
    assert_eq!(*lines.last().unwrap(), json!({ "end": true, "state": "success" }));

    let rest = site.get(&format!("{path}?token={token}")).await;
    assert_eq!(rest["content"].as_array().unwrap().len(), 2);
    assert_eq!(rest["is_complete"], true);
    let wrong = site.ask("GET", &format!("{path}?token=x"), None).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn logs_of_tries_that_are_not_there_are_not_found(site: Site) {
    let load = site.run_until_load("one").await;
    let early = site.ask("GET", &format!("{RUN}/taskInstances/load/logs/2"), None).await;
    assert_eq!((early.status, &early.json()["hint"]), (StatusCode::NOT_FOUND, &json!("its only try is 1")));
    site.finish(&load, OutcomeKind::Success).await;
    for (path, hint) in [
        (format!("{RUN}/taskInstances/load/logs/7"), "its only try is 1"),
        (
            format!("{RUN}/taskInstances/load/logs/1?map_index=3"),
            "it is not mapped, or not expanded yet: name no map index",
        ),
        (format!("{RUN}/taskInstances/load?map_index=3"), "it is not mapped, or not expanded yet: name no map index"),
    ] {
        let refused = site.ask("GET", &path, None).await;
        assert_eq!((refused.status, &refused.json()["hint"]), (StatusCode::NOT_FOUND, &json!(hint)), "{path}");
    }
    assert_eq!(site.get(&format!("{RUN}/taskInstances/load/logs/1")).await["is_complete"], true);
}

on_both_databases!(
    logs_of_tries_that_are_not_there_are_not_found,
    task_instances_are_shown_in_airflows_shape,
    people_change_what_a_task_has_left,
    artifacts_are_listed_and_downloaded_but_never_run,
    a_run_that_waits_has_no_instances_yet,
    every_state_is_explained,
    tasks_are_cleared_with_a_dry_run_first,
    tasks_are_marked,
    logs_are_read_and_followed,
);
