//! `flowctl tokens` and `flowctl login`: they work on the database itself, since somebody has to be first.

use flow_model::time::duration_text;
use serde_json::{Value, json};

use crate::args::{Form, TokensCommand};
use crate::config::Settings;
use crate::failure::{Exit, usage};
use crate::output;
use crate::output::{say, tell};
use crate::roles::{LOGIN_LINK_LIFETIME, endpoint_path, open_store};

/// Runs a subcommand.
///
/// # Errors
/// The database cannot be reached.
pub async fn run(settings: &Settings, form: Form, command: TokensCommand) -> anyhow::Result<Exit> {
    let store = open_store(settings, "tokens").await?;
    match command {
        TokensCommand::Create { name, expires } => {
            let expires_at = expires
                .map(|text| duration_text::parse(&text).map(|duration| store.now() + duration).map_err(usage))
                .transpose()?;
            let token = store.create_token(store.now(), &name, expires_at).await?;
            if form == Form::Json {
                output::json(&json!({ "name": name, "token": token, "expires_at": expires_at }))?;
            } else {
                say!("{token}");
                tell!("note: the token is not shown again; commands take it as FLOW__CLIENT__TOKEN");
            }
        }
        TokensCommand::List => {
            let tokens: Vec<Value> = store.tokens().await?.iter().map(|token| json!(token)).collect();
            let columns = [("NAME", "name"), ("KIND", "kind"), ("CREATED", "created_at"), ("EXPIRES", "expires_at")];
            output::list(form, &tokens, &columns)?;
        }
        TokensCommand::Revoke { name, kind } => {
            let count = store.revoke_tokens(&name, kind).await?;
            tell!("revoked {count} tokens of `{name}`");
            store.close().await;
            return Ok(if count == 0 { Exit::NotFound } else { Exit::Success });
        }
    }
    store.close().await;
    Ok(Exit::Success)
}

/// Prints a one-time link that logs a browser in.
///
/// # Errors
/// The database cannot be reached.
pub async fn login(settings: &Settings) -> anyhow::Result<Exit> {
    let store = open_store(settings, "login").await?;
    let now = store.now();
    let link = store.create_login_link(now, now + LOGIN_LINK_LIFETIME).await?;
    let endpoint = std::fs::read_to_string(endpoint_path(&settings.state.folder)).unwrap_or_default();
    let local =
        serde_json::from_str::<Value>(&endpoint).ok().and_then(|endpoint| endpoint["url"].as_str().map(str::to_owned));
    let url = match local {
        _ if !settings.web.public_url.is_empty() => settings.web.public_url.trim_end_matches('/').to_owned(),
        _ if !settings.client.url.is_empty() => settings.client.url.clone(),
        Some(url) => url,
        None => format!("http://{}", settings.web.bind),
    };
    say!("{url}/login?link={link}");
    tell!(
        "note: the button on that page logs one browser in, once, within {}",
        duration_text::format(LOGIN_LINK_LIFETIME)
    );
    store.close().await;
    Ok(Exit::Success)
}
