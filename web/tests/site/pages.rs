use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use flow_store::OutcomeKind;
use serde_json::json;
use sha2::Digest;

use crate::fixture::{Answer, Site, on_both_databases};

/// Submits a form as the browser of somebody who is logged in.
async fn submit(site: &Site, path: &str, form: &str) -> Answer {
    let request = Request::post(path)
        .header(header::COOKIE, format!("flow_session={}", site.token))
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    site.send(request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn page(site: &Site, path: &str) -> String {
    let answer = site.ask("GET", path, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    for forbidden in ["<script>", "style=", "onclick", "javascript:"] {
        assert!(!answer.text.contains(forbidden), "{path} has `{forbidden}`, which the policy forbids");
    }
    answer.text
}

fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
}

async fn every_page_shows_what_it_is_about(site: Site) {
    let load = site.run_until_load("one").await;
    site.log(&load, 0, "<script>alert(1)</script>").await;
    let diagnostics = json!([]);
    site.store.record_import_error(site.store.now(), "broken.toml", None, "error: <oops>", &diagnostics).await.unwrap();

    has(
        &page(&site, "/").await,
        &["sales", "At 06:00 (UTC)", "1 file in the DAG folder cannot be read", "s-running", "Pause"],
    );
    has(&page(&site, "/?q=nothing").await, &["No DAG fits."]);
    has(
        &page(&site, "/dags/sales").await,
        &[
            "At 06:00 (UTC)",
            "list in one: success",
            "load in one: running",
            "report in one: none",
            "2026-01-02 06:00:00",
        ],
    );
    has(&page(&site, "/dags/sales/source").await, &["[tasks.list]"]);
    has(&page(&site, "/dags/sales/runs/one").await, &["running", "Cancel", "1 of 2", "3 task instances"]);
    let task = page(&site, "/dags/sales/runs/one/tasks/load").await;
    has(
        &task,
        &[
            "runs on alpha",
            "&#60;script&#62;",
            "data-follow=\"/api/flow/dags/sales/dagRuns/one/taskInstances/load/logs/0/follow\"",
        ],
    );
    has(&page(&site, "/dags/sales/runs/one/tasks/report").await, &["waits for `load` (running)"]);
    has(&page(&site, "/dags/sales/runs/one/tasks/list").await, &["return_value", "echo 3", "success"]);
    has(&page(&site, "/import-errors").await, &["broken.toml", "error: &#60;oops&#62;"]);
    has(&page(&site, "/pools").await, &["default_pool", "128"]);
    has(&page(&site, "/processes").await, &["worker-1", "1 of 4"]);

    site.trigger("two").await;
    has(&page(&site, "/dags/sales/runs/two/tasks/list").await, &["nothing holds it"]);
    let missing = site.ask("GET", "/dags/nope", None).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    has(&missing.text, &["there is no dag `nope`"]);
    let nowhere = site.ask("GET", "/nowhere", None).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
}

async fn the_trigger_form_checks_params(site: Site) {
    let form = page(&site, "/dags/sales/trigger").await;
    has(&form, &["param:region", "<option value=\"eu\" selected>eu</option>", "Where", "at least 1", "min=\"1\""]);
    let refused = submit(&site, "/dags/sales/trigger", "param:region=us&param:rows=0&dag_run_id=x").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    has(
        &refused.text,
        &[
            "<a href=\"#param-1\">rows</a>: 0 is less than the minimum of 1",
            "id=\"param-1-problem\">0 is less",
            "aria-describedby=\"param-1-problem param-1-about\" aria-invalid=\"true\"",
            "<option value=\"us\" selected>us</option>",
            "value=\"x\"",
        ],
    );
    let created = submit(&site, "/dags/sales/trigger", "param:region=us&param:rows=7&dag_run_id=x&note=hello").await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
    assert_eq!(created.headers["location"], "/dags/sales/runs/x");
    let run = site.get("/api/v2/dags/sales/dagRuns/x").await;
    assert_eq!(run["conf"], json!({ "region": "us", "rows": 7 }));
    assert_eq!(run["triggered_by"], "ui");
    assert_eq!(run["note"], "hello");
}

async fn the_trigger_form_takes_json_and_a_logical_date(site: Site) {
    let path = "/dags/sales/trigger";
    let conf = "%7B%22rows%22%3A9%2C%22extra%22%3Atrue%7D";
    let form = format!("param:region=us&param:rows=&conf={conf}&logical_date=2026-01-31T06:00&dag_run_id=a");
    let created = submit(&site, path, &form).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
    let run = site.get("/api/v2/dags/sales/dagRuns/a").await;
    assert_eq!(run["conf"], json!({ "region": "us", "rows": 9, "extra": true }));
    assert_eq!(run["logical_date"], "2026-01-31T06:00:00+00:00");
    let form = format!("param:region=us&conf={conf}&only=conf&no_logical_date=yes&dag_run_id=b");
    let created = submit(&site, path, &form).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
    let run = site.get("/api/v2/dags/sales/dagRuns/b").await;
    assert_eq!(run["conf"], json!({ "rows": 9, "extra": true }));
    assert_eq!(run["logical_date"], json!(null));
    let ends = "data_interval_start=2026-01-30T06:00&data_interval_end=2026-01-31T06:00:30";
    let created = submit(&site, path, &format!("param:region=us&param:rows=1&{ends}&dag_run_id=c")).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
    let run = site.get("/api/v2/dags/sales/dagRuns/c").await;
    assert_eq!(run["data_interval_start"], "2026-01-30T06:00:00+00:00");
    assert_eq!(run["data_interval_end"], "2026-01-31T06:00:30+00:00");
    for (form, parts) in [
        (
            "conf=%5B1%5D",
            vec!["the configuration is a JSON object", "<details class=\"fields\" open>", "[1]</textarea>"],
        ),
        ("conf=%7B", vec!["this is not JSON"]),
        ("data_interval_start=yesterday", vec!["is no date and time", "value=\"yesterday\""]),
        ("data_interval_start=2026-01-31T06:00", vec!["needs both its ends", "value=\"2026-01-31T06:00\""]),
        (
            "data_interval_start=2026-01-31T06:00&data_interval_end=2026-01-30T06:00",
            vec!["before it begins", "swap", "value=\"2026-01-30T06:00\""],
        ),
        ("logical_date=yesterday", vec!["is no date and time", "value=\"yesterday\""]),
        ("logical_date=2026-01-31T06:00&no_logical_date=yes", vec!["has a logical date or none"]),
        ("param:region=mars", vec!["not one of"]),
        ("param:rows=", vec!["a value is needed"]),
    ] {
        let refused = submit(&site, path, form).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        has(&refused.text, &parts);
    }
    assert_eq!(site.get("/api/v2/dags/sales/dagRuns").await["total_entries"], 3);
}

async fn buttons_do_what_they_say(site: Site) {
    let paused = submit(&site, "/dags/sales/pause", "paused=true&back=//evil.example").await;
    assert_eq!(paused.headers["location"], "/");
    assert_eq!(site.get("/api/v2/dags/sales").await["is_paused"], true);
    submit(&site, "/dags/sales/pause", "paused=false&back=/dags/sales").await;

    let load = site.run_until_load("one").await;
    site.finish(&load, OutcomeKind::FailedForGood).await;
    site.tick().await;
    let cleared = submit(&site, "/dags/sales/runs/one/tasks/load/clear", "downstream=yes").await;
    assert_eq!(cleared.headers["location"], "/dags/sales/runs/one/tasks/load");
    assert_eq!(site.get("/api/v2/dags/sales/dagRuns/one").await["state"], "queued");
    let marked = submit(&site, "/dags/sales/runs/one/tasks/load/state", "state=success").await;
    assert_eq!(marked.status, StatusCode::SEE_OTHER, "{}", marked.text);
    let cancelled = submit(&site, "/dags/sales/runs/one/state", "state=cancelled").await;
    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.text);
    assert_eq!(site.get("/api/v2/dags/sales/dagRuns/one").await["state"], "failed");
    let wrong = submit(&site, "/dags/sales/runs/one/state", "state=purple").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let pool = submit(&site, "/pools", "name=warehouse&slots=2&description=").await;
    assert_eq!(pool.headers["location"], "/pools");
    let wrong = submit(&site, "/pools", "name=warehouse&slots=-7").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn assets_are_kept_for_ever_under_their_hash(site: Site) {
    let page = page(&site, "/").await;
    let links = page.split('"').filter(|part| part.starts_with("/assets/"));
    let mut count = 0;
    for link in links {
        let answer = site.send(Request::get(link).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{link}");
        assert!(link.contains("?v="), "{link}");
        assert_eq!(answer.headers["cache-control"], "public, max-age=31536000, immutable");
        count += 1;
    }
    assert_eq!(count, 4);
    let missing = site.send(Request::get("/assets/nope.js").body(Body::empty()).unwrap()).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

on_both_databases!(
    every_page_shows_what_it_is_about,
    the_trigger_form_checks_params,
    the_trigger_form_takes_json_and_a_logical_date,
    buttons_do_what_they_say,
    assets_are_kept_for_ever_under_their_hash,
);

#[test]
fn vendored_files_are_what_the_list_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(folder.join("VENDORED.md")).unwrap();
    let script = std::fs::read(folder.join("assets/htmx.min.js")).unwrap();
    assert!(list.contains(&flow_model::dag::hex(&sha2::Sha256::digest(script))));
}
