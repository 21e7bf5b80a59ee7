//! A daemon to talk to: one method for each request that attempts need.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use flow_model::Connection;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::pull::Reference;
use crate::operators::chain;

/// The version that the requests are written for.
const API_VERSION: (u32, u32) = (1, 44);
/// The oldest version that knows everything they ask for (`platform` of a new container).
const API_VERSION_MIN: (u32, u32) = (1, 41);
/// Where the daemon is, unless somebody says otherwise.
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";
/// For answers that do not depend on how long something runs. Creating a container may copy its image.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a daemon did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Nobody answers there.
    #[error("{0}")]
    Away(String),
    /// The conversation broke off.
    #[error("lost the connection to the Docker daemon: {0}")]
    Broken(String),
    /// It said no.
    #[error("{message}")]
    Refused { status: u16, message: String },
}

impl EngineError {
    /// Whether it says that there is no such image.
    pub fn is_missing_image(&self) -> bool {
        matches!(self, EngineError::Refused { status: 404, message } if message.to_lowercase().contains("image"))
    }

    fn is_not_found(&self) -> bool {
        matches!(self, EngineError::Refused { status: 404, .. })
    }
}

/// A daemon.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    http: reqwest::Client,
    base: String,
}

/// A container in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedContainer {
    pub id: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// How a container ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerEnd {
    pub exit_code: i32,
    #[serde(rename = "OOMKilled", default)]
    pub is_out_of_memory: bool,
    /// Why it could not run.
    #[serde(default)]
    pub error: String,
}

