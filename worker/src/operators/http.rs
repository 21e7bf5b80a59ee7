//! The `http` operator: one request from the worker.

use std::sync::OnceLock;
use std::time::Duration;

use flow_model::connection::HttpTarget;
use flow_model::error_chain as chain;
use flow_model::limits::REDIRECTS_MAX;
use flow_model::operator::Http;
use flow_model::start::signed_text;
use flow_model::time::duration_text;
use flow_model::{Connection, SecretText, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::template::{Renderer, TemplateError, UrlStart};

/// A request with every template rendered.
#[derive(Debug)]
pub struct HttpWork {
    method: String,
    url: String,
    /// The connection that has the host.
    pub connection: Option<String>,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Option<String>,
    expected_status: Vec<String>,
    timeout: Duration,
    response_bytes_max: u64,
}

/// What came back.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The body, up to its limit.
    pub body: Vec<u8>,
    /// Whether the task expects that status.
    pub is_expected: bool,
    /// How long it asks us to wait, if it is too busy (status 429 or 503).
    pub retry_after: Option<Duration>,
}

/// Nobody is believed who asks for more.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Sends requests over shared connections. Made on first use: most workers never need it.
#[derive(Debug, Default)]
pub struct HttpClient {
    /// Follows redirects wherever they lead.
    free: OnceLock<reqwest::Client>,
    /// Follows them on the same host only: what is secret in a connection goes nowhere else.
    staying: OnceLock<reqwest::Client>,
}

