//! What holds for every route: who may ask, from where, how much, and what browsers may do with the answer.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use flow_model::limits::{REQUEST_BYTES_MAX, VALUE_REQUEST_BYTES_MAX};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::timeout::TimeoutLayer;

use crate::error::WebError;
use crate::options::PublicOrigin;
use crate::state::App;
use crate::texts;

/// A request whose answer has not begun after this time is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Wraps the routes, innermost first. The hooks check each request by themselves: they need no login, and other sites may
/// call them.
pub(crate) fn protect(routes: Router, hooks: Router, app: App) -> Router {
    let hooks = hooks.layer(from_fn_with_state(REQUEST_BYTES_MAX, texts::check));
    let csrf = csrf(app.options.public_origin.as_ref());
    let routes = routes
        .layer(from_fn_with_state(VALUE_REQUEST_BYTES_MAX, texts::check))
        .layer(csrf)
        .layer(from_fn_with_state(app, crate::auth::require_login))
        .merge(hooks)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX));
    protect_probes(routes)
}

/// The same for routes that everybody may ask who can reach them.
pub(crate) fn protect_probes(routes: Router) -> Router {
    routes
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_WITHIN))
        .layer(from_fn(crate::measure::count_requests))
        .layer(from_fn(security_headers))
        .layer(CatchPanicLayer::new())
}

/// Requests that change something must come from our own pages, or from no browser at all. A proxy may name another host
/// than the browser does; then it has to be told which one that is.
fn csrf(public: Option<&PublicOrigin>) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + use<>> {
    let mut csrf = CsrfLayer::new();
    if let Some(origin) = public {
        csrf = csrf.add_trusted_origin(origin.as_str()).unwrap_or_default();
    }
    csrf.with_rejection_response(|_: ProtectionError| {
        WebError::new(StatusCode::FORBIDDEN, "this request comes from another site")
            .hint("if a proxy shows these pages under another name, set `web.public_url` to it")
            .into_response()
    })
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
