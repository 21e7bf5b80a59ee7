//! HashiCorp Vault (and OpenBao) as a source: key-value engine, version 2, read over HTTP. The paths are those of Airflow's
//! Vault backend, so that its secrets can stay where they are: `<mount>/variables/<key>` holds `value`,
//! `<mount>/connections/<conn_id>` holds `conn_uri`, or the fields of a connection.

use std::path::PathBuf;
use std::time::Duration;

use flow_model::outside::without_mark;
use flow_model::{Connection, SecretText};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use serde_json::{Map, Value};

use crate::error::SecretsError;

/// How long Vault may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where Vault is, and what is read there.
#[derive(Debug, Clone)]
pub struct VaultSettings {
    /// Its address, for instance `https://vault.example:8200`.
    pub url: String,
    /// The mount of the engine.
    pub mount: String,
    /// A namespace of Vault Enterprise; empty: none.
    pub namespace: String,
    /// The folder of variables; empty: Vault has none.
    pub variables_path: String,
    /// The folder of connections; empty: Vault has none.
    pub connections_path: String,
    /// With what it lets us in.
    pub token: VaultToken,
}

/// A token for Vault.
#[derive(Debug, Clone)]
pub enum VaultToken {
    /// The token itself.
    Text(SecretText),
    /// A file that holds it, read for every request: Vault's agent renews it.
    File(PathBuf),
}

/// Reads from Vault.
#[derive(Debug, Clone)]
pub struct VaultSource {
    settings: VaultSettings,
    http: reqwest::Client,
}

impl VaultSource {
    /// A source over shared connections; nothing is asked yet.
    ///
    /// # Errors
    /// There is no HTTP client to be had.
    pub fn new(settings: VaultSettings) -> Result<VaultSource, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(VaultSource { settings, http })
    }

    pub(crate) async fn variable(&self, key: &str) -> Result<Option<SecretText>, SecretsError> {
        let Some((fields, path)) = self.read(&self.settings.variables_path, key).await? else { return Ok(None) };
        match fields.get("value") {
            Some(Value::String(text)) => Ok(Some(SecretText::new(text.clone()))),
            Some(Value::Null) | None => {
                Err(self.error(&path, "the secret has no field `value`".to_owned(), "a variable is kept in that field"))
            }
            Some(other) => Ok(Some(SecretText::new(other.to_string()))),
        }
    }

    pub(crate) async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, SecretsError> {
        let Some((fields, path)) = self.read(&self.settings.connections_path, conn_id).await? else { return Ok(None) };
        let read = match fields.get("conn_uri") {
            Some(Value::String(uri)) => Connection::from_text(conn_id, uri),
            _ => Connection::from_json(conn_id, &Value::Object(fields)),
        };
        read.map(Some).map_err(|cause| SecretsError::BadConnection {
            conn_id: conn_id.to_owned(),
            place: format!("Vault's `{path}`"),
            cause,
        })
    }

    /// The fields of a secret, and its path. `None`: there is none.
    async fn read(&self, folder: &str, name: &str) -> Result<Option<(Map<String, Value>, String)>, SecretsError> {
        if folder.is_empty() {
            return Ok(None);
        }
        let VaultSettings { url, mount, namespace, .. } = &self.settings;
        // A name is one step of the path, whatever is in it.
        let step = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let path = format!("{mount}/data/{}/{step}", folder.trim_matches('/'));
        let mut request = self.http.get(format!("{}/v1/{path}", url.trim_end_matches('/')));
        request = request.header("x-vault-token", self.token(&path).await?.expose()).header("x-vault-request", "true");
        if !namespace.is_empty() {
            request = request.header("x-vault-namespace", namespace);
        }
        let unreachable = |error: reqwest::Error| {
            let error = error.without_url();
            let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
            let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
            self.error(&path, cause, "is it up, and is `secrets.vault_url` right?")
        };
        let response = request.send().await.map_err(unreachable)?;
        let answered = |status: StatusCode| format!("it answered with status {status}");
        match response.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            status @ (StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) => {
                let hint = "is the token still valid, and does its policy allow `read` on that path?";
                return Err(self.error(&path, answered(status), hint));
            }
            status if status.is_redirection() => {
                let hint = "set `secrets.vault_url` to the node that is active; its answers are not followed elsewhere";
                return Err(self.error(&path, answered(status), hint));
            }
            status => return Err(self.error(&path, answered(status), "`vault status` says whether it is sealed")),
        }
        let text = response.text().await.map_err(unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        match body.pointer("/data/data") {
            Some(Value::Object(fields)) => Ok(Some((fields.clone(), path))),
            // The newest version was deleted.
            Some(Value::Null) => Ok(None),
            _ => {
                let cause = "the answer is none of a key-value engine, version 2".to_owned();
                Err(self.error(
                    &path,
                    cause,
                    "is `secrets.vault_mount` right? `vault secrets list -detailed` shows mounts",
                ))
            }
        }
    }

    async fn token(&self, path: &str) -> Result<SecretText, SecretsError> {
        match &self.settings.token {
            VaultToken::Text(token) => Ok(token.clone()),
            VaultToken::File(file) => match tokio::fs::read_to_string(file).await {
                Ok(token) => Ok(SecretText::new(without_mark(&token).trim())),
                Err(error) => {
                    let cause = format!("its token in `{}` cannot be read: {error}", file.display());
                    Err(self.error(path, cause, "set `secrets.vault_token_file` to where Vault's agent writes it"))
                }
            },
        }
    }

    fn error(&self, path: &str, cause: String, hint: &'static str) -> SecretsError {
        SecretsError::Vault { url: self.settings.url.clone(), path: path.to_owned(), cause, hint }
    }
}

#[cfg(test)]
mod tests;
