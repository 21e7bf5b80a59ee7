//! A cluster's API: one method for each request that attempts need.

use std::time::Duration;

use bytes::Bytes;
use flow_model::outside::without_mark;
use reqwest::{Certificate, Identity, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::access::{Access, Token};
use crate::operators::chain;

/// For answers that do not depend on how long something runs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The server ends a watch after so many seconds, and the next one begins.
const WATCH_SECONDS: u64 = 290;

/// Why a cluster did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    /// Nobody answers, or the conversation broke off.
    #[error("lost the connection to the Kubernetes API: {0}")]
    Broken(String),
    /// It said no.
    #[error("{message}")]
    Refused { status: u16, message: String },
}

impl ClusterError {
    pub fn status(&self) -> Option<u16> {
        match self {
            ClusterError::Refused { status, .. } => Some(*status),
            ClusterError::Broken(_) => None,
        }
    }
}

/// A namespace of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    http: reqwest::Client,
    /// The pods of the namespace.
    pods: reqwest::Url,
    token: Token,
}

impl Cluster {
    /// A namespace to talk to; nothing is asked yet.
    ///
    /// # Errors
    /// In words: certificates or the address are broken.
    pub fn new(access: Access, namespace: &str) -> Result<Cluster, String> {
        // It becomes a step of the address; `..` would be another address.
        let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if namespace.is_empty() || namespace.len() > 63 || !namespace.chars().all(is_label) {
            return Err(format!(
                "`{}` is no namespace\nhint: it has 1 to 63 of `a-z`, `0-9` and `-`",
                namespace.escape_debug()
            ));
        }
        let mut builder = reqwest::Client::builder().user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")));
        if let Some(authority) = &access.authority {
            let certificates = Certificate::from_pem_bundle(authority)
                .map_err(|error| format!("the cluster's certificate authority cannot be read: {}", chain(&error)))?;
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(identity) = &access.identity {
            let identity = Identity::from_pem(identity)
                .map_err(|error| format!("the client certificate cannot be read: {}", chain(&error)))?;
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|error| format!("cannot set up the HTTP client: {}", chain(&error)))?;
        let mut pods: reqwest::Url =
            access.server.parse().map_err(|error| format!("`{}` is no address: {error}", access.server))?;
        pods.path_segments_mut().map_err(|()| format!("`{}` is no address", access.server))?.pop_if_empty().extend([
            "api",
            "v1",
            "namespaces",
            namespace,
            "pods",
        ]);
        Ok(Cluster { http, pods, token: access.token })
    }

    fn request(&self, method: Method, below: &[&str]) -> Result<RequestBuilder, ClusterError> {
        let mut url = self.pods.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(below);
        }
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Token::None => request,
            Token::Text(token) => request.bearer_auth(token),
            Token::File(path) => {
                let token = std::fs::read_to_string(path)
                    .map_err(|error| ClusterError::Broken(format!("cannot read `{}`: {error}", path.display())))?;
                request.bearer_auth(without_mark(&token).trim())
            }
        })
    }

    /// Creates a pod.
    pub async fn create(&self, manifest: &Value) -> Result<(), ClusterError> {
        answered(self.request(Method::POST, &[])?.json(manifest).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// A pod. `None`: it is gone.
    pub async fn pod(&self, name: &str) -> Result<Option<Value>, ClusterError> {
        match answered(self.request(Method::GET, &[name])?.timeout(ANSWER_TIMEOUT)).await {
            Ok(answer) => json(answer).await.map(Some),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The pods that a selector of labels finds.
    pub async fn list(&self, selector: &str) -> Result<Vec<Value>, ClusterError> {
        let request = self.request(Method::GET, &[])?.query(&[("labelSelector", selector)]);
        let found: Value = json(answered(request.timeout(ANSWER_TIMEOUT)).await?).await?;
        Ok(found["items"].as_array().cloned().unwrap_or_default())
    }

    /// What happens to a pod after a version of it: JSON objects, one a line, until the server ends it.
    pub async fn watch(&self, name: &str, version: &str) -> Result<Response, ClusterError> {
        let selector = format!("metadata.name={name}");
        let seconds = WATCH_SECONDS.to_string();
        let query = [
            ("watch", "true"),
            ("fieldSelector", &selector),
            ("resourceVersion", version),
            ("timeoutSeconds", &seconds),
        ];
        let limit = Duration::from_secs(WATCH_SECONDS) + ANSWER_TIMEOUT;
        answered(self.request(Method::GET, &[])?.query(&query).timeout(limit)).await
    }

    /// What a container writes, each line after its instant, from an instant on and until it ends.
    pub async fn log(&self, name: &str, container: &str, since: Option<&str>) -> Result<Response, ClusterError> {
        let query = [("container", container), ("follow", "true"), ("timestamps", "true")];
        let mut request = self.request(Method::GET, &[name, "log"])?.query(&query);
        if let Some(since) = since {
            request = request.query(&[("sinceTime", since)]);
        }
        answered(request).await
    }

    /// Deletes a pod: TERM, and after `grace` KILL. One that is gone is fine.
    pub async fn delete(&self, name: &str, grace: Duration) -> Result<(), ClusterError> {
        let options = json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": grace.as_secs() });
        let request = self.request(Method::DELETE, &[name])?.json(&options);
        match answered(request.timeout(ANSWER_TIMEOUT)).await {
            Err(error) if error.status() != Some(404) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Sends a request; an answer that is no success becomes an error.
async fn answered(request: RequestBuilder) -> Result<Response, ClusterError> {
    let answer = request.send().await.map_err(|error| ClusterError::Broken(chain(&error)))?;
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(answer);
    }
    let body: Bytes = answer.bytes().await.unwrap_or_default();
    let told = serde_json::from_slice::<Value>(&body).ok().and_then(|body| body["message"].as_str().map(str::to_owned));
    let mut message = told.unwrap_or_else(|| format!("the Kubernetes API answered with status {status}"));
    match status {
        401 => message.push_str("\nhint: is the token or client certificate still valid?"),
        403 => message.push_str(
            "\nhint: the worker's login needs create, get, list, watch and delete on `pods`, and get on `pods/log`",
        ),
        _ => {}
    }
    Err(ClusterError::Refused { status, message })
}

async fn json(answer: Response) -> Result<Value, ClusterError> {
    let body = answer.bytes().await.map_err(|error| ClusterError::Broken(chain(&error)))?;
    serde_json::from_slice(&body)
        .map_err(|error| ClusterError::Broken(format!("its answer cannot be understood: {error}")))
}
