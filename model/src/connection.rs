//! Connections: how tasks reach other systems, in Airflow's terms.

mod http;
mod uri;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

pub use http::HttpTarget;

use crate::outside::{has_nul, without_mark};

/// Words in the name of a variable or of an extra field that mark its value as secret, as in Airflow
/// (`DEFAULT_SENSITIVE_FIELDS`).
const SENSITIVE_WORDS: [&str; 12] = [
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "keyfile",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "token",
];

/// Text that is not shown: it has no `Display`, its `Debug` is `***`, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        SecretText(SecretString::from(text.into()))
    }

    /// The text itself, for the one place that acts with it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// For telling whether something has changed. It takes longer the more is the same: never let anybody in by it.
impl PartialEq for SecretText {
    fn eq(&self, other: &SecretText) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How to reach another system.
#[derive(Clone, PartialEq)]
pub struct Connection {
    /// Its name.
    pub conn_id: String,
    /// What it leads to: `postgres`, `http`, `smtp`, ...
    pub conn_type: String,
    /// A host name, an address or, for files, a path.
    pub host: Option<String>,
    /// A port.
    pub port: Option<u16>,
    /// Who logs in.
    pub login: Option<String>,
    /// With what.
    pub password: Option<SecretText>,
    /// A database's or a bucket's name, or the scheme of a web address, by type.
    pub schema: Option<String>,
    /// Everything else. Text in fields whose names say so is secret: see [`is_sensitive_name`].
    pub extra: Map<String, Value>,
}

/// A connection's text cannot be read. The message never holds the text itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectionError(pub(crate) String);

/// Types of connections that mean the same, by what speaks over them.
const FAMILIES: [(&str, &[&str]); 7] = [
    ("http", &["http", "https"]),
    ("slack", &["slack", "slackwebhook", "slack_incoming_webhook"]),
    ("smtp", &["smtp", "email"]),
    ("postgres", &["postgres", "postgresql"]),
    ("mysql", &["mysql", "mariadb"]),
    ("sqlite", &["sqlite"]),
    ("redis", &["redis"]),
];

impl Connection {
    /// Refuses a connection that leads to something else than one of these types (as the first of [`FAMILIES`]' names
    /// call them). Types that nobody here knows are believed: Airflow has many, and `generic`.
    ///
    /// # Errors
    /// It leads to something else.
    pub fn leads_to(&self, wanted: &[&str]) -> Result<(), ConnectionError> {
        let family = FAMILIES.iter().find(|(_, types)| types.contains(&self.conn_type.as_str()));
        match family {
            Some((family, _)) if !wanted.contains(family) => Err(ConnectionError(format!(
                "connection `{}` has the type `{}`, and one of type `{}` is needed\nhint: `flowctl connections list` shows the connections with their types",
                self.conn_id,
                self.conn_type,
                wanted.first().copied().unwrap_or_default()
            ))),
            _ => Ok(()),
        }
    }

    /// A connection of a type with nothing else.
    pub fn new(conn_id: impl Into<String>, conn_type: impl Into<String>) -> Self {
        Connection {
            conn_id: conn_id.into(),
            conn_type: conn_type.into(),
            host: None,
            port: None,
            login: None,
            password: None,
            schema: None,
            extra: Map::new(),
        }
    }

    /// Reads what environment variables and files hold: a URI, or JSON that begins with `{`.
    ///
    /// # Errors
    /// It is neither.
    pub fn from_text(conn_id: &str, text: &str) -> Result<Connection, ConnectionError> {
        let text = without_mark(text).trim();
        if !text.starts_with('{') {
            return Connection::from_uri(conn_id, text);
        }
        let wrong = |_| ConnectionError("it begins with `{` and is no JSON".to_owned());
        Connection::from_json(conn_id, &serde_json::from_str(text).map_err(wrong)?)
    }

    /// Reads Airflow's URI form, `type://login:password@host:port/schema?key=value`, each part percent-encoded. All the
    /// extra fields at once can be given as JSON under `__extra__`.
    ///
    /// # Errors
    /// It has no type, or a part of it cannot be read.
    pub fn from_uri(conn_id: &str, uri: &str) -> Result<Connection, ConnectionError> {
        uri::read(conn_id, uri)
    }

    /// The URI form.
    pub fn to_uri(&self) -> SecretText {
        SecretText::new(uri::write(self))
    }

