//! Questions that tasks ask people.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use flow_model::question::Question;
use flow_store::{OutcomeKind, WorkOrder};
use serde_json::{Value, json};

use crate::fixture::{Answer, Site, on_both_databases, pretty};

const DETAILS: &str = "/api/v2/dags/sales/dagRuns/one/taskInstances/load/-1/hitlDetails";
const PAGE: &str = "/dags/sales/runs/one/tasks/load";

fn question() -> Question {
    serde_json::from_value(json!({
        "subject": "Load <all> of it?",
        "body": "There are **7** files. <script>alert(1)</script>",
        "options": ["Approve", "Reject"],
        "rejects": ["Reject"],
        "params": { "share": { "type": "number", "minimum": 0, "maximum": 1, "default": 0.5 }, "note": { "type": "string" } },
        "default": { "chosen_options": ["Approve"] },
        "deadline_at": "2026-01-02T06:00:00+00:00",
    }))
    .unwrap()
}

async fn asked(site: &Site, question: Question) -> WorkOrder {
    let load = site.run_until_load("one").await;
    site.finish(&load, OutcomeKind::AwaitingInput(Box::new(question))).await;
    site.tick().await;
    load
}

async fn submit(site: &Site, form: &str) -> Answer {
    let request = Request::post(format!("{PAGE}/answer"))
        .header(header::COOKIE, format!("flow_session={}", site.token))
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    site.send(request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn html(site: &Site, path: &str) -> String {
    let answer = site.ask("GET", path, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.text
}

fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
}

async fn a_question_is_told_and_answered_in_airflows_shape(site: Site) {
    let none = site.ask("GET", DETAILS, None).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    asked(&site, question()).await;
    insta::assert_snapshot!("question", pretty(&site.get(DETAILS).await));
    let list = |query: &str| format!("/api/v2/dags/~/dagRuns/~/hitlDetails?{query}");
    for (query, total) in [
        ("", 1),
        ("response_received=false", 1),
        ("response_received=true", 0),
        ("subject_search=ALL", 1),
        ("task_id=list", 0),
    ] {
        assert_eq!(site.get(&list(query)).await["total_entries"], total, "{query}");
    }
    let of_run = site.get("/api/v2/dags/sales/dagRuns/one/hitlDetails").await;
    assert_eq!(of_run["hitl_details"][0]["task_instance"]["task_id"], "load");

    let wrong = json!({ "chosen_options": ["Perhaps"], "params_input": { "share": 2 } });
    let refused = site.ask("PATCH", DETAILS, Some(wrong)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let names: Vec<Value> =
        refused.json()["errors"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["chosen_options", "share", "note"]);
    let right = json!({ "chosen_options": ["Approve"], "params_input": { "note": "fine" } });
    let answered = site.ask("PATCH", DETAILS, Some(right.clone())).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    assert_eq!(answered.json()["responded_by"]["name"], "tester");
    assert_eq!(answered.json()["params_input"], json!({ "share": 0.5, "note": "fine" }));
    let again = site.ask("PATCH", DETAILS, Some(right)).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.json()["detail"].as_str().unwrap().starts_with("the question was answered by `tester` at"));
    assert_eq!(site.get("/api/v2/dags/sales/dagRuns/one/taskInstances/load").await["state"], "success");
}

async fn the_page_asks_and_keeps_what_was_typed(site: Site) {
    asked(&site, question()).await;
    has(&html(&site, "/").await, &["<span class=\"count\">1<span class=\"hidden\"> open</span></span>"]);
    has(&html(&site, "/questions").await, &["Load &#60;all&#62; of it?", "everybody", "2026-01-02"]);
    let form = html(&site, PAGE).await;
    has(
        &form,
        &[
            "There are <strong>7</strong> files. &lt;script&gt;",
            "<button name=\"option\" value=\"Approve\" class=\"primary\">",
            "<button name=\"option\" value=\"Reject\" class=\"danger\">",
            "name=\"param:share\" value=\"0.5\"",
            "“Approve” counts as chosen",
        ],
    );
    let refused = submit(&site, "option=Approve&param:share=2&param:note=well").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    has(&refused.text, &["2 is greater than the maximum of 1", "value=\"well\"", "value=\"2\""]);
    let refused = submit(&site, "option=Perhaps&param:share=1&param:note=well").await;
    has(&refused.text, &["`Perhaps` is none of the question&#39;s options"]);
    let answered = submit(&site, "option=Reject&param:share=1&param:note=no").await;
    assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.text);
    assert_eq!(answered.headers["location"], PAGE);
    has(&html(&site, PAGE).await, &["Answer: Reject; share = 1; note = ", "(by tester)", "skipped"]);
    let late = submit(&site, "option=Approve&param:share=1&param:note=yes").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    has(&late.text, &["answered by `tester`"]);
    let page = html(&site, "/questions").await;
    has(&page, &["No task waits for an answer.", "(by tester)"]);
    assert!(!html(&site, "/").await.contains("class=\"count\""));
}

async fn only_assignees_may_answer(site: Site) {
    asked(&site, Question { assignees: vec!["ada".to_owned()], ..question() }).await;
    has(&html(&site, "/questions").await, &["not for you"]);
    let page = html(&site, PAGE).await;
    has(
        &page,
        &["It waits for an answer from ada.", "They choose between “Approve”, “Reject”.", "Without an answer until"],
    );
    let body = json!({ "chosen_options": ["Approve"], "params_input": { "note": "x" } });
    let refused = site.ask("PATCH", DETAILS, Some(body)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert_eq!(refused.json()["hint"], "it is for `ada`");
}

on_both_databases!(
    a_question_is_told_and_answered_in_airflows_shape,
    the_page_asks_and_keeps_what_was_typed,
    only_assignees_may_answer,
);
