//! What holds for every route: who may ask, from where, how much, and what browsers may do with the answer.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::timeout::TimeoutLayer;

use crate::error::WebError;
use crate::state::App;

/// Bytes of a request's body at most.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request whose answer has not begun after this time is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Wraps the routes, innermost first. The hooks check each request by themselves: they need no login, and other sites may
/// call them.
pub(crate) fn protect(routes: Router, hooks: Router, app: App) -> Router {
    let csrf = CsrfLayer::new().with_rejection_response(|_: ProtectionError| {
        WebError::new(StatusCode::FORBIDDEN, "this request comes from another site").into_response()
    });
    routes
        .layer(csrf)
        .layer(from_fn_with_state(app, crate::auth::require_login))
        .merge(hooks)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_WITHIN))
        .layer(from_fn(crate::measure::count_requests))
        .layer(from_fn(security_headers))
        .layer(CatchPanicLayer::new())
}

/// Nothing from elsewhere, nothing inline, no frames; answers that need a login are never kept.
async fn security_headers(request: Request, next: Next) -> Response {
    let is_asset = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        // An answer may be stricter about itself.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if !is_asset && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// On a loopback address, refuses requests that name another host: a page elsewhere whose name was made to point here
/// (DNS rebinding) would otherwise speak with the user's session.
pub(crate) async fn only_local_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or("");
    if is_local(host) {
        return next.run(request).await;
    }
    WebError::new(StatusCode::MISDIRECTED_REQUEST, format!("this server does not answer for the host `{host}`"))
        .hint("it listens on a loopback address only: use `localhost`, or let it listen on another address")
        .into_response()
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_loopback_names_are_local() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:80", "LOCALHOST", "flow.localhost:1"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "10.0.0.1:8080", "[2001:db8::1]:80", "127.0.0.1.nip.io"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
