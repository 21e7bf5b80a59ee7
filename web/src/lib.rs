//! The web role: pages for operators, the REST API, and what probes and monitoring ask for.
//!
//! A handler asks the store one question and shows the answer; it decides nothing about scheduling. What a handler
//! changes, it changes through the store, and then it rings the bells that make others look.

mod api;
mod assets;
mod auth;
mod edge;
mod error;
mod extract;
mod guard;
mod health;
mod hooks;
mod host;
mod markdown;
mod measure;
mod options;
mod pages;
mod peer;
mod prometheus;
mod shares;
mod shown;
mod signature;
mod state;
mod stream;
mod texts;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use host::HostRule;
pub use options::{Limits, Network, PublicOrigin, WebOptions};
use state::App;
pub use state::WebState;

/// Serves pages and API on a listener until `shutdown`: then it accepts no new connection, ends streams, and returns
/// when the requests under way are answered. On a loopback address, requests that name another host are refused.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, state: WebState, shutdown: CancellationToken) -> std::io::Result<()> {
    let options = state.options.clone();
    serve_router(listener, routes(App::new(state, shutdown.clone())), &options, shutdown).await
}

/// Serves `/livez`, `/readyz` with its details, and `/metrics`: for operators, without a login.
///
/// # Errors
/// The listener failed.
pub async fn serve_probes(listener: TcpListener, state: WebState, shutdown: CancellationToken) -> std::io::Result<()> {
    let options = state.options.clone();
    serve_router(listener, probes_router(state), &options, shutdown).await
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    options: &WebOptions,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let only_local = listener.local_addr()?.ip().is_loopback();
    let public = options.public_origin.as_ref().map(|origin| origin.host().to_owned());
    let rule = Arc::new(HostRule { only_local, public });
    edge::serve(listener, router.layer(from_fn_with_state(rule, host::check)), options.limits, shutdown).await
}

/// The routes for operators, without a listener.
pub fn probes_router(state: WebState) -> Router {
    let app = App::new(state, CancellationToken::new());
    guard::protect_probes(Router::new().merge(health::detailed_routes()).merge(prometheus::routes()).with_state(app))
}

/// All routes, without a listener.
pub fn router(state: WebState) -> Router {
    routes(App::new(state, CancellationToken::new()))
}

fn routes(app: App) -> Router {
    let routes = Router::new()
        .merge(api::routes())
        .merge(pages::routes())
        .merge(health::routes())
        .merge(assets::routes())
        .merge(auth::routes())
        .fallback(error::no_such_page)
        .with_state(app.clone());
    guard::protect(routes, hooks::routes().with_state(app.clone()), app)
}
