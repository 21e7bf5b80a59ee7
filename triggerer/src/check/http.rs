//! Looks at HTTP answers, over shared connections.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use flow_model::SecretText;
use flow_model::connection::HttpTarget;
use flow_model::error_chain as chain;
use flow_model::limits::XCOM_BYTES_MAX;
use flow_model::operator::sensor::ResponseCheck;
use flow_model::time::duration_text;
use flow_secrets::{Masker, Secrets};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{Found, too_much};

/// What is waited for.
pub(super) struct Wanted<'a> {
    pub url: &'a str,
    pub connection: Option<&'a str>,
    pub method: &'a str,
    pub headers: &'a BTreeMap<String, String>,
    pub query: &'a BTreeMap<String, String>,
    pub body: Option<&'a str>,
    pub expected_status: &'a [String],
    pub check: Option<&'a ResponseCheck>,
    pub failure_check: Option<&'a ResponseCheck>,
    pub timeout: Duration,
}

/// Sends requests.
#[derive(Default)]
pub(super) struct HttpLooks {
    free: OnceLock<reqwest::Client>,
    /// Follows no redirects: what is secret in a connection goes to its host only.
    staying: OnceLock<reqwest::Client>,
}

impl HttpLooks {
    pub async fn look(&self, secrets: &Secrets, wanted: Wanted<'_>) -> Found {
        let masker = Masker::default();
        let target = match target(secrets, &wanted, &masker).await {
            Ok(target) => target,
            Err(found) => return found,
        };
        let address = target.as_ref().map_or(wanted.url, |target| &target.url);
        let Ok(url) = address.trim().parse::<reqwest::Url>() else {
            return Found::FailedForGood(format!("`{}` is not a URL", wanted.url));
        };
        let (is_tls, host) = (url.scheme() == "https", url.host_str().unwrap_or_default().to_owned());
        let request = match self.request(&wanted, target.as_ref(), url) {
            Ok(request) => request,
            Err(why) => return Found::FailedForGood(why),
        };
        let found = match answer(request).await {
            Ok(mut answer) => {
                // Before it is judged: what is told of it is cut, and a piece of a secret would not be found.
                if let Some(body) = answer.body.as_mut().filter(|body| masker.finds(body)) {
                    *body = masker.mask(body).into_owned();
                }
                judge(&wanted, &answer)
            }
            Err(error) => Found::NotYet(told(&error, &host, is_tls, wanted.timeout)),
        };
        found.masked(&masker)
    }

    fn request(
        &self,
        wanted: &Wanted<'_>,
        target: Option<&HttpTarget>,
        url: reqwest::Url,
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
        if !wanted.query.is_empty() {
            request = request.query(wanted.query);
        }
        if let Some(body) = wanted.body {
            request = request.body(body.to_owned());
        }
        Ok(request.headers(headers).timeout(wanted.timeout))
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

/// What came back.
struct Answer {
    status: u16,
    /// `None` if it is larger than an XCom may be.
    body: Option<String>,
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let content_type = response.headers().get(reqwest::header::CONTENT_TYPE).cloned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > XCOM_BYTES_MAX {
            return Ok(Answer { status, body: None });
        }
        body.extend_from_slice(&chunk);
    }
    let content_type = content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(Answer { status, body: Some(flow_model::outside::decoded(content_type, &body).into_owned()) })
}

/// Pure: whether the answer is the wanted one.
fn judge(wanted: &Wanted<'_>, Answer { status, body }: &Answer) -> Found {
    let is_expected = wanted.expected_status.iter().any(|expected| match expected.strip_suffix("xx") {
        Some(class) => class.parse() == Ok(status / 100),
        None => expected.parse() == Ok(*status),
    });
    if !is_expected {
        let stays = if (300..400).contains(status) && wanted.connection.is_some() {
            "; with a connection no redirect is followed"
        } else {
            ""
        };
        return Found::NotYet(format!("answered with status {status}{stays}"));
    }
    let Some(body) = body else { return too_much("the answer") };
    if let Some(check) = wanted.failure_check.filter(|check| check.check(body).is_ok()) {
        return Found::Failed(format!("{}, so it will not come (`failure_check`)", check.summary()));
    }
    if let Some(Err(why)) = wanted.check.map(|check| check.check(body)) {
        return Found::NotYet(why);
    }
    Found::There(
        serde_json::from_str(flow_model::outside::without_mark(body)).unwrap_or_else(|_| Value::from(body.as_str())),
    )
}

/// What went wrong, in a few words for people.
fn told(error: &reqwest::Error, host: &str, is_tls: bool, timeout: Duration) -> String {
    if error.is_timeout() {
        let while_connecting = if error.is_connect() { " (no connection came about)" } else { "" };
        return format!("no whole answer within {}{while_connecting}", duration_text::format(timeout));
    }
    if error.is_redirect() {
        return format!("it is sent on again and again: {}", chain(error));
    }
    if !error.is_connect() {
        return chain(error);
    }
    let cause = std::iter::successors(std::error::Error::source(error), |cause| cause.source()).last();
    let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
    let tls = if is_tls && cause.contains("InvalidContentType") { "; does it speak TLS (`https`) there?" } else { "" };
    format!("cannot connect to `{host}`: {cause}{tls}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_judged() {
        let nothing = BTreeMap::new();
        let expected = ["2xx".to_owned(), "404".to_owned()];
        let check = |check: Value| serde_json::from_value::<ResponseCheck>(check).unwrap();
        let (up, broken) = (
            check(json!({ "path": "state", "equals": "up" })),
            check(json!({ "path": "state", "one_of": ["broken", "gone"] })),
        );
        let mut wanted = Wanted {
            url: "http://h",
            connection: None,
            method: "GET",
            headers: &nothing,
            query: &nothing,
            body: None,
            expected_status: &expected,
            check: None,
            failure_check: None,
            timeout: Duration::from_secs(1),
        };
        let judged = |wanted: &Wanted<'_>, status: u16, body: &str| {
            judge(wanted, &Answer { status, body: Some(body.to_owned()) })
        };
        assert_eq!(judged(&wanted, 204, ""), Found::There(json!("")));
        assert_eq!(judged(&wanted, 404, "[1]"), Found::There(json!([1])));
        assert_eq!(judged(&wanted, 503, ""), Found::NotYet("answered with status 503".to_owned()));
        wanted.connection = Some("shop");
        let Found::NotYet(why) = judged(&wanted, 302, "") else { panic!("it has not come") };
        assert!(why.contains("no redirect is followed"), "{why}");
        (wanted.check, wanted.failure_check) = (Some(&up), Some(&broken));
        assert_eq!(judged(&wanted, 200, r#"{"state":"up"}"#), Found::There(json!({"state": "up"})));
        assert!(matches!(judged(&wanted, 200, r#"{"state":"down"}"#), Found::NotYet(_)));
        let expected = "`state` is one of [\"broken\",\"gone\"], so it will not come (`failure_check`)";
        assert_eq!(judged(&wanted, 200, r#"{"state":"gone"}"#), Found::Failed(expected.to_owned()));
        // What is too large to be judged fails, but for another status, which says nothing about it.
        assert!(matches!(judge(&wanted, &Answer { status: 500, body: None }), Found::NotYet(_)));
        let Found::Failed(why) = judge(&wanted, &Answer { status: 200, body: None }) else { panic!("it is too large") };
        assert!(why.starts_with("the answer is larger than an XCom may be (1 MiB)\nhint: "), "{why}");
        assert!(matches!(judged(&wanted, 500, r#"{"state":"gone"}"#), Found::NotYet(_)));
    }
}
