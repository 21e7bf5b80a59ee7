//! `flowctl connections`.

use flow_model::Connection;
use flow_store::read::Page;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::import::{Import, read_named};
use super::secrets::{PAGE, all, opened, replace_or_create};
use super::variables::from_stdin;
use crate::args::{ConnectionArgs, ConnectionsCommand, Form};
use crate::client::Client;
use crate::config::Settings;
use crate::failure::{Exit, usage};
use crate::output::{self, segment};
use crate::roles::secrets::refused;

const LIST: &[(&str, &str)] = &[
    ("ID", "connection_id"),
    ("TYPE", "conn_type"),
    ("HOST", "host"),
    ("PORT", "port"),
    ("LOGIN", "login"),
    ("SCHEMA", "schema"),
    ("DESCRIPTION", "description"),
];
const ONE: &[(&str, &str)] = &[
    ("id", "connection_id"),
    ("type", "conn_type"),
    ("host", "host"),
    ("port", "port"),
    ("login", "login"),
    ("password", "password"),
    ("schema", "schema"),
    ("extra", "extra"),
    ("description", "description"),
    ("error", "error"),
];

/// Runs a subcommand.
///
/// # Errors
/// The server refuses, or what is given cannot be used.
pub async fn run(settings: &Settings, form: Form, command: ConnectionsCommand) -> anyhow::Result<Exit> {
    let client = || Client::find(settings);
    match command {
        ConnectionsCommand::List { part } => {
            let filter = format!("connection_id_pattern={}", segment(part.as_deref().unwrap_or_default()));
            output::list(form, &all(&client()?, "connections", &filter).await?, LIST)?;
        }
        ConnectionsCommand::Get { conn_id } => output::one(form, &client()?.get(&path(&conn_id)).await?, ONE)?,
        ConnectionsCommand::Set(args) => {
            let conn_id = args.conn_id.clone();
            set(&client()?, &conn_id, Value::Object(fields(args)?)).await?;
        }
        ConnectionsCommand::Delete { conn_id } => {
            client()?.ask(Method::DELETE, &path(&conn_id), None).await?;
        }
        ConnectionsCommand::Export => output::json(&Value::Object(export(settings).await?))?,
        ConnectionsCommand::Import(args) => {
            let read = read_named(&args.file, "connections")?;
            let entries = read.into_iter().collect();
            let client = client()?;
            let existing = all(&client, "connections", "").await?;
            let existing =
                existing.iter().filter_map(|found| found["connection_id"].as_str().map(str::to_owned)).collect();
            let import = Import { what: "connections", entries, on_existing: args.action_on_existing_key };
            import
                .run(&existing, async |conn_id, value| set(&client, conn_id, imported(conn_id, value)?).await)
                .await?;
        }
    }
    Ok(Exit::Success)
}

fn path(conn_id: &str) -> String {
    format!("/api/v2/connections/{}", segment(conn_id))
}

async fn set(client: &Client, conn_id: &str, mut body: Value) -> anyhow::Result<()> {
    body["connection_id"] = json!(conn_id);
    replace_or_create(client, &path(conn_id), "/api/v2/connections", &body).await
}

/// The parts that are given.
fn fields(args: ConnectionArgs) -> anyhow::Result<Map<String, Value>> {
    let mut fields = match args.uri {
        Some(uri) => from_text(&args.conn_id, &from_stdin(uri)?)?,
        None => Map::new(),
    };
    let extra = args.extra.map(|text| serde_json::from_str(&text)).transpose();
    let extra: Option<Value> = extra.map_err(|error| usage(format!("`--extra` is no JSON: {error}")))?;
    let given = [
        ("conn_type", args.conn_type.map(Value::from)),
        ("host", args.host.map(Value::from)),
        ("port", args.port.map(Value::from)),
        ("login", args.login.map(Value::from)),
        ("password", args.password.map(from_stdin).transpose()?.map(Value::from)),
        ("schema", args.schema.map(Value::from)),
        ("extra", extra),
        ("description", args.description.map(Value::from)),
    ];
    fields.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(fields)
}

fn from_text(conn_id: &str, text: &str) -> anyhow::Result<Map<String, Value>> {
    let wrong = |error| usage(format!("connection `{conn_id}` cannot be read: {error}"));
    let Value::Object(mut fields) = Connection::from_text(conn_id, text).map_err(wrong)?.to_json() else {
        return Ok(Map::new());
    };
    fields.remove("conn_id");
    Ok(fields)
}

/// Airflow writes the fields, or the URI. All of the connection is set: a field that the file does not have is none.
fn imported(conn_id: &str, value: &Value) -> anyhow::Result<Value> {
    let read = match value {
        Value::String(text) => Connection::from_text(conn_id, text),
        Value::Object(_) => Connection::from_json(conn_id, value),
        _ => {
            return Err(usage("it is neither an object nor a URI").into());
        }
    };
    let read = read.map_err(|error| usage(format!("it cannot be read: {error}")))?;
    let mut fields = read.to_json();
    if let (Value::Object(fields), Some(description)) = (&mut fields, value.get("description")) {
        fields.insert("description".to_owned(), description.clone());
    }
    if let Value::Object(fields) = &mut fields {
        fields.remove("conn_id");
    }
    Ok(fields)
}

async fn export(settings: &Settings) -> anyhow::Result<Map<String, Value>> {
    let secrets = opened(settings, "connections").await?;
    let mut exported = Map::new();
    loop {
        let offset = i64::try_from(exported.len()).unwrap_or(i64::MAX);
        let (found, _) = secrets.store().list_connections("", Page::new(PAGE, offset, PAGE)).await?;
        for stored in &found {
            let mut fields = secrets.open_connection(stored).map_err(|error| refused(&error))?.to_json();
            fields["description"] = json!(stored.description);
            if let Value::Object(fields) = &mut fields {
                fields.remove("conn_id");
            }
            exported.insert(stored.conn_id.clone(), fields);
        }
        if found.len() < PAGE as usize {
            secrets.store().close().await;
            return Ok(exported);
        }
    }
}
