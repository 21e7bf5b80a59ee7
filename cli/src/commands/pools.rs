//! `flowctl pools`.

use std::collections::BTreeSet;

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

/// The names of all pools.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn names(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut seen = 0;
    loop {
        let page = client.get(&format!("/api/v2/pools?limit=100&offset={seen}")).await?;
        let pools = page["pools"].as_array().map_or(&[][..], Vec::as_slice);
        seen += pools.len();
        names.extend(pools.iter().filter_map(|pool| pool["name"].as_str()).map(str::to_owned));
        if pools.is_empty() || seen as u64 >= page["total_entries"].as_u64().unwrap_or_default() {
            return Ok(names);
        }
    }
}
