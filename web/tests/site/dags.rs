use axum::http::StatusCode;
use insta::assert_snapshot;
use serde_json::json;

use crate::fixture::{Site, dag, on_both_databases, pretty};

async fn a_dag_is_shown_in_airflows_shape(site: Site) {
    assert_snapshot!("dag", pretty(&site.get("/api/v2/dags/sales").await));
    assert_snapshot!("dag_details", pretty(&site.get("/api/v2/dags/sales/details").await));
    assert_snapshot!("dag_tasks", pretty(&site.get("/api/v2/dags/sales/tasks").await));
    assert_snapshot!("dag_source", pretty(&site.get("/api/v2/dagSources/sales").await));
    let versions = site.get("/api/v2/dags/sales/dagVersions").await;
    assert_eq!(versions["total_entries"], 1);
    assert_eq!(versions["dag_versions"][0]["version_number"], 1);
}

async fn dags_are_found_by_name_label_and_pause(site: Site) {
    for name in ["stock", "Sales_old"] {
        let mut other = dag(name, json!("none"));
        other.tags = vec![name.to_owned()];
        site.publish(&other, true).await;
    }
    for (query, expected) in [
        ("", vec!["Sales_old", "sales", "stock"]),
        ("?dag_id_pattern=SALES", vec!["Sales_old", "sales"]),
        ("?paused=true", vec!["Sales_old", "stock"]),
        ("?tags=stock&tags=sales", vec!["sales", "stock"]),
        ("?tags=daily%20%22x%22", vec!["sales"]),
        ("?tags=nothing", vec![]),
        ("?limit=1&offset=1&paused=true", vec!["stock"]),
    ] {
        let listed = site.get(&format!("/api/v2/dags{query}")).await;
        let mut ids: Vec<&str> =
            listed["dags"].as_array().unwrap().iter().map(|dag| dag["dag_id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{query}");
        assert_eq!(listed["total_entries"], if query.contains("limit") { 2 } else { expected.len() });
    }
}

async fn unknown_things_are_named(site: Site) {
    let answer = site.ask("GET", "/api/v2/dags/nope", None).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["detail"], "there is no dag `nope`");
    assert!(answer.json()["hint"].as_str().unwrap().contains("flowctl dags list"));
    for path in ["/api/v2/dags/nope/tasks", "/api/v2/dags/nope/dagRuns", "/api/flow/dags/nope/next", "/api/v2/nothing"]
    {
        assert_eq!(site.ask("GET", path, None).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let answer = site.ask("GET", "/api/v2/dags?paused=perhaps", None).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn a_dag_is_paused_and_unpaused(site: Site) {
    let paused = site.ask("PATCH", "/api/v2/dags/sales", Some(json!({ "is_paused": true }))).await;
    assert_eq!(paused.json()["is_paused"], true);
    let resumed = site.ask("PATCH", "/api/v2/dags/sales", Some(json!({ "is_paused": false }))).await;
    assert_eq!(resumed.json()["is_paused"], false);
    let wrong = site.ask("PATCH", "/api/v2/dags/sales", Some(json!({ "is_paused": "yes" }))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let broken = site.ask("PATCH", "/api/v2/dags/nope", Some(json!({ "is_paused": true }))).await;
    assert_eq!(broken.status, StatusCode::NOT_FOUND);
}

async fn the_next_runs_are_foretold(site: Site) {
    assert_snapshot!("next", pretty(&site.get("/api/flow/dags/sales/next?count=2").await));
}

on_both_databases!(
    a_dag_is_shown_in_airflows_shape,
    dags_are_found_by_name_label_and_pause,
    unknown_things_are_named,
    a_dag_is_paused_and_unpaused,
    the_next_runs_are_foretold,
);
