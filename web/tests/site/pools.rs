use axum::http::StatusCode;
use serde_json::json;

use crate::fixture::{Site, on_both_databases, pretty};

async fn pools_are_created_changed_and_counted(site: Site) {
    let body = json!({ "name": "warehouse", "slots": 3, "description": "the warehouse" });
    let created = site.ask("POST", "/api/v2/pools", Some(body.clone())).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(site.ask("POST", "/api/v2/pools", Some(body)).await.status, StatusCode::CONFLICT);
    let changed = site.ask("PATCH", "/api/v2/pools/warehouse", Some(json!({ "slots": -1 }))).await.json();
    assert_eq!(changed["slots"], -1);
    assert_eq!(changed["description"], "the warehouse");
    let refused = site.ask("PATCH", "/api/v2/pools/warehouse", Some(json!({ "slots": -2 }))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.ask("GET", "/api/v2/pools/nope", None).await.status, StatusCode::NOT_FOUND);
    site.run_until_load("one").await;
    insta::assert_snapshot!("pools", pretty(&site.get("/api/v2/pools").await));
}

on_both_databases!(pools_are_created_changed_and_counted);
