//! Looks at HTTP answers, over shared connections and with a limit for each host.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use flow_model::SecretText;
use flow_model::connection::HttpTarget;
use flow_model::operator::sensor::ResponseCheck;
use flow_secrets::{Masker, Secrets};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::Found;

/// Requests to one host at once.
const REQUESTS_PER_HOST_MAX: usize = 16;
/// Hosts that are remembered; beyond it the table starts anew, which only forgets who is being asked.
const HOSTS_MAX: usize = 10_000;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What is waited for.
pub(super) struct Wanted<'a> {
    pub url: &'a str,
    pub connection: Option<&'a str>,
    pub method: &'a str,
    pub headers: &'a BTreeMap<String, String>,
    pub expected_status: &'a [String],
    pub check: Option<&'a ResponseCheck>,
}

/// Sends requests.
#[derive(Default)]
pub(super) struct HttpLooks {
    free: OnceLock<reqwest::Client>,
    /// Follows no redirects: what is secret in a connection goes to its host only.
    staying: OnceLock<reqwest::Client>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl HttpLooks {
    pub async fn look(&self, secrets: &Secrets, wanted: Wanted<'_>, timeout: Duration) -> Found {
        let masker = Masker::default();
        let target = match target(secrets, &wanted, &masker).await {
            Ok(target) => target,
            Err(found) => return found,
        };
        let address = target.as_ref().map_or(wanted.url, |target| &target.url);
        let Ok(url) = address.parse::<reqwest::Url>() else {
            return Found::FailedForGood(format!("`{}` is not a URL", wanted.url));
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = match self.request(&wanted, target.as_ref(), url, timeout) {
            Ok(request) => request,
            Err(why) => return Found::FailedForGood(why),
        };
        let Ok(_permit) = self.limit(host).acquire_owned().await else {
            return Found::NotYet("the triggerer stops".to_owned());
        };
        let found = match answer(request).await {
            // Before it is judged: what is told of it is cut, and a piece of a secret would not be found.
            Ok((status, body)) if masker.finds(&body) => judge(&wanted, status, &masker.mask(&body)),
            Ok((status, body)) => judge(&wanted, status, &body),
            Err(why) => Found::NotYet(why),
        };
        found.masked(&masker)
    }

    fn limit(&self, host: String) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS_MAX {
            hosts.clear();
        }
        Arc::clone(hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_PER_HOST_MAX))))
    }

    fn request(
        &self,
        wanted: &Wanted<'_>,
        target: Option<&HttpTarget>,
        url: reqwest::Url,
        timeout: Duration,
    ) -> Result<reqwest::RequestBuilder, String> {
        let method: reqwest::Method =
            wanted.method.parse().map_err(|_| format!("`{}` is not an HTTP method", wanted.method))?;
        let mut headers = HeaderMap::new();
        for (name, value) in wanted.headers {
            let parsed: HeaderName = name.parse().map_err(|_| format!("`{name}` is not a header name"))?;
            let value: HeaderValue = value.parse().map_err(|_| {
                format!(
                    "the value of header `{name}` holds a line break or another control character, which no header can"
                )
            })?;
            headers.append(parsed, value);
        }
        let mut request = self.client(target.is_some())?.request(method, url);
        if let Some((login, password)) = target.and_then(|target| target.basic.as_ref()) {
            request = request.basic_auth(login, password.as_ref().map(SecretText::expose));
        }
        if let Some(token) = target.and_then(|target| target.bearer.as_ref()) {
            request = request.bearer_auth(token.expose());
        }
        for (name, value) in target.map(|target| target.headers.as_slice()).unwrap_or_default() {
            request = request.header(name, value.expose());
        }
        Ok(request.headers(headers).timeout(timeout))
    }

    fn client(&self, stays: bool) -> Result<&reqwest::Client, String> {
        let kept = if stays { &self.staying } else { &self.free };
        if let Some(client) = kept.get() {
            return Ok(client);
        }
        let mut client = reqwest::Client::builder().user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")));
        if stays {
            client = client.redirect(reqwest::redirect::Policy::none());
        }
        let client = client.build().map_err(|error| format!("cannot set up the HTTP client: {}", chain(&error)))?;
        Ok(kept.get_or_init(|| client))
    }
}

/// What the connection means for the request, if it names one.
async fn target(secrets: &Secrets, wanted: &Wanted<'_>, masker: &Masker) -> Result<Option<HttpTarget>, Found> {
    let Some(conn_id) = wanted.connection else { return Ok(None) };
    let connection = secrets.connection(conn_id).await.map_err(|error| {
        if error.is_missing() { Found::FailedForGood(error.to_string()) } else { Found::NotYet(error.to_string()) }
    })?;
    masker.learn_connection(&connection);
    connection.http_target(wanted.url).map(Some).map_err(|error| Found::FailedForGood(error.to_string()))
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, String), String> {
    let mut response = request.send().await.map_err(|error| chain(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Pure: whether the answer is the wanted one.
fn judge(wanted: &Wanted<'_>, status: u16, body: &str) -> Found {
    let is_expected = wanted.expected_status.iter().any(|expected| match expected.strip_suffix("xx") {
        Some(class) => class.parse() == Ok(status / 100),
        None => expected.parse() == Ok(status),
    });
    if !is_expected {
        return Found::NotYet(format!("answered with status {status}"));
    }
    if let Some(Err(why)) = wanted.check.map(|check| check.check(body)) {
        return Found::NotYet(why);
    }
    Found::There(serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_judged() {
        let headers = BTreeMap::new();
        let expected = ["2xx".to_owned(), "404".to_owned()];
        let check = ResponseCheck { path: Some("state".to_owned()), equals: Some(json!("up")), contains: None };
        let mut wanted = Wanted {
            url: "http://h",
            connection: None,
            method: "GET",
            headers: &headers,
            expected_status: &expected,
            check: None,
        };
        assert_eq!(judge(&wanted, 204, ""), Found::There(json!("")));
        assert_eq!(judge(&wanted, 404, "[1]"), Found::There(json!([1])));
        assert_eq!(judge(&wanted, 503, ""), Found::NotYet("answered with status 503".to_owned()));
        wanted.check = Some(&check);
        assert_eq!(judge(&wanted, 200, r#"{"state":"up"}"#), Found::There(json!({"state": "up"})));
        assert!(matches!(judge(&wanted, 200, r#"{"state":"down"}"#), Found::NotYet(_)));
    }
}
