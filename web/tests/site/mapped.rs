//! Mapped tasks and groups: one row for many, and what can be done to all of them at once.

use axum::http::{StatusCode, header};
use flow_model::dag::TaskGroup;
use flow_model::expand::{Mapping, Source};
use flow_model::{Dag, Task};
use flow_store::OutcomeKind;
use serde_json::json;

use crate::fixture::{Site, dag, on_both_databases};

const RUN: &str = "/dags/fan/runs/one";
const API: &str = "/api/v2/dags/fan/dagRuns/one/taskInstances";

/// `load`, mapped over three values, before the group `g` of `g.a` and `g.b`.
fn fan() -> Dag {
    let pattern = dag("fan", json!("none")).tasks.remove(0);
    let task = |id: &str, depends_on: &[&str]| Task {
        task_id: id.to_owned(),
        depends_on: depends_on.iter().map(|id| (*id).to_owned()).collect(),
        group: id.split_once('.').map(|(group, _)| group.to_owned()),
        ..pattern.clone()
    };
    let list = Source::List(vec![json!("x"), json!("y"), json!("z")]);
    let load = Task { expand: Some(Mapping::Product([("n".to_owned(), list)].into())), ..task("load", &[]) };
    Dag {
        tasks: vec![load, task("g.a", &["load"]), task("g.b", &["g.a"])],
        groups: vec![TaskGroup { group_id: "g".to_owned(), ..TaskGroup::default() }],
        ..dag("fan", json!("none"))
    }
}

/// The second of three instances has failed.
async fn run_with_a_failure(site: &Site) {
    site.publish(&fan(), false).await;
    let answer = site.ask("POST", "/api/v2/dags/fan/dagRuns", Some(json!({ "dag_run_id": "one" }))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    site.tick().await;
    for order in site.claim_all().await {
        let kind = if order.map_index == 1 { OutcomeKind::FailedForGood } else { OutcomeKind::Success };
        site.finish(&order, kind).await;
    }
    site.tick().await;
}

async fn a_mapped_task_is_one_row_and_a_group_tells_what_is_in_it(site: Site) {
    run_with_a_failure(&site).await;
    let page = site.page(RUN).await;
    for part in ["5 task instances", "× 3", "1 failed", "2 success", "class=\"group\"", "2 upstream_failed"] {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
    assert_eq!(page.matches("<tr id=\"task-").count(), 4, "{page}");
    let grid = site.page("/dags/fan").await;
    assert!(!grid.contains("There is no pool"), "{grid}");
    let mut elsewhere = fan();
    elsewhere.tasks[0].pool = "nowhere".to_owned();
    site.publish(&elsewhere, false).await;
    let warned = site.page("/dags/fan").await;
    assert!(warned.contains("There is no pool <code>nowhere</code>"), "{warned}");
    assert!(grid.contains("load in one: 1 failed, 2 success"), "{grid}");
    assert!(grid.contains("g in one: 2 upstream_failed"), "{grid}");
    let all = site.page(&format!("{RUN}/tasks/load")).await;
    assert!(all.contains("3 task instances") && all.contains("load [2]"), "{all}");
    let failed = site.page(&format!("{RUN}/tasks/load?state=failed")).await;
    assert!(failed.contains("1 task instances") && failed.contains("load [1]"), "{failed}");
    assert!(!failed.contains("load [0]"), "{failed}");
}

async fn instances_are_listed_by_state_task_and_group(site: Site) {
    run_with_a_failure(&site).await;
    let places = async |query: &str| -> Vec<String> {
        let listed = site.get(&format!("{API}{query}")).await;
        let instances = listed["task_instances"].as_array().unwrap();
        assert_eq!(listed["total_entries"], instances.len(), "{listed}");
        instances.iter().map(|one| format!("{}{}", one["task_id"].as_str().unwrap(), one["map_index"])).collect()
    };
    assert_eq!(places("?state=failed").await, ["load1"]);
    assert_eq!(places("?state=failed&state=upstream_failed").await, ["load1", "g.a-1", "g.b-1"]);
    assert_eq!(places("?task_id=g").await, ["g.a-1", "g.b-1"]);
    assert_eq!(places("?task_id=load&state=success").await, ["load0", "load2"]);
    assert_eq!(places("/load/listMapped").await, ["load0", "load1", "load2"]);
    let unknown = site.ask("GET", &format!("{API}?task_id=nope"), None).await;
    assert_eq!(
        (unknown.status, &unknown.json()["detail"]),
        (StatusCode::NOT_FOUND, &json!("the DAG `fan` has no task or group `nope`"))
    );
    let unknown = site.ask("GET", &format!("{API}?state=fine"), None).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unknown.text);
    let why = site.get("/api/flow/dags/fan/dagRuns/one/taskInstances/load/explain").await;
    assert_eq!(why["summary"], "is mapped, and has 3 instances: 1 failed, 2 success");
    let why = site.get("/api/flow/dags/fan/dagRuns/one/taskInstances/g.a/explain").await;
    assert_eq!(why["summary"], "did not run, because of `load` (failed)");
}

async fn a_group_is_marked_and_failed_instances_are_cleared(site: Site) {
    run_with_a_failure(&site).await;
    let marked = site.submit(&format!("{RUN}/tasks/g/state"), "state=success").await;
    assert_eq!((marked.status, &marked.headers[header::LOCATION]), (StatusCode::SEE_OTHER, &RUN.parse().unwrap()));
    let states = async || -> Vec<String> {
        let listed = site.get(API).await;
        let instances = listed["task_instances"].as_array().unwrap();
        instances.iter().map(|one| one["state"].as_str().unwrap_or("none").to_owned()).collect()
    };
    assert_eq!(states().await, ["success", "failed", "success", "success", "success"]);
    let cleared = site.submit(&format!("{RUN}/tasks/load/clear"), "only_failed=yes").await;
    assert_eq!(cleared.status, StatusCode::SEE_OTHER, "{}", cleared.text);
    assert_eq!(states().await, ["success", "none", "success", "success", "success"]);
    let body = json!({ "dag_run_id": "one", "task_ids": ["g"], "only_failed": false, "dry_run": true });
    let dry = site.ask("POST", "/api/v2/dags/fan/clearTaskInstances", Some(body)).await.json();
    assert_eq!((&dry["total_entries"], dry["task_instances"].as_array().unwrap().len()), (&json!(2), 2));
}

async fn an_instance_that_is_not_there_is_told_with_those_that_are(site: Site) {
    run_with_a_failure(&site).await;
    for (path, hint) in [
        ("load?map_index=7", "its map indexes go from 0 to 2"),
        ("load", "its map indexes go from 0 to 2"),
        ("load/logs/1?map_index=7", "its map indexes go from 0 to 2"),
        ("load/logs/3?map_index=0", "its only try is 1"),
        ("load/explain?map_index=7", "its map indexes go from 0 to 2"),
    ] {
        let api = if path.contains("explain") { API.replace("/api/v2/", "/api/flow/") } else { API.to_owned() };
        let refused = site.ask("GET", &format!("{api}/{path}"), None).await;
        assert_eq!((refused.status, &refused.json()["hint"]), (StatusCode::NOT_FOUND, &json!(hint)), "{path}");
    }
}

on_both_databases!(
    an_instance_that_is_not_there_is_told_with_those_that_are,
    a_mapped_task_is_one_row_and_a_group_tells_what_is_in_it,
    instances_are_listed_by_state_task_and_group,
    a_group_is_marked_and_failed_instances_are_cleared,
);
