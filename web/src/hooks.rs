//! `POST /hooks/<name>`: signed requests start runs. The signature is the login, so nothing here tells a stranger more
//! than that it does not fit: neither by words nor by time.

use std::borrow::Cow;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flow_model::outside::{bytes_without_mark, has_nul};
use flow_model::params::resolve_params;
use flow_model::start::{SignatureScheme, Start, Webhook};
use flow_model::{RunType, SecretText, Timestamp, TriggeredBy};
use flow_queue::Bell;
use flow_store::{NewRun, NewStart, Started, Watched};
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::edge::Activity;
use crate::error::{WebError, WebResult};
use crate::signature::{self, Signed};
use crate::state::App;

/// After how many seconds a sender may try again where too many runs wait.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("30");

/// Refusals leave at whole multiples of this time after the request came in, so that how long it takes to look up a hook
/// and its secret tells nothing about whether there is one.
const REFUSED_EVERY: Duration = Duration::from_millis(100);

/// Looked up where there is no hook, so that as much is done as for one with a wrong signature.
const NO_VARIABLE: &str = "no_such_hook";

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/hooks/{name}", post(receive))
}

async fn receive(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Bytes,
) -> WebResult<Response> {
    let came_in = Instant::now();
    let now = app.store.now();
    let listeners = app.store.webhook_listeners(&name).await?;
    let accepted = accepted(&app, &listeners, &headers, &body, now).await;
    let Some((_, first)) = accepted.first() else {
        if listeners.is_empty() {
            let _ = app.secrets.variable(NO_VARIABLE).await;
        }
        until_refusal(came_in).await;
        return Err(refused());
    };
    if let Some(activity) = extensions.get::<Activity>() {
        activity.is_of_somebody();
    }
    let event_id = first.event_id.clone();
    // GitHub asks once whether somebody listens, when the webhook is set up.
    let is_github = accepted
        .iter()
        .any(|(watched, _)| webhook(watched).is_some_and(|webhook| webhook.scheme == SignatureScheme::Github));
    if is_github && headers.get("x-github-event").is_some_and(|event| event == "ping") {
        return Ok(Json(json!({ "event_id": event_id, "dag_runs": [] })).into_response());
    }
    let mut events = Vec::with_capacity(accepted.len());
    for (watched, signed) in accepted {
        let body = payload(watched, &headers, &body)?;
        events.push(event(&app, watched, signed, &body, now).await?);
    }
    let started = app.store.start_runs(now, &events).await?;
    app.ring(&[Bell::Scheduler, Bell::Runs]).await;
    Ok(answer(&event_id, &events, &started))
}

/// The DAGs for which the request is signed. Each checks with its own secret, so that none can be started by a signature
/// that was meant for another.
async fn accepted<'a>(
    app: &App,
    listeners: &'a [Watched],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Vec<(&'a Watched, Signed)> {
    let mut accepted = Vec::new();
    for watched in listeners {
        let Start::Webhook(webhook) = &watched.start else { continue };
        let mut why_not = "there is no secret to check it with";
        for variable in std::iter::once(&webhook.secret).chain(&webhook.previous_secret) {
            let Some(secret) = secret(app, watched, variable).await else { continue };
            match signature::check(webhook, &secret, headers, body, now) {
                Ok(signed) => {
                    why_not = "";
                    accepted.push((watched, signed));
                    break;
                }
                Err(why) => why_not = why,
            }
        }
        if !why_not.is_empty() {
            tracing::info!(dag.id = watched.dag_id, webhook.name, why = why_not, "refused a request to a webhook");
        }
    }
    accepted
}

/// A secret that can be used. Looked up for each request, so that a changed one counts at once.
async fn secret(app: &App, watched: &Watched, variable: &str) -> Option<SecretText> {
    match app.secrets.variable(variable).await {
        Ok(secret) if !secret.expose().is_empty() => Some(secret),
        Ok(_) => {
            tracing::warn!(dag.id = watched.dag_id, variable, "the secret of a webhook is empty");
            None
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(dag.id = watched.dag_id, variable, error, "the secret of a webhook cannot be had");
            None
        }
    }
}

