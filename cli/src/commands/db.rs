//! `flowctl db`.

use flow_store::SchemaStatus;
use serde_json::{Value, json};

use crate::args::{DbCommand, Form};
use crate::config::Settings;
use crate::failure::Exit;
use crate::output;
use crate::output::tell;
use crate::roles::open_store;

/// Runs a subcommand.
///
/// # Errors
/// The database cannot be reached, or a migration failed.
pub async fn run(settings: &Settings, form: Form, command: DbCommand) -> anyhow::Result<Exit> {
    let store = open_store(settings, "db").await?;
    if let DbCommand::Migrate = command {
        let before = store.migrations().await?.iter().filter(|migration| migration.is_applied).count();
        store.migrate().await?;
        let after = store.migrations().await?.iter().filter(|migration| migration.is_applied).count();
        tell!("applied {} migrations", after - before);
    }
    let migrations: Vec<Value> = store
        .migrations()
        .await?
        .into_iter()
        .map(|migration| {
            json!({ "version": migration.version, "description": migration.description, "applied": migration.is_applied })
        })
        .collect();
    output::list(form, &migrations, &[("VERSION", "version"), ("APPLIED", "applied"), ("DESCRIPTION", "description")])?;
    let exit = match store.schema_status().await? {
        SchemaStatus::Current(_) => Exit::Success,
        SchemaStatus::Older { .. } => {
            tell!("the schema is older than this flowctl\nhint: flowctl db migrate");
            Exit::Failed
        }
        SchemaStatus::FromTheFuture { .. } => {
            tell!("the schema was migrated by a newer flowctl\nhint: use that version of flowctl");
            Exit::Failed
        }
    };
    store.close().await;
    Ok(exit)
}
