//! Files that belong to the pages, built into the binary: a name that carries the hash of the content may be kept for
//! ever.

use std::collections::HashMap;
use std::sync::OnceLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::error::WebError;
use crate::state::App;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/assets/{name}", get(asset))
}

/// The path of a file, with the hash of its content as the query.
pub(crate) fn path(name: &str) -> String {
    static PATHS: OnceLock<HashMap<String, String>> = OnceLock::new();
    let paths = PATHS.get_or_init(|| {
        Assets::iter()
            .filter_map(|name| {
                let hash = flow_model::dag::hex(&Assets::get(&name)?.metadata.sha256_hash()[..6]);
                Some((name.to_string(), format!("/assets/{name}?v={hash}")))
            })
            .collect()
    });
    paths.get(name).cloned().unwrap_or_else(|| format!("/assets/{name}"))
}

async fn asset(Path(name): Path<String>) -> Response {
    let Some(file) = Assets::get(&name) else {
        return WebError::new(StatusCode::NOT_FOUND, format!("there is no asset `{name}`")).into_response();
    };
    let kind = file.metadata.mimetype().to_owned();
    ([(header::CONTENT_TYPE, kind.as_str()), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], file.data)
        .into_response()
}
