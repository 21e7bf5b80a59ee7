use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use flow_model::Dag;
use flow_model::start::{Start, signed_text};
use flow_secrets::{Secrets, Sources};
use flow_web::WebOptions;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fixture::{Answer, HOOK_SECRET, Site, dag, on_both_databases, sales};

fn listening(dag_id: &str, webhook: Value) -> Dag {
    let start: Start = serde_json::from_value(json!({ "webhook": webhook })).unwrap();
    Dag { dag_id: dag_id.to_owned(), starts: vec![start], ..sales() }
}

fn hook() -> Value {
    json!({ "name": "orders", "secret": "orders_hook" })
}

fn signature(secret: &str, signed: &[u8]) -> String {
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed);
    format!("sha256={}", flow_model::dag::hex(&mac.finalize().into_bytes()))
}

/// A request to a hook, signed now.
struct Call<'a> {
    path: &'a str,
    secret: &'a str,
    event_id: Option<&'a str>,
    age_seconds: i64,
    body: &'a str,
}

const CALL: Call<'static> =
    Call { path: "/hooks/orders", secret: HOOK_SECRET, event_id: None, age_seconds: 0, body: r#"{"rows": 3}"# };

impl Call<'_> {
    async fn send(&self, site: &Site) -> Answer {
        let at = (site.store.now().as_micros() / 1_000_000 - self.age_seconds).to_string();
        let signature = signature(self.secret, &signed_text(&at, self.event_id, self.body.as_bytes()));
        let mut request = Request::post(self.path).header("x-flow-timestamp", at).header("x-flow-signature", signature);
        if let Some(id) = self.event_id {
            request = request.header("x-flow-event-id", id);
        }
        site.send(request.body(Body::from(self.body.to_owned())).unwrap()).await
    }
}

