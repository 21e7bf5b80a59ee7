//! The REST API from outside.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;

/// A web role and a token for it.
#[derive(Debug, Clone)]
pub struct Api {
    url: String,
    token: String,
    http: reqwest::Client,
}

impl Api {
    /// The web role at `url`.
    ///
    /// # Panics
    /// There is no entropy.
    pub fn new(url: &str, token: &str) -> Api {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .expect("an HTTP client can be made");
        Api { url: url.trim_end_matches('/').to_owned(), token: token.to_owned(), http }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Status and body of the answer; the body is null where it is not JSON.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("no answer to {path}"))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Status and body of a GET, whatever the body is.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn text(&self, path: &str) -> Result<(u16, String)> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.send().await.with_context(|| format!("no answer to {path}"))?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// What a GET answers; null if there is nothing, or no answer.
    pub async fn get(&self, path: &str) -> Value {
        match self.ask(Method::GET, path, None).await {
            Ok((200, body)) => body,
            _ => Value::Null,
        }
    }

    /// The whole log of a task's try, line by line.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn log(&self, dag: &str, run: &str, task: &str, try_number: u32) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut token = String::new();
        loop {
            let path = format!(
                "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/logs/{try_number}?token={token}",
                escape(run)
            );
            let (status, page) = self.ask(Method::GET, &path, None).await?;
            anyhow::ensure!(status == 200, "{path} answered {status}: {page}");
            for line in page["content"].as_array().into_iter().flatten() {
                lines.push(line["event"].as_str().unwrap_or_default().to_owned());
            }
            match page["continuation_token"].as_str() {
                Some(next) if next != token => next.clone_into(&mut token),
                _ => return Ok(lines),
            }
        }
    }

    /// A task instance; null if it is not there.
    pub async fn task(&self, dag: &str, run: &str, task: &str) -> Value {
        self.get(&format!("/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}", escape(run))).await
    }

    /// The tries of a task instance.
    pub async fn tries(&self, dag: &str, run: &str, task: &str) -> Vec<Value> {
        let path = format!("/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/tries", escape(run));
        self.get(&path).await["task_instances"].as_array().cloned().unwrap_or_default()
    }

    /// The value of an XCom; null if it is not there.
    pub async fn xcom(&self, dag: &str, run: &str, task: &str, key: &str) -> Value {
        let path = format!("/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/xcomEntries/{key}", escape(run));
        self.get(&path).await["value"].clone()
    }

    /// The state of a run; empty if it is not there.
    pub async fn run_state(&self, dag: &str, run: &str) -> String {
        let shown = self.get(&format!("/api/v2/dags/{dag}/dagRuns/{}", escape(run))).await;
        shown["state"].as_str().unwrap_or_default().to_owned()
    }
}

/// A run id as a part of a path: `+` and `:` occur in them.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('+', "%2B").replace(':', "%3A")
}
