//! `flowctl pools`.

use reqwest::Method;
use serde_json::json;

use crate::args::{Form, PoolsCommand};
use crate::client::Client;
use crate::failure::Exit;
use crate::output::{self, segment};

const LIST: &[(&str, &str)] = &[
    ("POOL", "name"),
    ("SLOTS", "slots"),
    ("RUNNING", "running_slots"),
    ("QUEUED", "queued_slots"),
    ("OPEN", "open_slots"),
    ("DESCRIPTION", "description"),
];

/// Runs a subcommand.
///
/// # Errors
/// The server refuses.
pub async fn run(client: &Client, form: Form, command: PoolsCommand) -> anyhow::Result<Exit> {
    match command {
        PoolsCommand::List => {
            let page = client.get("/api/v2/pools?limit=100").await?;
            output::list(form, page["pools"].as_array().map_or(&[], Vec::as_slice), LIST)?;
        }
        PoolsCommand::Set { name, slots, description } => {
            let mut body = json!({ "slots": slots });
            if let Some(description) = description {
                body["description"] = json!(description);
            }
            let path = format!("/api/v2/pools/{}", segment(&name));
            let pool = client.ask(Method::PATCH, &path, Some(&body)).await?;
            output::list(form, std::slice::from_ref(&pool), LIST)?;
        }
    }
    Ok(Exit::Success)
}
