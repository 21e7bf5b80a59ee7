use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;

use crate::fixture::{Site, on_both_databases, pretty};

async fn health_and_processes_are_shown(site: Site) {
    assert_eq!(site.get("/api/v2/version").await["version"], "0.1.0");
    insta::assert_snapshot!("health", pretty(&site.get("/api/v2/monitor/health").await));
    insta::assert_snapshot!("processes", pretty(&site.get("/api/flow/processes").await));
}

async fn probes_and_metrics_need_no_login(site: Site) {
    site.run_until_load("one").await;
    let get = |path: &'static str| site.probe(path);
    assert_eq!(get("/livez").await.status, StatusCode::OK);
    let ready = get("/readyz").await;
    assert_eq!(ready.json(), json!({ "ready": true, "store": "ok", "schema": "ok", "queue": "ok" }));
    let metrics = get("/metrics").await.text;
    for line in [
        r#"flow_live_task_instances{state="running"} 1"#,
        r#"flow_live_dag_runs{state="running"} 1"#,
        r#"flow_pool_slots{pool="default_pool"} 128"#,
        r#"flow_pool_running_slots{pool="default_pool"} 1"#,
        r#"flow_process_up{kind="worker",slot="worker-1",host="alpha"} 1"#,
        "flow_store_up 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

async fn the_port_for_everybody_tells_no_details(site: Site) {
    let get = |path: &'static str| site.send(Request::get(path).body(Body::empty()).unwrap());
    assert_eq!((get("/livez").await.text, get("/readyz").await.text), ("ok\n".to_owned(), "ok\n".to_owned()));
    assert_eq!(get("/metrics").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.ask("GET", "/metrics", None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.probe("/api/v2/dags").await.status, StatusCode::NOT_FOUND, "no pages there");
}

async fn import_errors_are_listed(site: Site) {
    let now = site.store.now();
    let diagnostics = json!([{ "message": "unknown key" }]);
    site.store.record_import_error(now, "broken.toml", None, "error: unknown key", &diagnostics).await.unwrap();
    insta::assert_snapshot!("import_errors", pretty(&site.get("/api/v2/importErrors").await));
}

async fn a_store_that_is_away_makes_it_unready(site: Site) {
    site.store.close().await;
    let ready = site.send(Request::get("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!((ready.status, ready.text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"));
    let detailed = site.probe("/readyz").await;
    assert_eq!(detailed.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((&detailed.json()["queue"], &detailed.json()["ready"]), (&json!("ok"), &json!(false)));
    assert_eq!(site.send(Request::get("/livez").body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    assert_eq!(site.ask("GET", "/api/v2/dags", None).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

on_both_databases!(
    health_and_processes_are_shown,
    probes_and_metrics_need_no_login,
    the_port_for_everybody_tells_no_details,
    import_errors_are_listed,
    a_store_that_is_away_makes_it_unready,
);
