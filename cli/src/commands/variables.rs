//! `flowctl variables`.

use anyhow::Context;
use flow_store::read::Page;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::import::{Import, read_named};
use super::secrets::{PAGE, all, opened, replace_or_create};
use crate::args::{Form, VariablesCommand};
use crate::client::Client;
use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::output::{self, segment};
use crate::roles::secrets::refused;

const LIST: &[(&str, &str)] =
    &[("KEY", "key"), ("VALUE", "value"), ("SECRET", "is_secret"), ("DESCRIPTION", "description")];

/// Runs a subcommand.
///
/// # Errors
/// The server refuses, or what is given cannot be used.
pub async fn run(settings: &Settings, form: Form, command: VariablesCommand) -> anyhow::Result<Exit> {
    let client = || Client::find(settings);
    match command {
        VariablesCommand::List { part } => {
            let filter = format!("variable_key_pattern={}", segment(part.as_deref().unwrap_or_default()));
            let mut variables = all(&client()?, "variables", &filter).await?;
            if form == Form::Table {
                variables.iter_mut().filter(|found| !found["error"].is_null()).for_each(|found| {
                    found["value"] = json!("(cannot be decrypted)");
                });
            }
            output::list(form, &variables, LIST)?;
        }
        VariablesCommand::Get { key } => {
            let variable = client()?.get(&path(&key)).await?;
            if let Some(error) = variable["error"].as_str() {
                let (message, hint) = error.split_once("\nhint: ").unwrap_or((error, "flowctl secrets status"));
                return Err(Failure::new(Exit::Failed, message).hint(hint).into());
            }
            match (&variable["value"], form) {
                (Value::String(text), Form::Table) => output::raw(&format!("{text}\n"))?,
                _ => output::json(&variable)?,
            }
        }
        VariablesCommand::Set { key, value, secret, description } => {
            let value = from_stdin(value)?;
            let mut body = json!({ "key": key, "value": value });
            if secret {
                body["is_secret"] = json!(true);
            }
            if let Some(description) = description {
                body["description"] = json!(description);
            }
            set(&client()?, &key, &body).await?;
        }
        VariablesCommand::Delete { key } => {
            client()?.ask(Method::DELETE, &path(&key), None).await?;
        }
        VariablesCommand::Export => output::json(&Value::Object(export(settings).await?))?,
        VariablesCommand::Import(args) => {
            let read = read_named(&args.file, "variables")?;
            let entries = read.iter().map(|(key, value)| (key.clone(), imported(key, value))).collect();
            let client = client()?;
            let existing = all(&client, "variables", "").await?;
            let existing = existing.iter().filter_map(|found| found["key"].as_str().map(str::to_owned)).collect();
            let import = Import { what: "variables", entries, on_existing: args.action_on_existing_key };
            import.run(&existing, async |key, body| set(&client, key, body).await).await?;
        }
    }
    Ok(Exit::Success)
}

/// Keys may have slashes.
fn path(key: &str) -> String {
    let steps: Vec<String> = key.split('/').map(segment).collect();
    format!("/api/v2/variables/{}", steps.join("/"))
}

async fn set(client: &Client, key: &str, body: &Value) -> anyhow::Result<()> {
    replace_or_create(client, &path(key), "/api/v2/variables", body).await
}

/// Airflow writes a value, or a value beside its description.
fn imported(key: &str, value: &Value) -> Value {
    let beside = |fields: &&Map<String, Value>| {
        fields.contains_key("value")
            && fields.keys().all(|name| ["value", "description", "is_secret"].contains(&&**name))
    };
    match value.as_object().filter(beside) {
        Some(fields) => {
            let mut body = fields.clone();
            body.insert("key".to_owned(), json!(key));
            Value::Object(body)
        }
        None => json!({ "key": key, "value": value }),
    }
}

async fn export(settings: &Settings) -> anyhow::Result<Map<String, Value>> {
    let secrets = opened(settings, "variables").await?;
    let mut exported = Map::new();
    loop {
        let offset = i64::try_from(exported.len()).unwrap_or(i64::MAX);
        let (found, _) = secrets.store().list_variables("", Page::new(PAGE, offset, PAGE)).await?;
        for variable in &found {
            let value = secrets.open_variable(variable).map_err(|error| refused(&error))?;
            let mut fields = json!({ "value": value.expose(), "description": variable.description });
            if variable.is_secret {
                fields["is_secret"] = json!(true);
            }
            exported.insert(variable.key.clone(), fields);
        }
        if found.len() < PAGE as usize {
            secrets.store().close().await;
            return Ok(exported);
        }
    }
}

/// An argument, or stdin where it is `-`.
pub(super) fn from_stdin(text: String) -> anyhow::Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let text = std::io::read_to_string(std::io::stdin()).context("cannot read stdin")?;
    let text = flow_model::outside::without_mark(&text);
    let end = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n'));
    Ok(end.unwrap_or(text).to_owned())
}
