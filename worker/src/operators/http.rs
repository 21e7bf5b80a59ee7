//! The `http` operator: one request from the worker.

use std::sync::OnceLock;
use std::time::Duration;

use flow_model::operator::Http;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

/// A request with every template rendered.
#[derive(Debug)]
pub struct HttpWork {
    method: String,
    url: String,
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
}

/// Sends requests over shared connections. Made on first use: most workers never need it.
#[derive(Debug, Default)]
pub struct HttpClient(OnceLock<reqwest::Client>);

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
        url: renderer.text("url", &http.url)?,
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

impl HttpWork {
    /// The request in one line.
    pub fn summary(&self) -> String {
        format!("{} {}", self.method, self.url)
    }

    fn expects(&self, status: u16) -> bool {
        self.expected_status.iter().any(|expected| match expected.strip_suffix("xx") {
            Some(class) => class.parse() == Ok(status / 100),
            None => expected.parse() == Ok(status),
        })
    }
}

impl HttpClient {
    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("cannot set up the HTTP client: {}", chain(&error)))?;
        Ok(self.0.get_or_init(|| client))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// In words: the request is not usable, nobody answers, it takes too long, or the answer is too large.
    pub async fn send(&self, work: &HttpWork) -> Result<HttpAnswer, String> {
        let method: reqwest::Method =
            work.method.parse().map_err(|_| format!("`{}` is not an HTTP method", work.method))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &work.headers {
            let parsed: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header name"))?;
            let value: HeaderValue = value
                .parse()
                .map_err(|_| format!("the value of header `{name}` holds characters that no header can"))?;
            headers.append(parsed, value);
        }
        let mut request = self.client()?.request(method, &work.url).headers(headers).timeout(work.timeout);
        if !work.query.is_empty() {
            request = request.query(&work.query);
        }
        if let Some(body) = &work.body {
            request = request.body(body.clone());
        }
        let failed = |error: reqwest::Error| format!("{} failed: {}", work.summary(), chain(&error));
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
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
        Ok(HttpAnswer { status, is_expected: work.expects(status), body })
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