    /// Reads Airflow's JSON form: `conn_type`, `host`, `port`, `login`, `password`, `schema` and `extra`, which is an
    /// object or its text.
    ///
    /// # Errors
    /// A field is missing, unknown or of the wrong type.
    pub fn from_json(conn_id: &str, value: &Value) -> Result<Connection, ConnectionError> {
        let Value::Object(fields) = value else { return Err(ConnectionError("it is no JSON object".to_owned())) };
        let mut connection = Connection::new(conn_id, "");
        for (name, value) in fields {
            let text = || match value {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
                _ => Err(ConnectionError(format!("its `{name}` is not text"))),
            };
            match name.as_str() {
                "conn_type" => connection.conn_type = text()?.unwrap_or_default(),
                "host" => connection.host = text()?,
                "login" => connection.login = text()?,
                "password" => connection.password = text()?.map(SecretText::new),
                "schema" => connection.schema = text()?,
                "port" => connection.port = port(value)?,
                "extra" => connection.extra = extra(value)?,
                // What lists of connections say besides.
                "conn_id" | "connection_id" | "description" => {}
                _ => return Err(ConnectionError(format!("`{name}` is no field of a connection"))),
            }
        }
        if connection.conn_type.is_empty() {
            return Err(ConnectionError("it has no `conn_type`".to_owned()));
        }
        connection.without_nul()
    }

    /// The JSON form, with everything that is secret.
    pub fn to_json(&self) -> Value {
        json!({
            "conn_id": self.conn_id, "conn_type": self.conn_type, "host": self.host, "port": self.port,
            "login": self.login, "password": self.password.as_ref().map(SecretText::expose), "schema": self.schema,
            "extra": self.extra,
        })
    }

    /// Refuses what neither a database nor a program can be told.
    fn without_nul(self) -> Result<Connection, ConnectionError> {
        let fields = self.to_json();
        match fields.as_object().and_then(|fields| fields.iter().find(|(_, value)| has_nul(value))) {
            Some((name, _)) => {
                Err(ConnectionError(format!("its `{name}` holds a NUL character, which no text here can")))
            }
            None => Ok(self),
        }
    }

    /// A text in `extra`.
    pub fn extra_text(&self, key: &str) -> Option<&str> {
        self.extra.get(key).and_then(Value::as_str)
    }

    /// Everything of it that must not be seen: the password, and text in sensitive fields of `extra`.
    pub fn secrets(&self) -> Vec<SecretText> {
        let mut found: Vec<SecretText> = self.password.iter().cloned().collect();
        for (name, value) in &self.extra {
            // Headers carry keys under any name.
            collect_secrets(value, is_sensitive_name(name) || name == "headers", &mut found);
        }
        found
    }

    /// `extra` with `***` for what must not be seen.
    pub fn extra_shown(&self) -> Value {
        redacted(&Value::Object(self.extra.clone()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {})", self.conn_id, self.conn_type)
    }
}

/// Whether a name says that its value is secret.
pub fn is_sensitive_name(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    SENSITIVE_WORDS.iter().any(|word| name.contains(word))
}

/// A JSON value with `***` for what is in sensitive fields.
pub fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let shown = |(name, value): (&String, &Value)| {
                let value = match name.as_str() {
                    _ if is_sensitive_name(name) && !value.is_null() => json!("***"),
                    // Headers carry keys under any name.
                    "headers" => hidden(value),
                    _ => redacted(value),
                };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(shown).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(redacted).collect()),
        Value::String(text) => redacted_text(text).map_or_else(|| value.clone(), Value::String),
        other => other.clone(),
    }
}

/// The JSON text of an object or a list with `***` for what is in sensitive fields. `None`: it is no such text, or there is
/// nothing to hide.
pub fn redacted_text(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok().filter(|value: &Value| value.is_object() || value.is_array())?;
    let shown = redacted(&value);
    (shown != value).then(|| shown.to_string())
}

/// What is secret in a JSON value, because of the name of a field that it is in, at any depth and in JSON inside of text.
pub fn secrets_in(value: &Value) -> Vec<SecretText> {
    let mut found = Vec::new();
    collect_secrets(value, false, &mut found);
    found
}

/// The names alone.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), hidden(value))).collect(),
        Value::Array(items) => items.iter().map(hidden).collect(),
        Value::Null => Value::Null,
        _ => json!("***"),
    }
}

fn collect_secrets(value: &Value, is_secret: bool, found: &mut Vec<SecretText>) {
    match value {
        Value::String(text) if is_secret && !text.is_empty() => found.push(SecretText::new(text.clone())),
        Value::String(text) if text.starts_with(['{', '[']) => {
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                collect_secrets(&inner, false, found);
            }
        }
        Value::Number(number) if is_secret => found.push(SecretText::new(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, is_secret, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                collect_secrets(value, is_secret || is_sensitive_name(name), found);
            }
        }
        _ => {}
    }
}

fn port(value: &Value) -> Result<Option<u16>, ConnectionError> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    number.map(Some).ok_or_else(|| ConnectionError("its `port` is no number from 0 to 65535".to_owned()))
}

fn extra(value: &Value) -> Result<Map<String, Value>, ConnectionError> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(fields) => Ok(fields.clone()),
        Value::String(text) if text.trim().is_empty() => Ok(Map::new()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(ConnectionError("its `extra` is not the text of a JSON object".to_owned())),
        },
        _ => Err(ConnectionError("its `extra` is no JSON object".to_owned())),
    }
}

#[cfg(test)]
mod tests;
