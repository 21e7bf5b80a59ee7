//! The web role: pages for operators, the REST API, and what probes and monitoring ask for.
//!
//! A handler asks the store one question and shows the answer; it decides nothing about scheduling. What a handler
//! changes, it changes through the store, and then it rings the bells that make others look.

mod api;
mod assets;
mod auth;
mod error;
mod extract;
mod guard;
mod health;
mod hooks;
mod markdown;
mod measure;
mod pages;
mod prometheus;
mod signature;
mod state;
mod stream;
mod words;

use axum::Router;
use axum::serve::ListenerExt;
use tokio_util::sync::CancellationToken;

use state::App;
pub use state::WebState;

/// Serves pages and API on a listener until `shutdown`: then it accepts no new connection, ends streams, and returns
/// when the requests under way are answered. On a loopback address, requests that name another host are refused.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: tokio::net::TcpListener,
    state: WebState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let is_loopback = listener.local_addr()?.ip().is_loopback();
    let mut router = routes(App::new(state, shutdown.clone()));
    if is_loopback {
        router = router.layer(axum::middleware::from_fn(guard::only_local_host));
    }
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not switch off Nagle's algorithm");
        }
    });
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// Serves only `/livez`, `/readyz` and `/metrics`, for a role that has no pages.
///
/// # Errors
/// The listener failed.
pub async fn serve_probes(
    listener: tokio::net::TcpListener,
    state: WebState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let app = App::new(state, shutdown.clone());
    let router = Router::new().merge(health::routes()).merge(prometheus::routes()).with_state(app);
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
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
        .merge(prometheus::routes())
        .merge(assets::routes())
        .merge(auth::routes())
        .fallback(error::no_such_page)
        .with_state(app.clone());
    guard::protect(routes, hooks::routes().with_state(app.clone()), app)
}
