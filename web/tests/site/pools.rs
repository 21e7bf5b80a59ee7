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

on_both_databases!(pools_are_created_changed_and_counted, steps_are_no_names);

/// `.` and `..` would lead out of their place: no kind of thing can be called so, whoever names it.
async fn steps_are_no_names(site: Site) {
    site.trigger("one").await;
    for name in [".", ".."] {
        let hook = json!({ "conn_type": "http" });
        for (path, body) in [
            ("/api/v2/pools", json!({ "name": name, "slots": 1 })),
            ("/api/v2/variables", json!({ "key": name, "value": "x" })),
            ("/api/v2/variables", json!({ "key": format!("a/{name}/b"), "value": "x" })),
            ("/api/v2/connections", json!({ "connection_id": name, "conn_type": "http" })),
            ("/api/v2/dags/sales/dagRuns", json!({ "dag_run_id": name, "conf": { "rows": 1 } })),
            ("/api/v2/dags/sales/dagRuns/one/taskInstances/list/xcomEntries", json!({ "key": name, "value": 1 })),
        ] {
            let answer = site.ask("POST", path, Some(body)).await;
            let is_refused = matches!(answer.status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT);
            assert!(is_refused && answer.text.contains("hint"), "{path} {name}: {} {}", answer.status, answer.text);
        }
        let encoded = name.replace('.', "%2E");
        for (path, body) in [
            (format!("/api/v2/pools/{encoded}"), json!({ "slots": 1 })),
            (format!("/api/v2/variables/{encoded}"), json!({ "value": "x" })),
            (format!("/api/v2/connections/{encoded}"), hook),
        ] {
            for method in ["PUT", "PATCH"] {
                let answer = site.ask(method, &path, Some(body.clone())).await;
                assert!(answer.status.is_client_error(), "{method} {path}: {}", answer.text);
            }
        }
        for (path, form) in [
            ("/pools", format!("name={name}&slots=1")),
            ("/variables", format!("key={name}&value=x")),
            ("/connections", format!("connection_id={name}&conn_type=http")),
        ] {
            assert!(site.submit(path, &form).await.status.is_client_error(), "{path} {form}");
        }
    }
    let pools = site.get("/api/v2/pools").await;
    assert_eq!(
        (&pools["total_entries"], &site.get("/api/v2/variables").await["total_entries"]),
        (&json!(1), &json!(0))
    );
}
