//! Variables, with Airflow's fields. A value that is secret is never told; setting it is all that can be done.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use flow_model::connection::{is_sensitive_name, redacted_text};
use flow_model::limits::{ROWS_PER_PAGE_MAX, VARIABLE_BYTES_MAX, VARIABLE_KEY_CHARACTERS_MAX};
use flow_secrets::{MASK, Secrets, SecretsError};
use flow_store::StoredVariable;
use serde::Deserialize;
use serde_json::{Value, json};

use super::connections::unhidden;
use super::{PageQuery, check_name};
use crate::auth::Principal;
use crate::error::{WebError, WebResult};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::App;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    offset: Option<i64>,
    variable_key_pattern: Option<String>,
}

pub(super) async fn list(State(app): State<App>, ApiQuery(query): ApiQuery<ListQuery>) -> WebResult {
    let page = PageQuery { limit: query.limit, offset: query.offset }.page(ROWS_PER_PAGE_MAX);
    let part = query.variable_key_pattern.unwrap_or_default();
    let (found, total) = app.store.list_variables(part.trim_matches('%'), page).await?;
    let variables: Vec<Value> = found.iter().map(|variable| variable_json(&app.secrets, variable)).collect();
    Ok(Json(json!({ "variables": variables, "total_entries": total })))
}

pub(super) async fn one(State(app): State<App>, Path(key): Path<String>) -> WebResult {
    Ok(Json(variable_json(&app.secrets, &find(&app, &key).await?)))
}

async fn find(app: &App, key: &str) -> WebResult<StoredVariable> {
    app.store.stored_variable(key).await?.ok_or_else(|| no_such_variable(key))
}