async fn until_refusal(came_in: Instant) {
    let periods = came_in.elapsed().as_nanos() / REFUSED_EVERY.as_nanos() + 1;
    let periods = u32::try_from(periods).unwrap_or(u32::MAX);
    tokio::time::sleep_until(came_in + REFUSED_EVERY * periods).await;
}

/// The same for a hook that is not there, a secret that is not there, and a signature that does not fit.
fn refused() -> WebError {
    WebError::new(StatusCode::UNAUTHORIZED, "this is not signed as a hook of this name wants it")
        .hint("docs/starts.md says how to sign; the log of the web process says what was wrong")
}

/// What the body says. GitHub's default is a form with the JSON in its field `payload`; the signature is over the form.
fn payload<'a>(watched: &Watched, headers: &HeaderMap, body: &'a [u8]) -> WebResult<Cow<'a, [u8]>> {
    let is_github = webhook(watched).is_some_and(|webhook| webhook.scheme == SignatureScheme::Github);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !is_github || !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(Cow::Borrowed(body));
    }
    let Some(field) = body.split(|byte| *byte == b'&').find_map(|field| field.strip_prefix(b"payload=")) else {
        // curl calls whatever it sends a form.
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(bytes_without_mark(body)).is_ok();
        return is_json.then_some(Cow::Borrowed(body)).ok_or_else(|| {
            WebError::unprocessable(
                "the body is a form (`application/x-www-form-urlencoded`) without the field `payload`",
            )
            .hint("in GitHub, set the content type of the webhook to `application/json`")
        });
    };
    let spaced: Vec<u8> = field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Ok(Cow::Owned(percent_decode(&spaced).collect()))
}

async fn event(app: &App, watched: &Watched, signed: Signed, body: &[u8], now: Timestamp) -> WebResult<NewStart> {
    let conf = webhook(watched)
        .map(|webhook| webhook.conf(body))
        .transpose()
        .map_err(|why| WebError::unprocessable(why).hint("send a JSON object: its keys become the conf of the run"))?;
    let conf = conf.unwrap_or_default();
    if conf.iter().any(|(name, value)| name.contains('\0') || has_nul(value)) {
        return Err(WebError::unprocessable("the body holds a NUL character, which no text here can hold"));
    }
    let graph = app.store.dag_graph(watched.version).await?;
    resolve_params(&graph.dag.params, &conf).map_err(|problems| WebError::params(&watched.dag_id, problems))?;
    let run = NewRun {
        dag_id: watched.dag_id.clone(),
        run_id: None,
        run_type: RunType::AssetTriggered,
        triggered_by: TriggeredBy::Asset,
        principal: watched.start.summary(),
        logical_date: Some(now),
        data_interval: Some(graph.dag.manual_interval(now)),
        run_after: now,
        conf,
        note: None,
    };
    Ok(NewStart { source: watched.start.source(), event_id: signed.event_id, run })
}

fn webhook(watched: &Watched) -> Option<&Webhook> {
    match &watched.start {
        Start::Webhook(webhook) => Some(webhook),
        Start::Stream(_) | Start::Files(_) => None,
    }
}

fn answer(event_id: &str, events: &[NewStart], started: &[Started]) -> Response {
    let runs: Vec<Value> = events
        .iter()
        .zip(started)
        .filter_map(|(event, started)| {
            let (run_id, is_paused) = match started {
                Started::Created(run) => (Some(&run.run_id), run.dag_is_paused),
                Started::Repeated(run_id) => (run_id.as_ref(), false),
                Started::TooManyWait => return None,
            };
            let mut run = json!({ "dag_id": event.run.dag_id, "dag_run_id": run_id });
            if is_paused {
                run["hint"] = "the DAG is paused: the run waits until somebody unpauses it".into();
            }
            Some(run)
        })
        .collect();
    if started.contains(&Started::TooManyWait) {
        let mut response = WebError::new(StatusCode::TOO_MANY_REQUESTS, "too many runs wait to be started")
            .hint("send it again later, with the same event id")
            .into_response();
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        return response;
    }
    let is_new = started.iter().any(|started| matches!(started, Started::Created(_)));
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(json!({ "event_id": event_id, "dag_runs": runs }))).into_response()
}
