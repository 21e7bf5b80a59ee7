//! A sensor that waits for an HTTP answer.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sensor;

sensor!(
    /// Asks a URL until the answer is as wanted. The answer becomes the XCom.
    ///
    /// ```toml
    /// [tasks.ready]
    /// http_sensor = { url = "https://example.org/jobs/{{ ds }}", response_check = { path = "state", equals = "done" } }
    /// ```
    HttpSensor {
        /// Where to (a template); with a `connection` the path there. It is kept while the sensor waits, so it must not hold secrets.
        #[schemars(extend("x-template" = "url"))]
        url: String,
        /// A connection of type `http`, which has the host and with what it lets us in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        /// The HTTP method.
        #[serde(default = "default_method")]
        method: String,
        /// Request headers (values are templates). They are kept while the sensor waits, so they must not hold secrets.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("x-template" = "text"))]
        headers: BTreeMap<String, String>,
        /// Query parameters, added to the URL and encoded (values are templates). They are kept, too.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("x-template" = "text"))]
        query: BTreeMap<String, String>,
        /// Request body as text (a template). It is kept, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-template" = "text"))]
        body: Option<String>,
        /// Request body as JSON; every text inside is a template. It is kept, too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("x-template" = "value"))]
        json: Option<Value>,
        /// Status codes of the wanted answer: single codes, or classes such as `2xx`. Any other means: not yet.
        #[serde(default = "default_expected_status", deserialize_with = "crate::operator::status::read")]
        #[schemars(with = "Vec<crate::operator::status::WrittenStatus>")]
        expected_status: Vec<String>,
        /// What the answer must say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response_check: Option<Box<ResponseCheck>>,
        /// What an answer with such a status says when it will never come: the task fails at once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure_check: Option<Box<ResponseCheck>>,
        /// How long one exchange may take.
        #[serde(default = "default_request_timeout", with = "crate::time::duration_text")]
        #[schemars(schema_with = "crate::operator::duration_schema")]
        request_timeout: Duration,
    }
);

/// What an answer must say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseCheck {
    /// Where in a JSON answer to look: `status`, `items.0.state`. Without it the whole answer is looked at. Alone it says
    /// that there must be something: neither nothing nor null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "data"))]
    pub path: Option<String>,
    /// The value there must be this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "data"))]
    pub equals: Option<Value>,
    /// The value there must be one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-template" = "data"))]
    pub one_of: Vec<Value>,
    /// The text there must contain this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-template" = "data"))]
    pub contains: Option<String>,
}

impl ResponseCheck {
    /// Whether an answer is as wanted; if not, what it says instead.
    ///
    /// # Errors
    /// In words: what does not fit.
    pub fn check(&self, body: &str) -> Result<(), String> {
        let body = crate::outside::without_mark(body);
        let parsed = || serde_json::from_str::<Value>(body).map_err(|_| "the answer is not JSON".to_owned());
        let found = match &self.path {
            Some(path) => lookup(&parsed()?, path)
                .filter(|value| !value.is_null() || self.equals == Some(Value::Null))
                .ok_or_else(|| format!("the answer has no `{path}`"))?,
            None if self.equals.is_some() || !self.one_of.is_empty() => {
                serde_json::from_str(body).unwrap_or_else(|_| Value::from(body.trim()))
            }
            None => Value::from(body),
        };
        let place = self.path.as_deref().map_or("the answer".to_owned(), |path| format!("`{path}`"));
        if let Some(wanted) = self.equals.as_ref().filter(|wanted| **wanted != found) {
            return Err(format!("{place} is {}, not {wanted}", short(&found)));
        }
        if !self.one_of.is_empty() && !self.one_of.contains(&found) {
            return Err(format!(
                "{place} is {}, not one of {}",
                short(&found),
                short(&Value::from(self.one_of.clone()))
            ));
        }
        let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        match &self.contains {
            Some(wanted) if !text.contains(wanted) => Err(format!("{place} does not contain `{wanted}`")),
            _ => Ok(()),
        }
    }
}

impl ResponseCheck {
    /// It says nothing at all.
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.equals.is_none() && self.one_of.is_empty() && self.contains.is_none()
    }

    /// What it wants, in a few words.
    pub fn summary(&self) -> String {
        let place = self.path.as_deref().map_or("the answer".to_owned(), |path| format!("`{path}`"));
        let wanted = [
            self.equals.as_ref().map(|value| format!("is {}", short(value))),
            (!self.one_of.is_empty()).then(|| format!("is one of {}", short(&Value::from(self.one_of.clone())))),
            self.contains.as_ref().map(|text| format!("contains `{text}`")),
        ];
        let wanted: Vec<String> = wanted.into_iter().flatten().collect();
        if wanted.is_empty() { format!("{place} is there") } else { format!("{place} {}", wanted.join(" and ")) }
    }
}

fn lookup(value: &Value, path: &str) -> Option<Value> {
    path.split('.')
        .try_fold(value, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            other => other.get(key),
        })
        .cloned()
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

fn default_method() -> String {
    "GET".to_owned()
}
fn default_expected_status() -> Vec<String> {
    vec!["2xx".to_owned()]
}
fn default_request_timeout() -> Duration {
    Duration::from_secs(10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(check: Value, body: &str) -> Result<(), String> {
        serde_json::from_value::<ResponseCheck>(check).unwrap().check(body)
    }

    #[test]
    fn answers_are_checked() {
        let body = r#"{"state": "done", "items": [{"n": 3}]}"#;
        assert_eq!(check(json!({"path": "state", "equals": "done"}), body), Ok(()));
        assert_eq!(check(json!({"path": "items.0.n", "equals": 3}), body), Ok(()));
        assert_eq!(check(json!({"path": "items.0.n", "equals": 4}), body).unwrap_err(), "`items.0.n` is 3, not 4");
        assert_eq!(check(json!({"path": "gone", "equals": 4}), body).unwrap_err(), "the answer has no `gone`");
        assert_eq!(check(json!({"path": "state", "one_of": ["done", "failed"]}), body), Ok(()));
        let expected = "`state` is \"done\", not one of [\"new\",\"failed\"]";
        assert_eq!(check(json!({"path": "state", "one_of": ["new", "failed"]}), body).unwrap_err(), expected);
        assert_eq!(check(json!({"path": "items"}), body), Ok(()));
        assert_eq!(check(json!({"path": "state"}), r#"{"state": null}"#).unwrap_err(), "the answer has no `state`");
        assert_eq!(check(json!({"contains": "done"}), body), Ok(()));
        assert!(check(json!({"path": "state", "contains": "ing"}), body).is_err());
        assert_eq!(check(json!({"equals": "ok"}), "ok\n"), Ok(()));
        assert_eq!(check(json!({"path": "a", "equals": 1}), "\u{feff}{\"a\": 1}"), Ok(()));
        assert_eq!(check(json!({"path": "a", "equals": 1}), "<html>").unwrap_err(), "the answer is not JSON");
    }
}
