//! Counts and times requests by route, never by path: labels must stay few, whatever strangers send.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

pub(crate) async fn count_requests(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let seconds = began.elapsed().as_secs_f64();
    tracing::debug!(%method, route, status, seconds, "answered a request");
    metrics::counter!("flow_http_requests_total", "method" => label(&method), "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("flow_http_request_seconds", "route" => route).record(seconds);
    response
}

/// Methods have any name that a client likes; those without a route share one label.
fn label(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
