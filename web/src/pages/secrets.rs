//! Variables and connections: lists, and forms to set them. What is secret can be written here and never read.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use flow_store::read::Page;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::mark::Time;
use super::{Frame, PageResult, show};
use crate::api::{
    VariableSet, connection_json, delete_connection, delete_variable, set_connection, set_variable, shown_value,
    unreadable,
};
use crate::auth::Principal;
use crate::error::WebError;
use crate::state::App;

/// Rows on a page.
const ROWS_MAX: i64 = 100;
/// Characters of a value on the page.
const VALUE_CHARS_MAX: usize = 200;

/// What a list is narrowed to, and what its form shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    /// Part of a name.
    q: String,
    /// The name of what is to be changed.
    edit: String,
}

#[derive(Template)]
#[template(path = "variables.html")]
struct VariablesPage {
    frame: Frame,
    wanted: Wanted,
    rows: Vec<VariableRow>,
    total: i64,
    edited: VariableForm,
}

struct VariableRow {
    key: String,
    value: String,
    description: String,
    updated: Time,
}

/// What the form of a variable sends, and begins with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct VariableForm {
    key: String,
    value: String,
    description: String,
    is_secret: Option<String>,
    delete: Option<String>,
}

pub(super) async fn variables(State(app): State<App>, Query(wanted): Query<Wanted>, frame: Frame) -> PageResult {
    let (found, total) = app.store.list_variables(&wanted.q, Page::first(ROWS_MAX)).await.map_err(WebError::from)?;
    let edited = match found.iter().find(|variable| variable.key == wanted.edit) {
        Some(variable) => VariableForm {
            key: variable.key.clone(),
            value: shown_value(&app.secrets, variable).unwrap_or_default(),
            description: variable.description.clone().unwrap_or_default(),
            is_secret: variable.is_secret.then(String::new),
            delete: None,
        },
        None => VariableForm::default(),
    };
    let row = |variable: &flow_store::StoredVariable| VariableRow {
        value: shortened(shown_value(&app.secrets, variable).unwrap_or_else(|error| unreadable(&error))),
        key: variable.key.clone(),
        description: variable.description.clone().unwrap_or_default(),
        updated: flow_model::Timestamp::from_micros(variable.updated_at).into(),
    };
    let rows = found.iter().map(row).collect();
    show(&VariablesPage { frame, wanted, rows, total, edited })
}

pub(super) async fn submit_variable(
    State(app): State<App>,
    frame: Frame,
    Form(form): Form<VariableForm>,
) -> PageResult {
    let principal = Principal(frame.principal);
    let key = form.key.trim();
    if form.delete.is_some() {
        delete_variable(&app, key, &principal).await?;
        return Ok(Redirect::to("/variables").into_response());
    }
    let set = VariableSet {
        key,
        value: Some(form.value),
        description: Some(form.description.trim().to_owned()),
        is_secret: Some(form.is_secret.is_some()),
    };
    set_variable(&app, set, &principal).await?;
    Ok(Redirect::to("/variables").into_response())
}

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage {
    frame: Frame,
    wanted: Wanted,
    rows: Vec<ConnectionRow>,
    total: i64,
    edited: ConnectionForm,
}

struct ConnectionRow {
    conn_id: String,
    conn_type: String,
    place: String,
    login: String,
    description: String,
    updated: Time,
}

/// What the form of a connection sends, and begins with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ConnectionForm {
    connection_id: String,
    conn_type: String,
    host: String,
    port: String,
    login: String,
    password: String,
    schema: String,
    extra: String,
    description: String,
    delete: Option<String>,
}

pub(super) async fn connections(State(app): State<App>, Query(wanted): Query<Wanted>, frame: Frame) -> PageResult {
    let (found, total) = app.store.list_connections(&wanted.q, Page::first(ROWS_MAX)).await.map_err(WebError::from)?;
    let shown: Vec<Value> = found.iter().map(|stored| connection_json(&app.secrets, stored)).collect();
    let edited = shown.iter().find(|shown| shown["connection_id"] == *wanted.edit).map(form_of).unwrap_or_default();
    let rows = found.iter().zip(&shown).map(|(stored, shown)| ConnectionRow {
        conn_id: stored.conn_id.clone(),
        conn_type: stored.conn_type.clone(),
        place: match shown["error"].as_str() {
            Some(error) => error.lines().next().unwrap_or_default().to_owned(),
            None => place_of(shown),
        },
        login: text(shown, "login"),
        description: text(shown, "description"),
        updated: flow_model::Timestamp::from_micros(stored.updated_at).into(),
    });
    let rows = rows.collect();
    show(&ConnectionsPage { frame, wanted, rows, total, edited })
}

pub(super) async fn submit_connection(
    State(app): State<App>,
    frame: Frame,
    Form(form): Form<ConnectionForm>,
) -> PageResult {
    let principal = Principal(frame.principal);
    let conn_id = form.connection_id.trim();
    if form.delete.is_some() {
        delete_connection(&app, conn_id, &principal).await?;
    } else {
        set_connection(&app, conn_id, fields_of(&form), &principal).await?;
    }
    Ok(Redirect::to("/connections").into_response())
}

/// Every field is sent: an empty one is none.
fn fields_of(form: &ConnectionForm) -> Map<String, Value> {
    let fields = [
        ("conn_type", &form.conn_type),
        ("host", &form.host),
        ("port", &form.port),
        ("login", &form.login),
        ("schema", &form.schema),
        ("extra", &form.extra),
        ("description", &form.description),
    ];
    let fields = fields.map(|(name, text)| (name.to_owned(), json!(text.trim())));
    // A password may begin or end with a space.
    fields.into_iter().chain([("password".to_owned(), json!(form.password))]).collect()
}

fn form_of(shown: &Value) -> ConnectionForm {
    ConnectionForm {
        connection_id: text(shown, "connection_id"),
        conn_type: text(shown, "conn_type"),
        host: text(shown, "host"),
        port: shown["port"].as_u64().map(|port| port.to_string()).unwrap_or_default(),
        login: text(shown, "login"),
        password: text(shown, "password"),
        schema: text(shown, "schema"),
        extra: text(shown, "extra"),
        description: text(shown, "description"),
        delete: None,
    }
}

/// `host:port/schema`, as far as it is there.
fn place_of(shown: &Value) -> String {
    let port = shown["port"].as_u64().map(|port| format!(":{port}")).unwrap_or_default();
    let schema = shown["schema"].as_str().map(|schema| format!("/{schema}")).unwrap_or_default();
    format!("{}{port}{schema}", text(shown, "host"))
}

fn text(shown: &Value, name: &str) -> String {
    shown[name].as_str().unwrap_or_default().to_owned()
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
