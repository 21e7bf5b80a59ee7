//! What Prometheus scrapes: the metrics of this process, and gauges that are read from the store at that moment.

use std::fmt::Write;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use flow_store::Result;

use crate::state::App;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/metrics", get(scrape))
}

async fn scrape(State(app): State<App>) -> impl IntoResponse {
    let mut text = app.metrics.render();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match gauges(&app).await {
        Ok(gauges) => {
            text.push_str(&gauges);
            text.push_str("# TYPE flow_store_up gauge\nflow_store_up 1\n");
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not read gauges from the store");
            text.push_str("# TYPE flow_store_up gauge\nflow_store_up 0\n");
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn gauges(app: &App) -> Result<String> {
    let live = app.store.live_counts().await?;
    let pools = app.store.pools_in_use().await?;
    let processes = app.store.list_processes().await?;
    let import_errors = app.store.count_import_errors().await?;
    let now = app.store.now();

    let mut text = String::new();
    gauge(
        &mut text,
        "flow_live_task_instances",
        live.task_instances.iter().map(|(state, n)| (vec![("state", state.as_str())], *n)),
    );
    gauge(&mut text, "flow_live_dag_runs", live.runs.iter().map(|(state, n)| (vec![("state", state.as_str())], *n)));
    gauge(&mut text, "flow_pool_slots", pools.iter().map(|pool| (vec![("pool", pool.name.as_str())], pool.slots)));
    gauge(
        &mut text,
        "flow_pool_running_slots",
        pools.iter().map(|pool| (vec![("pool", pool.name.as_str())], pool.running_slots)),
    );
    gauge(
        &mut text,
        "flow_pool_queued_slots",
        pools.iter().map(|pool| (vec![("pool", pool.name.as_str())], pool.queued_slots)),
    );
    gauge(
        &mut text,
        "flow_process_up",
        processes.iter().map(|process| {
            let labels =
                vec![("kind", process.kind.as_str()), ("slot", process.slot.as_str()), ("host", process.host.as_str())];
            (labels, i64::from(process.lease_until > now))
        }),
    );
    gauge(&mut text, "flow_import_errors", [(Vec::new(), import_errors)].into_iter());
    Ok(text)
}

fn gauge<'a>(text: &mut String, name: &str, samples: impl Iterator<Item = (Vec<(&'static str, &'a str)>, i64)>) {
    let _ = writeln!(text, "# TYPE {name} gauge");
    for (labels, value) in samples {
        let labels: Vec<String> =
            labels.into_iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