pub(super) fn prepare(
    http: &Http,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<HttpWork, TemplateError> {
    let pairs = |field: &str, entries: &std::collections::BTreeMap<String, String>| {
        entries
            .iter()
            .map(|(name, value)| Ok((name.clone(), renderer.text(&format!("{field}.{name}"), value)?)))
            .collect::<Result<Vec<_>, TemplateError>>()
    };
    let mut headers = pairs("headers", &http.headers)?;
    let body = match (&http.body, &http.json) {
        (Some(body), _) => Some(renderer.text("body", body)?),
        (None, Some(json)) => {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            Some(renderer.json("json", json)?.to_string())
        }
        (None, None) => None,
    };
    let work = HttpWork {
        method: http.method.clone(),
        url: renderer.url("url", &http.url, url_start(http.connection.as_deref()))?,
        connection: http.connection.clone(),
        headers,
        query: pairs("query", &http.query)?,
        body,
        expected_status: http.expected_status.clone(),
        timeout: http.timeout,
        response_bytes_max: http.response_bytes_max,
    };
    rendered.insert("method".to_owned(), json!(work.method));
    rendered.insert("url".to_owned(), json!(work.url));
    if let Some(body) = &work.body {
        rendered.insert("body".to_owned(), json!(body));
    }
    Ok(work)
}

/// A connection has the host; without one the URL has it.
pub(super) fn url_start(connection: Option<&str>) -> UrlStart {
    if connection.is_some() { UrlStart::Path } else { UrlStart::Scheme }
}

impl HttpWork {
    /// The request in one line.
    pub fn summary(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    /// A message to a URL.
    pub fn json(url: String, message: &Value) -> Self {
        let Http { expected_status, timeout, response_bytes_max, .. } = Http::to("");
        let mut work = HttpWork {
            method: "POST".to_owned(),
            url,
            connection: None,
            headers: Vec::new(),
            query: Vec::new(),
            body: None,
            expected_status,
            timeout,
            response_bytes_max,
        };
        work.set_json(message);
        work
    }

    /// Makes a value the body.
    pub(super) fn set_json(&mut self, message: &Value) {
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            self.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        self.body = Some(message.to_string());
    }

    /// Signs the body, as `POST /hooks/<name>` checks it.
    pub fn sign(&mut self, key: &SecretText, now: Timestamp) {
        let timestamp = now.as_micros().div_euclid(1_000_000).to_string();
        let text = signed_text(&timestamp, None, self.body.as_deref().unwrap_or_default().as_bytes());
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else { return };
        mac.update(&text);
        let signature = flow_model::dag::hex(&mac.finalize().into_bytes());
        self.headers.push(("x-flow-timestamp".to_owned(), timestamp));
        self.headers.push(("x-flow-signature".to_owned(), format!("sha256={signature}")));
    }

    fn expects(&self, status: u16) -> bool {
        self.expected_status.iter().any(|expected| match expected.strip_suffix("xx") {
            Some(class) => class.parse() == Ok(status / 100),
            None => expected.parse() == Ok(status),
        })
    }
}

impl HttpClient {
    fn client(&self, stays: bool) -> Result<&reqwest::Client, String> {
        let kept = if stays { &self.staying } else { &self.free };
        if let Some(client) = kept.get() {
            return Ok(client);
        }
        let mut client = reqwest::Client::builder().user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")));
        if stays {
            client = client.redirect(on_the_same_host());
        }
        let client = client.build().map_err(|error| format!("cannot set up the HTTP client: {}", chain(&error)))?;
        Ok(kept.get_or_init(|| client))
    }

    /// Sends a request, over the connection that it names, and reads its answer.
    ///
    /// # Errors
    /// In words: the request is not usable, nobody answers, it takes too long, or the answer is too large.
    pub async fn send(&self, work: &HttpWork, connection: Option<&Connection>) -> Result<HttpAnswer, String> {
        let method: reqwest::Method =
            work.method.parse().map_err(|_| format!("`{}` is not an HTTP method", work.method))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &work.headers {
            let parsed: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header name"))?;
            let value: HeaderValue = value.parse().map_err(|_| {
                format!(
                    "the value of header `{name}` holds a line break or another control character, which no header can"
                )
            })?;
            headers.append(parsed, value);
        }
        let target = connection.map(|connection| connection.http_target(&work.url)).transpose();
        let target = target.map_err(|error| error.to_string())?;
        let url = target.as_ref().map_or(work.url.as_str(), |target| &target.url);
        check_address(url)?;
        let mut request = self.client(target.is_some())?.request(method, url);
        if let Some(target) = &target {
            request = let_in(request, target)?;
        }
        request = request.headers(headers).timeout(work.timeout);
        if !work.query.is_empty() {
            request = request.query(&work.query);
        }
        if let Some(body) = &work.body {
            request = request.body(body.clone());
        }
        let failed = |error: reqwest::Error| {
            if error.is_timeout() {
                let timeout = duration_text::format(work.timeout);
                return format!("{} took longer than its `timeout` of {timeout}", work.summary());
            }
            format!("{} failed: {}", work.summary(), chain(&error))
        };
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(status, response.headers());
        let content_type = response.headers().get(reqwest::header::CONTENT_TYPE).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if (body.len() + chunk.len()) as u64 > work.response_bytes_max {
                return Err(format!(
                    "the answer to {} is larger than {} bytes\nhint: raise `response_bytes_max`, or fetch it with a program that writes it to a file",
                    work.summary(),
                    work.response_bytes_max
                ));
            }
            body.extend_from_slice(&chunk);
        }
        let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = flow_model::outside::decoded(content_type, &body).into_owned().into_bytes();
        Ok(HttpAnswer { status, is_expected: work.expects(status), body, retry_after })
    }
}

/// Says what is wrong with an address; the client only says that it has no base.
fn check_address(url: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        let shown = url.escape_debug();
        Err(format!(
            "`{shown}` is not an HTTP URL{why}\nhint: it begins with http:// or https://; or name a `connection` that has the host"
        ))
    };
    match reqwest::Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        Ok(_) => wrong(""),
        Err(error) => wrong(&format!(": {error}")),
    }
}

/// Only the form in seconds: one with a date would need the server's clock.
fn retry_after(status: u16, headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER).filter(|_| matches!(status, 429 | 503))?.to_str().ok()?;
    text.trim().parse().ok().map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Puts in with what a connection lets us in.
fn let_in(mut request: reqwest::RequestBuilder, target: &HttpTarget) -> Result<reqwest::RequestBuilder, String> {
    if let Some((login, password)) = &target.basic {
        request = request.basic_auth(login, password.as_ref().map(SecretText::expose));
    }
    if let Some(token) = &target.bearer {
        request = request.bearer_auth(token.expose());
    }
    for (name, value) in &target.headers {
        let parsed: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header name"))?;
        let mut value: HeaderValue = value.expose().parse().map_err(|_| {
            format!("the value of header `{name}` holds a line break or another control character, which no header can")
        })?;
        value.set_sensitive(true);
        request = request.header(parsed, value);
    }
    Ok(request)
}

fn on_the_same_host() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let before = attempt.previous().last().map(|url| url.origin());
        if before != Some(attempt.url().origin()) {
            return attempt.stop();
        }
        if attempt.previous().len() > REDIRECTS_MAX { attempt.error("too many redirects") } else { attempt.follow() }
    })
}
