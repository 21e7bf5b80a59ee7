//! Pools.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow_model::limits::POOL_NAME_CHARACTERS_MAX;
use flow_model::outside::is_step;
use flow_queue::Bell;
use flow_store::Pool;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::ApiJson;
use crate::state::App;

pub(super) async fn list(State(app): State<App>) -> WebResult {
    let pools: Vec<Value> = app.store.pools_in_use().await?.iter().map(pool_json).collect();
    Ok(Json(json!({ "pools": pools, "total_entries": pools.len() })))
}

pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> WebResult {
    Ok(Json(pool_json(&find(&app, &name).await?)))
}

async fn find(app: &App, name: &str) -> WebResult<Pool> {
    let pools = app.store.pools_in_use().await?;
    pools.into_iter().find(|pool| pool.name == name).ok_or_else(|| {
        WebError::not_found(format!("there is no pool `{name}`")).hint("`flowctl pools list` lists them")
    })
}

#[derive(Deserialize)]
pub(super) struct SetBody {
    slots: i64,
    description: Option<String>,
}

pub(super) async fn set(
    State(app): State<App>,
    Path(name): Path<String>,
    principal: Principal,
    ApiJson(body): ApiJson<SetBody>,
) -> WebResult {
    set_pool(&app, &name, body.slots, body.description.as_deref(), principal).await?;
    one(State(app), Path(name)).await
}

/// Creates a pool or changes its slots.
pub(crate) async fn set_pool(
    app: &App,
    name: &str,
    slots: i64,
    description: Option<&str>,
    principal: Principal,
) -> WebResult<()> {
    if name.is_empty() || name.chars().count() > POOL_NAME_CHARACTERS_MAX {
        return Err(WebError::unprocessable(format!(
            "a pool's name has between 1 and {POOL_NAME_CHARACTERS_MAX} characters"
        )));
    }
    if is_step(name) {
        return Err(WebError::unprocessable(format!("`{name}` is not usable as the name of a pool"))
            .hint("`.` and `..` mean folders in paths and URLs: add a letter"));
    }
    if slots < -1 {
        return Err(WebError::unprocessable(format!("pool `{name}` cannot have {slots} slots"))
            .hint("use 0 or more, or -1 for unlimited"));
    }
    app.store.set_pool(app.store.now(), name, slots, description, &principal.0).await?;
    app.ring(&[Bell::Scheduler, Bell::Runs]).await;
    Ok(())
}

#[derive(Deserialize)]
pub(super) struct CreateBody {
    name: String,
    slots: i64,
    description: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    principal: Principal,
    ApiJson(body): ApiJson<CreateBody>,
) -> WebResult<(StatusCode, Json<Value>)> {
    if app.store.pools_in_use().await?.iter().any(|pool| pool.name == body.name) {
        return Err(WebError::conflict(format!("there is a pool `{}` already", body.name))
            .hint("change it with PATCH /api/v2/pools/<name>"));
    }
    set_pool(&app, &body.name, body.slots, body.description.as_deref(), principal).await?;
    Ok((StatusCode::CREATED, Json(pool_json(&find(&app, &body.name).await?))))
}

fn pool_json(pool: &Pool) -> Value {
    let occupied = pool.running_slots + pool.queued_slots;
    json!({
        "name": pool.name,
        "slots": pool.slots,
        "description": pool.description,
        "include_deferred": false,
        "occupied_slots": occupied,
        "running_slots": pool.running_slots,
        "queued_slots": pool.queued_slots,
        "open_slots": if pool.slots < 0 { -1 } else { (pool.slots - occupied).max(0) },
    })
}
