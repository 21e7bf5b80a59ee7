//! Client commands talk to the web role over HTTP.

use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::roles::{Endpoint, endpoint_path};

/// A web role, and a token for it.
pub struct Client {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    /// The configured web role, or the standalone of this folder or one above it.
    ///
    /// # Errors
    /// There is none.
    pub fn find(settings: &Settings) -> anyhow::Result<Client> {
        let (url, token) = if settings.client.url.is_empty() {
            let endpoint = local_endpoint(&settings.state.folder)?;
            (endpoint.url, endpoint.token)
        } else {
            (with_scheme(settings.client.url.trim_end_matches('/')), settings.client.token.clone())
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(std::time::Duration::from_secs(5))
            .no_proxy()
            .build()?;
        Ok(Client { url, token, http })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// The web role cannot be reached, or refuses; its reason and hint are passed on.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let response = self.send(method, path, body).await?;
        let text = response.text().await.map_err(|error| self.broken(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Lines of JSON as they come, until the server ends the stream.
    ///
    /// # Errors
    /// As [`Client::ask`]; or what `each` returns.
    pub async fn lines(&self, path: &str, mut each: impl FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let response = self.send(Method::GET, path, None).await?;
        let mut stream = response.bytes_stream();
        let mut partial = Vec::new();
        while let Some(chunk) = stream.next().await {
            partial.extend_from_slice(&chunk.map_err(|error| self.broken(&error))?);
            while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                if !line.trim_ascii().is_empty() {
                    each(serde_json::from_slice(&line)?)?;
                }
            }
        }
        Ok(())
    }

    /// The body of an answer as it comes.
    ///
    /// # Errors
    /// As [`Client::ask`]; or what `each` returns.
    pub async fn bytes(&self, path: &str, mut each: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut stream = self.send(Method::GET, path, None).await?.bytes_stream();
        while let Some(chunk) = stream.next().await {
            each(&chunk.map_err(|error| self.broken(&error))?)?;
        }
        Ok(())
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<reqwest::Response> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
            .header("x-flow-client", "cli");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        Err(refusal(status, &text).into())
    }

    fn broken(&self, error: &reqwest::Error) -> anyhow::Error {
        let cause = std::iter::successors(std::error::Error::source(error), |cause| cause.source()).last();
        let why = cause.map_or_else(|| error.to_string(), ToString::to_string);
        Failure::new(Exit::Unreachable, format!("cannot reach Flow at {}: {why}", self.url))
            .hint("is the web role up? Start everything with `flowctl standalone`, or name another one with --url")
            .into()
    }
}

/// `host:8080` is what people type: it means the same as in a browser.
fn with_scheme(url: &str) -> String {
    if url.contains("://") { url.to_owned() } else { format!("http://{url}") }
}

/// What the server said no with.
fn refusal(status: StatusCode, text: &str) -> Failure {
    let body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let mut message = match body["detail"].as_str() {
        Some(detail) => detail.to_owned(),
        None => format!("the server answered with status {status}"),
    };
    for problem in body["errors"].as_array().into_iter().flatten() {
        let name = problem["name"].as_str().unwrap_or_default();
        message.push_str(&format!("\n  {name}: {}", problem["message"].as_str().unwrap_or_default()));
    }
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => Exit::Usage,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let hint = match (body["hint"].as_str(), exit) {
        (Some(hint), _) => Some(hint.to_owned()),
        (None, Exit::Denied) => Some(
            "`flowctl tokens create <name>` on the server's side makes a token; pass it as FLOW__CLIENT__TOKEN"
                .to_owned(),
        ),
        (None, _) => None,
    };
    Failure { exit, message, hint }
}

/// Looks for a standalone's endpoint file here and in the folders above, like git does for its own.
fn local_endpoint(state: &Path) -> anyhow::Result<Endpoint> {
    let here = std::env::current_dir()?;
    let candidates: Vec<PathBuf> = if state.is_absolute() {
        vec![endpoint_path(state)]
    } else {
        here.ancestors().map(|folder| endpoint_path(&folder.join(state))).collect()
    };
    for path in candidates {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(endpoint) = serde_json::from_str::<Endpoint>(&text) else { continue };
        if Path::new(&format!("/proc/{}", endpoint.pid)).exists() {
            return Ok(endpoint);
        }
    }
    Err(Failure::new(Exit::Unreachable, "no Flow is running here")
        .hint("start one with `flowctl standalone`, or name one with --url and FLOW__CLIENT__TOKEN")
        .into())
}
