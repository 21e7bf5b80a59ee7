//! `flowctl secrets`, and what `variables` and `connections` share.

use std::collections::BTreeMap;

use flow_model::SecretText;
use flow_secrets::{Keyring, Sealed, Secrets};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{Form, SecretsCommand};
use crate::client::Client;
use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::output::{say, tell};
use crate::roles::secrets::{keys_file, open, refused, write_keys};
use crate::roles::{open_store, require_schema};

/// Rows asked for at once.
pub(super) const PAGE: i64 = 100;

/// Runs a subcommand.
///
/// # Errors
/// The database or the keys cannot be used.
pub async fn run(settings: &Settings, form: Form, command: SecretsCommand) -> anyhow::Result<Exit> {
    match command {
        SecretsCommand::GenerateKey => {
            say!("{}", Keyring::generate().expose());
            tell!(
                "note: give it to every role as FLOW__SECRETS__KEYS, or in `secrets.keys_file`, before the keys there are; without it what it encrypts is lost"
            );
        }
        SecretsCommand::Status => status(settings, form).await?,
        SecretsCommand::Rotate { keep_key } => rotate(settings, form, keep_key).await?,
    }
    Ok(Exit::Success)
}

async fn status(settings: &Settings, form: Form) -> anyhow::Result<()> {
    let secrets = opened(settings, "secrets").await?;
    let first = secrets.keys().first_id();
    let mut counts: BTreeMap<String, u64> = first.iter().map(|id| (id.clone(), 0)).collect();
    let mut unreadable = 0_u64;
    for row in secrets.store().sealed_rows().await? {
        let id = Sealed(row.sealed.clone()).key_id().unwrap_or("?").to_owned();
        *counts.entry(id).or_default() += 1;
        unreadable += u64::from(secrets.open_row(&row).is_err());
    }
    secrets.store().close().await;
    let rows: Vec<Value> = counts
        .iter()
        .map(|(id, count)| json!({ "key": id, "values": count, "encrypts": Some(id) == first.as_ref() }))
        .collect();
    output::list(form, &rows, &[("KEY", "key"), ("VALUES", "values"), ("ENCRYPTS", "encrypts")])?;
    if unreadable > 0 {
        return Err(Failure::new(Exit::Failed, format!("{unreadable} values cannot be decrypted"))
            .hint("add the keys that are missing to FLOW__SECRETS__KEYS or to `secrets.keys_file`, or set the values anew")
            .into());
    }
    Ok(())
}

async fn rotate(settings: &Settings, form: Form, keep_key: bool) -> anyhow::Result<()> {
    if !keep_key && settings.secrets.keys.is_empty() {
        add_key(settings)?;
    }
    let secrets = opened(settings, "secrets").await?;
    let (mut changed, mut failed) = (0_u64, Vec::new());
    for row in secrets.store().sealed_rows().await? {
        match secrets.reseal(&row) {
            Ok(None) => {}
            Ok(Some(sealed)) => changed += u64::from(secrets.store().reseal(&row, &sealed.0).await?),
            Err(error) => failed.push(error),
        }
    }
    secrets.store().close().await;
    if form == Form::Json {
        output::json(&json!({ "key": secrets.keys().first_id(), "values": changed, "failed": failed.len() }))?;
    } else {
        let key = secrets.keys().first_id().unwrap_or_default();
        say!("{changed} values are encrypted with the key {key} now");
    }
    match failed.first() {
        Some(error) => Err(refused(error).context(format!("{} values stay as they were", failed.len()))),
        None => {
            tell!("note: the older keys can be removed once every role has the new one");
            Ok(())
        }
    }
}

/// Puts a new key before those of the file. Running roles read the file again when they meet a key they do not know.
fn add_key(settings: &Settings) -> anyhow::Result<()> {
    let file = keys_file(settings);
    // Only keys that can be used are kept.
    Keyring::from_file(&file).map_err(|error| refused(&error))?;
    let before = match std::fs::read_to_string(&file) {
        Ok(text) => SecretText::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => SecretText::new(""),
        Err(error) => return Err(error.into()),
    };
    let keys = format!("{}\n{}", Keyring::generate().expose(), before.expose().trim_end());
    write_keys(&file, &SecretText::new(keys))
}

/// The secrets of the configured store, for commands that work on the database itself.
pub(super) async fn opened(settings: &Settings, command: &str) -> anyhow::Result<Secrets> {
    let store = open_store(settings, command).await?;
    require_schema(&store).await?;
    open(settings, store)
}

/// Every entry of a collection of the API.
pub(super) async fn all(client: &Client, collection: &str, filter: &str) -> anyhow::Result<Vec<Value>> {
    let mut entries = Vec::new();
    loop {
        let path = format!("/api/v2/{collection}?{filter}&limit={PAGE}&offset={}", entries.len());
        let page = client.get(&path).await?;
        let found = page[collection].as_array().cloned().unwrap_or_default();
        let is_last = found.len() < PAGE as usize;
        entries.extend(found);
        if is_last {
            return Ok(entries);
        }
    }
}

/// Changes a thing, or creates it where there is none.
pub(super) async fn replace_or_create(
    client: &Client,
    path: &str,
    collection: &str,
    body: &Value,
) -> anyhow::Result<()> {
    match client.ask(Method::PATCH, path, Some(body)).await {
        Err(error) if error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::NotFound) => {
            client.ask(Method::POST, collection, Some(body)).await.map(drop)
        }
        other => other.map(drop),
    }
}