async fn a_signed_request_starts_one_run(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    let first = CALL.send(&site).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let run_id = first.json()["dag_runs"][0]["dag_run_id"].as_str().unwrap().to_owned();
    let run = site.get(&format!("/api/v2/dags/load/dagRuns/{}", run_id.replace('+', "%2B"))).await;
    assert_eq!((&run["run_type"], &run["conf"]), (&json!("asset_triggered"), &json!({ "rows": 3 })));
    assert_eq!(run["triggering_user_name"], "webhook orders");

    let again = CALL.send(&site).await;
    assert_eq!((again.status, &again.json()["dag_runs"]), (StatusCode::OK, &first.json()["dag_runs"]));
    // With an id of the sender's, what counts is the id: another time, another body, the same event.
    let with_id = Call { event_id: Some("order-4"), ..CALL };
    let third = with_id.send(&site).await;
    assert_eq!((third.status, &third.json()["event_id"]), (StatusCode::ACCEPTED, &json!("order-4")));
    let later = Call { age_seconds: 60, body: r#"{"rows": 4}"#, ..with_id }.send(&site).await;
    assert_eq!((later.status, later.json()), (StatusCode::OK, third.json()));
    assert_eq!(site.get("/api/v2/dags/load/dagRuns").await["total_entries"], 2);
}

async fn a_request_starts_a_run_for_the_last_complete_interval(site: Site) {
    let rules = json!([{ "cron": { "expression": "0 0 * * *", "timezone": "UTC" } }]);
    let days = dag("days", json!({ "times": { "rules": rules, "data_intervals": true } }));
    site.publish(&Dag { starts: listening("days", hook()).starts, ..days }, false).await;
    assert_eq!(CALL.send(&site).await.status, StatusCode::ACCEPTED);
    let run = &site.get("/api/v2/dags/days/dagRuns").await["dag_runs"][0];
    let day = [&run["data_interval_start"], &run["data_interval_end"]];
    assert_eq!(day, ["2025-12-31T00:00:00+00:00", "2026-01-01T00:00:00+00:00"]);
}

async fn a_stranger_learns_nothing(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    site.publish(&listening("bill", json!({ "name": "bills", "secret": "no_such_variable" })), false).await;
    let mut answers = Vec::new();
    for call in [
        Call { secret: "guess", ..CALL },
        Call { secret: "", ..CALL },
        Call { path: "/hooks/nothing", ..CALL },
        Call { path: "/hooks/bills", secret: "", ..CALL },
        Call { age_seconds: 301, ..CALL },
        Call { age_seconds: -301, ..CALL },
        Call { event_id: Some("a.b"), ..CALL },
        // A body that is wrong, too, is not talked about.
        Call { secret: "guess", body: "no json", ..CALL },
    ] {
        let answer = call.send(&site).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
        answers.push(answer.text);
    }
    let bare = site.send(Request::post("/hooks/orders").body(Body::from("{}")).unwrap()).await;
    answers.push(bare.text);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert_eq!(CALL.send(&site).await.status, StatusCode::ACCEPTED);
    // A session or a token opens no hook.
    let with_token = site.ask("POST", "/hooks/orders", Some(json!({ "rows": 9 }))).await;
    assert_eq!(with_token.status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.get("/api/v2/dags/load/dagRuns").await["total_entries"], 1);
}

/// A refusal takes as long as every other, though a source of secrets takes its time for some.
async fn refusals_take_the_same_time(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    site.publish(&listening("bill", json!({ "name": "bills", "secret": "no_such_variable" })), false).await;
    let (slow, env) = (Duration::from_millis(20), HOOK_SECRET);
    let sources = Sources {
        env: Some(Box::new(move |name| {
            (name == "FLOW_VAR_ORDERS_HOOK").then(|| {
                std::thread::sleep(slow);
                env.to_owned()
            })
        })),
        ..Sources::default()
    };
    let mut state = site.state(WebOptions::default());
    state.secrets = Secrets::new(site.store.clone(), sources);
    let router = flow_web::router(state);
    let mut quickest = Vec::new();
    for (path, signature) in [
        ("/hooks/orders", Some("sha256=00")),
        ("/hooks/orders", None),
        ("/hooks/bills", Some("sha256=00")),
        ("/hooks/nothing", Some("sha256=00")),
        ("/hooks/nothing", None),
        ("/hooks/nothing-of-a-much-longer-name", Some("sha256=00")),
    ] {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let mut request = Request::post(path);
            if let Some(signature) = signature {
                request = request.header("x-flow-timestamp", "1").header("x-flow-signature", signature);
            }
            let began = Instant::now();
            let answer = router.clone().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            best = best.min(began.elapsed());
        }
        quickest.push(best);
    }
    let (least, most) = (quickest.iter().min().unwrap(), quickest.iter().max().unwrap());
    assert!(*most - *least < slow / 2, "{quickest:?}");
}