fn no_such_variable(key: &str) -> WebError {
    WebError::not_found(format!("there is no variable `{key}` in the store"))
        .hint("`flowctl variables list` lists them; those of the environment, of files and of Vault are not shown")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariableBody {
    key: Option<String>,
    value: Option<Value>,
    description: Option<String>,
    is_secret: Option<bool>,
    // A field of Airflow that means nothing here.
    #[serde(rename = "team_name")]
    _team_name: Option<Value>,
}

pub(super) async fn create(
    State(app): State<App>,
    principal: Principal,
    ApiJson(body): ApiJson<VariableBody>,
) -> WebResult<(StatusCode, Json<Value>)> {
    let key = body.key.ok_or_else(|| WebError::unprocessable("`key` is missing"))?;
    if app.store.stored_variable(&key).await?.is_some() {
        return Err(WebError::conflict(format!("there is a variable `{key}` already"))
            .hint("change it with PATCH /api/v2/variables/<key>"));
    }
    let set = VariableSet {
        key: &key,
        value: Some(text(body.value.unwrap_or(Value::Null))),
        description: body.description,
        is_secret: body.is_secret,
    };
    set_variable(&app, set, &principal).await?;
    Ok((StatusCode::CREATED, one(State(app), Path(key)).await?))
}

pub(super) async fn patch(
    State(app): State<App>,
    Path(key): Path<String>,
    principal: Principal,
    ApiJson(body): ApiJson<VariableBody>,
) -> WebResult {
    if body.key.as_deref().is_some_and(|named| named != key) {
        return Err(WebError::unprocessable("`key` cannot be changed").hint("set a new variable and delete this one"));
    }
    let set = VariableSet {
        key: &key,
        value: body.value.map(text),
        description: body.description,
        is_secret: body.is_secret,
    };
    set_variable(&app, set, &principal).await?;
    one(State(app), Path(key)).await
}

pub(super) async fn delete(
    State(app): State<App>,
    Path(key): Path<String>,
    principal: Principal,
) -> WebResult<StatusCode> {
    delete_variable(&app, &key, &principal).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a variable.
pub(crate) async fn delete_variable(app: &App, key: &str, principal: &Principal) -> WebResult<()> {
    match app.store.delete_variable(app.store.now(), key, &principal.0).await? {
        true => Ok(()),
        false => Err(no_such_variable(key)),
    }
}

/// What is to be set of a variable.
pub(crate) struct VariableSet<'a> {
    pub(crate) key: &'a str,
    /// `None`: the value stays.
    pub(crate) value: Option<String>,
    pub(crate) description: Option<String>,
    /// `None`: as it was, and for a new one as its name says.
    pub(crate) is_secret: Option<bool>,
}

/// Creates or changes a variable.
pub(crate) async fn set_variable(app: &App, set: VariableSet<'_>, principal: &Principal) -> WebResult<()> {
    check_name("variable", set.key, VARIABLE_KEY_CHARACTERS_MAX, "_-./")?;
    let before = app.store.stored_variable(set.key).await?;
    // What is shown of a secret leaves it as it was.
    let value = set.value.filter(|value| before.is_none() || value != MASK);
    let value = match (value, &before) {
        (Some(value), Some(before)) if value.contains(MASK) => Some(with_hidden_parts(app, value, before)?),
        (value, _) => value,
    };
    let is_uncovered = value.is_none() && set.is_secret == Some(false);
    if is_uncovered && before.as_ref().is_some_and(|before| before.is_secret) {
        return Err(WebError::unprocessable(format!("`{}` is secret, and its value would be shown", set.key))
            .hint("give it a new value, too"));
    }
    let sealed = match (value, &before) {
        (Some(value), None) if value == MASK => {
            return Err(WebError::unprocessable(format!(
                "the value of `{}` is `***`, which is what is shown of a secret",
                set.key
            ))
            .hint("give the value itself; `flowctl variables export` has it"));
        }
        (Some(value), _) if value.len() > VARIABLE_BYTES_MAX => {
            return Err(WebError::unprocessable(format!("the value of `{}` has more than 1 MiB", set.key)));
        }
        (Some(value), _) => app.secrets.seal_variable(set.key, &value)?.0,
        (None, Some(before)) => before.sealed.clone(),
        (None, None) => return Err(no_such_variable(set.key)),
    };
    let variable = StoredVariable {
        key: set.key.to_owned(),
        sealed,
        is_secret: set.is_secret.unwrap_or_else(|| before.is_some_and(|before| before.is_secret)),
        description: set.description,
        updated_at: 0,
    };
    Ok(app.store.set_variable(app.store.now(), &variable, &principal.0).await?)
}

/// JSON that was sent, with what was there before for every `***` in it.
fn with_hidden_parts(app: &App, sent: String, before: &StoredVariable) -> WebResult<String> {
    let Ok(sent_json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(&sent) else {
        return Ok(sent);
    };
    let before = app.secrets.open_variable(before)?;
    let before = serde_json::from_str(before.expose()).unwrap_or(Value::Null);
    Ok(unhidden(sent_json, &before).to_string())
}

/// A variable's value as people may see it.
pub(crate) fn shown_value(secrets: &Secrets, variable: &StoredVariable) -> Result<String, SecretsError> {
    if variable.is_secret || is_sensitive_name(&variable.key) {
        return Ok(MASK.to_owned());
    }
    let value = secrets.open_variable(variable)?;
    Ok(redacted_text(value.expose()).unwrap_or_else(|| value.expose().to_owned()))
}

/// What is shown in the place of a value that cannot be decrypted.
pub(crate) fn unreadable(error: &SecretsError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn variable_json(secrets: &Secrets, variable: &StoredVariable) -> Value {
    let shown = shown_value(secrets, variable);
    let mut fields = json!({
        "key": variable.key, "value": shown.as_ref().ok(), "description": variable.description, "is_encrypted": true,
        "is_secret": variable.is_secret || is_sensitive_name(&variable.key),
    });
    if let Err(error) = shown {
        fields["error"] = json!(error.to_string());
    }
    fields
}

/// Text as it is, anything else as its JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
