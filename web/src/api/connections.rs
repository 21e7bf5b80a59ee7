//! Connections, with Airflow's fields. What is secret of them is never told.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow_model::Connection;
use flow_model::connection::redacted;
use flow_model::limits::{CONNECTION_ID_CHARACTERS_MAX, ROWS_PER_PAGE_MAX};
use flow_secrets::{MASK, Secrets};
use flow_store::StoredConnection;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{PageQuery, check_name};
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    connection_id_pattern: Option<String>,
}

pub(super) async fn list(State(app): State<App>, ApiQuery(query): ApiQuery<ListQuery>) -> WebResult {
    let page = PageQuery { limit: query.limit, offset: query.offset }.page(ROWS_PER_PAGE_MAX);
    let part = query.connection_id_pattern.unwrap_or_default();
    let (found, total) = app.store.list_connections(part.trim_matches('%'), page).await?;
    let connections: Vec<Value> = found.iter().map(|stored| connection_json(&app.secrets, stored)).collect();
    Ok(Json(json!({ "connections": connections, "total_entries": total })))
}

pub(super) async fn one(State(app): State<App>, Path(conn_id): Path<String>) -> WebResult {
    let stored = app.store.stored_connection(&conn_id).await?.ok_or_else(|| no_such_connection(&conn_id))?;
    Ok(Json(connection_json(&app.secrets, &stored)))
}

fn no_such_connection(conn_id: &str) -> WebError {
    WebError::not_found(format!("there is no connection `{conn_id}` in the store"))
        .hint("`flowctl connections list` lists them; those of the environment, of files and of Vault are not shown")
}

pub(super) async fn create(
    State(app): State<App>,
    principal: Principal,
    ApiJson(body): ApiJson<Map<String, Value>>,
) -> WebResult<(StatusCode, Json<Value>)> {
    let Some(conn_id) = body.get("connection_id").and_then(Value::as_str).map(str::to_owned) else {
        return Err(WebError::unprocessable("`connection_id` is missing"));
    };
    if app.store.stored_connection(&conn_id).await?.is_some() {
        return Err(WebError::conflict(format!("there is a connection `{conn_id}` already"))
            .hint("change it with PATCH /api/v2/connections/<connection_id>"));
    }
    set_connection(&app, &conn_id, body, &principal).await?;
    Ok((StatusCode::CREATED, one(State(app), Path(conn_id)).await?))
}

pub(super) async fn patch(
    State(app): State<App>,
    Path(conn_id): Path<String>,
    principal: Principal,
    ApiJson(body): ApiJson<Map<String, Value>>,
) -> WebResult {
    if body.get("connection_id").is_some_and(|named| *named != *conn_id) {
        return Err(WebError::unprocessable("`connection_id` cannot be changed")
            .hint("set a new connection and delete this one"));
    }
    if app.store.stored_connection(&conn_id).await?.is_none() {
        return Err(no_such_connection(&conn_id));
    }
    set_connection(&app, &conn_id, body, &principal).await?;
    one(State(app), Path(conn_id)).await
}

pub(super) async fn delete(
    State(app): State<App>,
    Path(conn_id): Path<String>,
    principal: Principal,
) -> WebResult<StatusCode> {
    delete_connection(&app, &conn_id, &principal).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a connection.
pub(crate) async fn delete_connection(app: &App, conn_id: &str, principal: &Principal) -> WebResult<()> {
    match app.store.delete_connection(app.store.now(), conn_id, &principal.0).await? {
        true => Ok(()),
        false => Err(no_such_connection(conn_id)),
    }
}

/// Creates a connection, or changes those of its fields that are given. `***`, which is what is shown of a secret, leaves it
/// as it was.
pub(crate) async fn set_connection(
    app: &App,
    conn_id: &str,
    mut given: Map<String, Value>,
    principal: &Principal,
) -> WebResult<()> {
    check_name("connection", conn_id, CONNECTION_ID_CHARACTERS_MAX, "_-.")?;
    for ignored in ["connection_id", "team_name"] {
        given.remove(ignored);
    }
    let description = match given.remove("description") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err(WebError::unprocessable("`description` is not text")),
    };
    let before = match app.store.stored_connection(conn_id).await? {
        Some(stored) => app.secrets.open_connection(&stored)?.to_json(),
        None => json!({}),
    };
    let mut fields = before.clone();
    let wrong = |error: flow_model::connection::ConnectionError| {
        WebError::unprocessable(format!("connection `{conn_id}` cannot be set: {error}"))
            .hint("its fields are `conn_type`, `host`, `port`, `login`, `password`, `schema` and `extra`")
    };
    for (name, value) in given {
        let value = match (name.as_str(), value) {
            // As an object, so that what is hidden in it can be filled in.
            ("extra", Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            (_, value) => value,
        };
        fields[name.as_str()] = unhidden(value, &before[name.as_str()]);
    }
    if fields["password"] == MASK {
        return Err(WebError::unprocessable(format!(
            "the password of `{conn_id}` is `***`, which is what is shown of one"
        ))
        .hint("give the password itself; `flowctl connections export` has it"));
    }
    let connection = Connection::from_json(conn_id, &fields).map_err(wrong)?;
    let stored = StoredConnection {
        conn_id: conn_id.to_owned(),
        conn_type: connection.conn_type.clone(),
        sealed: app.secrets.seal_connection(&connection)?.0,
        description,
        updated_at: 0,
    };
    Ok(app.store.set_connection(app.store.now(), &stored, &principal.0).await?)
}

/// What was sent, with what was there before for every `***` in it.
pub(super) fn unhidden(sent: Value, before: &Value) -> Value {
    match sent {
        Value::String(text) if text == MASK && !before.is_null() => before.clone(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name.clone(), unhidden(value, &before[name.as_str()]))).collect()
        }
        Value::String(text) if text.contains(MASK) => {
            let inner = |text: &str| serde_json::from_str::<Value>(text).ok().filter(|value| !value.is_string());
            match (inner(&text), before.as_str().and_then(inner)) {
                (Some(sent), Some(before)) => Value::String(unhidden(sent, &before).to_string()),
                _ => Value::String(text),
            }
        }
        Value::Array(items) => {
            let part = |(at, item)| unhidden(item, before.get(at).unwrap_or(&Value::Null));
            Value::Array(items.into_iter().enumerate().map(part).collect())
        }
        other => other,
    }
}

/// A connection as people may see it.
pub(crate) fn connection_json(secrets: &Secrets, stored: &StoredConnection) -> Value {
    let mut shown = json!({
        "connection_id": stored.conn_id, "conn_type": stored.conn_type, "description": stored.description,
        "host": null, "port": null, "login": null, "password": null, "schema": null, "extra": null,
    });
    match secrets.open_connection(stored) {
        Ok(connection) => {
            let fields = redacted(&connection.to_json());
            for name in ["host", "port", "login", "password", "schema"] {
                shown[name] = fields[name].clone();
            }
            if !connection.extra.is_empty() {
                shown["extra"] = json!(connection.extra_shown().to_string());
            }
        }
        Err(error) => shown["error"] = json!(error.to_string()),
    }
    shown
}