async fn only_this_route_is_open(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    for (method, path, expected) in [
        ("GET", "/hooks/orders", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/hooks/orders/more", StatusCode::UNAUTHORIZED),
        ("POST", "/hooks/", StatusCode::UNAUTHORIZED),
        ("POST", "/hooks", StatusCode::UNAUTHORIZED),
        ("POST", "/api/v2/dags/load/dagRuns", StatusCode::UNAUTHORIZED),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
        assert_eq!(site.send(request).await.status, expected, "{method} {path}");
    }
    // Senders may say where they are: the guard against other sites is for people's sessions.
    let at = (site.store.now().as_micros() / 1_000_000).to_string();
    let request = Request::post("/hooks/orders")
        .header("origin", "https://shop.example")
        .header("sec-fetch-site", "cross-site")
        .header("x-flow-signature", signature(HOOK_SECRET, &signed_text(&at, None, b"{}")))
        .header("x-flow-timestamp", at);
    let answer = site.send(request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "no-store");
}

async fn what_does_not_fit_is_refused_with_the_reason(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    let wrong = Call { event_id: Some("e"), body: r#"{"rows": 0, "region": "mars"}"#, ..CALL }.send(&site).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2, "{}", wrong.text);
    for body in ["", "[1]", "rows=3", "7"] {
        let wrong = Call { body, ..CALL }.send(&site).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", wrong.text);
        assert!(wrong.json()["hint"].as_str().unwrap().contains("JSON object"), "{}", wrong.text);
    }
    let right = Call { event_id: Some("e"), ..CALL }.send(&site).await;
    assert_eq!(right.status, StatusCode::ACCEPTED, "what was refused may come again: {}", right.text);
    let big = format!(r#"{{"text": "{}"}}"#, "x".repeat(1 << 20));
    let too_big = Call { body: &big, ..CALL }.send(&site).await;
    assert_eq!(too_big.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(too_big.json()["hint"].as_str().unwrap().contains("1 MiB"), "{}", too_big.text);
    let unknown = Call { path: "/hooks/nothing", body: &big, ..CALL }.send(&site).await;
    assert_eq!((unknown.status, unknown.text), (too_big.status, too_big.text), "a size says nothing about names");
}

async fn several_dags_listen_each_with_its_own_secret(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    site.publish(&listening("bill", hook()), true).await;
    site.publish(&listening("other", json!({ "name": "orders", "secret": "no_such_variable" })), false).await;
    let answer = CALL.send(&site).await.json();
    let runs = answer["dag_runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["dag_id"].as_str().unwrap()).collect::<Vec<_>>(), ["bill", "load"]);
    assert!(runs[0]["hint"].as_str().unwrap().contains("paused") && runs[1]["hint"].is_null(), "{answer}");
    let waits = site.get("/api/v2/dags/bill/dagRuns").await;
    assert_eq!(waits["dag_runs"][0]["state"], "queued");
}

async fn github_is_understood(site: Site) {
    let github = json!({ "name": "push", "secret": "orders_hook", "scheme": "github", "key": "payload" });
    site.publish(&listening("build", github), false).await;
    let body = r#"{"ref": "refs/heads/main", "rows": "not ours"}"#;
    let deliver = |id: &'static str| {
        let request = Request::post("/hooks/push")
            .header("x-hub-signature-256", signature(HOOK_SECRET, body.as_bytes()))
            .header("x-github-delivery", id)
            .header("x-github-event", "push");
        site.send(request.body(Body::from(body)).unwrap())
    };
    let first = deliver("72d3162e-cc78-11e3").await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let again = deliver("72d3162e-cc78-11e3").await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, first.json()));
    let runs = site.get("/api/v2/dags/build/dagRuns").await;
    assert_eq!(runs["total_entries"], 1);
    assert_eq!(runs["dag_runs"][0]["conf"]["payload"]["ref"], "refs/heads/main");
}

/// GitHub's default content type: the JSON is a field of a form, and the signature is over the form.
async fn github_may_send_forms(site: Site) {
    let github = json!({ "name": "push", "secret": "orders_hook", "scheme": "github", "key": "payload" });
    site.publish(&listening("build", github), false).await;
    let deliver = |id: &'static str, body: &'static str| {
        let request = Request::post("/hooks/push")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("x-hub-signature-256", signature(HOOK_SECRET, body.as_bytes()))
            .header("x-github-delivery", id)
            .header("x-github-event", "push");
        site.send(request.body(Body::from(body)).unwrap())
    };
    let sent = deliver("1", "x=1&payload=%7B%22ref%22%3A+%22refs%2Fheads%2F%C3%A4%2B1%22%7D").await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.text);
    let runs = site.get("/api/v2/dags/build/dagRuns").await;
    assert_eq!(runs["dag_runs"][0]["conf"]["payload"]["ref"], "refs/heads/ä+1");
    let refused = deliver("2", "data=%7B%7D").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("application/x-www-form-urlencoded"), "{}", refused.text);
}

async fn a_byte_order_mark_is_passed_over(site: Site) {
    site.publish(&listening("load", hook()), false).await;
    let sent = Call { body: "\u{feff}{\"rows\": 3}", ..CALL }.send(&site).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.text);
}

on_both_databases!(
    a_signed_request_starts_one_run,
    a_request_starts_a_run_for_the_last_complete_interval,
    a_stranger_learns_nothing,
    refusals_take_the_same_time,
    only_this_route_is_open,
    what_does_not_fit_is_refused_with_the_reason,
    several_dags_listen_each_with_its_own_secret,
    github_is_understood,
    github_may_send_forms,
    a_byte_order_mark_is_passed_over,
);