impl Engine {
    /// Looks for the daemon, and agrees with it on a version.
    pub async fn connect(socket: Option<&str>) -> Result<Engine, EngineError> {
        let environment = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let place = socket.or(environment.as_deref()).unwrap_or(DEFAULT_SOCKET);
        let builder = reqwest::Client::builder().no_proxy();
        let (builder, base) = match (place.strip_prefix("unix://"), place.strip_prefix("tcp://")) {
            (Some(path), _) => {
                check_socket(Path::new(path)).await?;
                (builder.unix_socket(path), "http://docker".to_owned())
            }
            (None, Some(address)) => (builder, format!("http://{}", address.trim_end_matches('/'))),
            (None, None) => {
                return Err(EngineError::Away(format!(
                    "`{place}` is not the address of a Docker daemon\nhint: `socket` or `DOCKER_HOST` begins with unix:// or tcp://"
                )));
            }
        };
        let http = builder.build().map_err(|error| EngineError::Away(chain(&error)))?;
        let answer = http.get(format!("{base}/_ping")).timeout(ANSWER_TIMEOUT).send().await.map_err(|error| {
            EngineError::Away(format!("no Docker daemon answers at `{place}`: {}\nhint: is it running?", chain(&error)))
        })?;
        if !answer.status().is_success() {
            return Err(EngineError::Away(format!(
                "what answers at `{place}` is no Docker daemon: status {}\nhint: is `socket`, or the worker's DOCKER_HOST, the address of one?",
                answer.status().as_u16()
            )));
        }
        let spoken = answer.headers().get("api-version").and_then(|version| version.to_str().ok()).and_then(version);
        let (major, minor) = spoken.unwrap_or(API_VERSION).min(API_VERSION);
        if (major, minor) < API_VERSION_MIN {
            return Err(EngineError::Away(format!(
                "the Docker daemon at `{place}` is too old: it speaks version {major}.{minor} of the Engine API\nhint: version {}.{} came with Docker 20.10",
                API_VERSION_MIN.0, API_VERSION_MIN.1
            )));
        }
        Ok(Engine { http, base: format!("{base}/v{major}.{minor}") })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// What the task instance's earlier attempts have left.
    pub async fn list(&self, filters: &Value) -> Result<Vec<ListedContainer>, EngineError> {
        let query = [("all", "true".to_owned()), ("filters", filters.to_string())];
        let request = self.request(Method::GET, "/containers/json").query(&query).timeout(ANSWER_TIMEOUT);
        json(answered(request).await?).await
    }

    /// Creates a container; what the daemon warns of.
    pub async fn create(&self, name: &str, platform: Option<&str>, body: &Value) -> Result<Vec<String>, EngineError> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "Warnings", default)]
            warnings: Option<Vec<String>>,
        }
        let mut request = self.request(Method::POST, "/containers/create").query(&[("name", name)]);
        if let Some(platform) = platform {
            request = request.query(&[("platform", platform)]);
        }
        let created: Created = json(answered(request.json(body).timeout(ANSWER_TIMEOUT)).await?).await?;
        Ok(created.warnings.unwrap_or_default())
    }

    /// Starts a container.
    pub async fn start(&self, name: &str) -> Result<(), EngineError> {
        let request = self.request(Method::POST, &format!("/containers/{name}/start")).timeout(ANSWER_TIMEOUT);
        answered(request).await.map(drop)
    }

    /// The output of a container from its beginning, in frames, until it ends.
    pub async fn logs(&self, name: &str) -> Result<Response, EngineError> {
        let query = [("follow", "true"), ("stdout", "true"), ("stderr", "true")];
        answered(self.request(Method::GET, &format!("/containers/{name}/logs")).query(&query)).await
    }

    /// Returns when a started container does not run any more.
    pub async fn wait(&self, name: &str) -> Result<(), EngineError> {
        let request = self.request(Method::POST, &format!("/containers/{name}/wait"));
        let answer = answered(request.query(&[("condition", "not-running")])).await?;
        answer.bytes().await.map(drop).map_err(|error| EngineError::Broken(chain(&error)))
    }

    /// How a container ended.
    pub async fn end_of(&self, name: &str) -> Result<ContainerEnd, EngineError> {
        #[derive(Deserialize)]
        struct Inspected {
            #[serde(rename = "State")]
            state: ContainerEnd,
        }
        let request = self.request(Method::GET, &format!("/containers/{name}/json")).timeout(ANSWER_TIMEOUT);
        let inspected: Inspected = json(answered(request).await?).await?;
        Ok(inspected.state)
    }

    /// Stops a container: TERM, and after `grace` KILL. One that does not run is fine.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let request = self
            .request(Method::POST, &format!("/containers/{name}/stop"))
            .query(&[("t", grace.as_secs())])
            .timeout(grace + ANSWER_TIMEOUT);
        match answered(request).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a container, killing it should it run, and its volumes without a name. One that is gone is fine, and so is one
    /// that somebody else is removing: then this waits until it is gone.
    pub async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let query = [("force", "true"), ("v", "true")];
        let request = self.request(Method::DELETE, &format!("/containers/{name}")).query(&query);
        let removed = match answered(request.timeout(ANSWER_TIMEOUT)).await {
            Err(EngineError::Refused { status: 409, message }) if message.contains("already in progress") => {
                let request = self.request(Method::POST, &format!("/containers/{name}/wait"));
                answered(request.query(&[("condition", "removed")]).timeout(ANSWER_TIMEOUT)).await
            }
            removed => removed,
        };
        let read = match removed {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
            Ok(answer) => answer.bytes().await,
        };
        read.map(drop).map_err(|error| EngineError::Broken(chain(&error)))
    }

    /// Puts an archive into the root of a container.
    pub async fn put(&self, name: &str, archive: Vec<u8>) -> Result<(), EngineError> {
        let request = self.request(Method::PUT, &format!("/containers/{name}/archive")).query(&[("path", "/")]);
        let request = request.header("content-type", "application/x-tar").body(archive);
        answered(request.timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// A file or folder of a container as an archive. `None`: there is none.
    pub async fn get(&self, name: &str, path: &str) -> Result<Option<Response>, EngineError> {
        let request = self.request(Method::GET, &format!("/containers/{name}/archive")).query(&[("path", path)]);
        match answered(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins to pull an image; the answer tells how it goes on.
    pub async fn pull(
        &self,
        image: &Reference<'_>,
        platform: Option<&str>,
        registry: Option<&Connection>,
    ) -> Result<Response, EngineError> {
        let query = [("fromImage", image.name), ("tag", image.tag)];
        let mut request = self.request(Method::POST, "/images/create").query(&query);
        if let Some(platform) = platform {
            request = request.query(&[("platform", platform)]);
        }
        if let Some(registry) = registry {
            request = request.header("x-registry-auth", credentials(registry));
        }
        answered(request).await
    }
}

/// What the daemon tells the registry.
fn credentials(registry: &Connection) -> String {
    let port = registry.port.map(|port| format!(":{port}")).unwrap_or_default();
    let told = json!({
        "username": registry.login.as_deref().unwrap_or_default(),
        "password": registry.password.as_ref().map(|password| password.expose()).unwrap_or_default(),
        "serveraddress": registry.host.as_ref().map(|host| format!("{host}{port}")).unwrap_or_default(),
    });
    URL_SAFE.encode(told.to_string())
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Says what is wrong with a socket; an HTTP client only says that it cannot connect.
async fn check_socket(path: &Path) -> Result<(), EngineError> {
    use std::io::ErrorKind;
    let Err(error) = tokio::net::UnixStream::connect(path).await else { return Ok(()) };
    let path = path.display();
    Err(EngineError::Away(match error.kind() {
        ErrorKind::NotFound => format!(
            "there is no Docker daemon on this worker: `{path}` does not exist\nhint: start Docker, or say where it is with `socket` or the worker's DOCKER_HOST"
        ),
        ErrorKind::PermissionDenied => format!(
            "the worker may not talk to the Docker daemon at `{path}`: permission denied\nhint: let the worker's user into the group that owns the socket (usually `docker`), and start the worker again"
        ),
        ErrorKind::ConnectionRefused => {
            format!(
                "nobody listens at `{path}`: the Docker daemon is not running\nhint: start Docker on the worker's machine"
            )
        }
        _ => format!("cannot talk to the Docker daemon at `{path}`: {error}"),
    }))
}

/// Sends a request; an answer that is no success becomes an error.
async fn answered(request: RequestBuilder) -> Result<Response, EngineError> {
    let answer = request.send().await.map_err(|error| EngineError::Broken(chain(&error)))?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
    let body: Bytes = answer.bytes().await.unwrap_or_default();
    let message = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|body| body["message"].as_str().map(str::to_owned))
        .unwrap_or_else(|| format!("the Docker daemon answered with status {}", status.as_u16()));
    Err(EngineError::Refused { status: status.as_u16(), message })
}

async fn json<T: serde::de::DeserializeOwned>(answer: Response) -> Result<T, EngineError> {
    let body = answer.bytes().await.map_err(|error| EngineError::Broken(chain(&error)))?;
    serde_json::from_slice(&body)
        .map_err(|error| EngineError::Broken(format!("its answer cannot be understood: {error}")))
}
