//! What a connection of type `http` means for a request, as in Airflow's `HttpHook`.

use serde_json::Value;

use super::{Connection, ConnectionError, SecretText};

/// Types of connections that lead to something else than a web server.
const OTHER_TYPES: [&str; 4] = ["postgres", "mysql", "sqlite", "redis"];

/// A request's address, and with what it gets in.
#[derive(Debug, Clone)]
pub struct HttpTarget {
    /// The whole address.
    pub url: String,
    /// Basic authentication: login and password.
    pub basic: Option<(String, Option<SecretText>)>,
    /// A bearer token: `token` of `extra`.
    pub bearer: Option<SecretText>,
    /// Further headers: `headers` of `extra`.
    pub headers: Vec<(String, SecretText)>,
}

impl Connection {
    /// The target of a request for `path`, which may be empty. The host is always the connection's: what is secret in it goes
    /// nowhere else.
    ///
    /// # Errors
    /// The connection leads to something else, names no host, or `path` is an address of its own.
    pub fn http_target(&self, path: &str) -> Result<HttpTarget, ConnectionError> {
        // Airflow's Slack connections have the host of Slack's API.
        self.leads_to(&["http", "slack"])?;
        let wrong =
            |why: &str| ConnectionError(format!("connection `{}` cannot be used for a request: {why}", self.conn_id));
        if OTHER_TYPES.contains(&self.conn_type.as_str()) {
            return Err(wrong(&format!("its type is `{}`, not `http`", self.conn_type)));
        }
        let host = self.host.as_deref().unwrap_or_default().trim_end_matches('/');
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        if path.contains("://") {
            return Err(wrong(
                "`url` is an address of its own\nhint: write only the path; the connection has the host",
            ));
        }
        let (scheme, host) = match host.split_once("://") {
            Some(parts) => parts,
            None => (self.schema.as_deref().unwrap_or("http"), host),
        };
        if !matches!(scheme, "http" | "https") {
            return Err(wrong(&format!("`{scheme}` is neither `http` nor `https`")));
        }
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = path.trim_start_matches('/');
        // Always with a slash: a path such as `@example.org` or `.example.org` must not become a part of the host.
        let url = format!("{scheme}://{host}{port}/{path}");
        let headers = match self.extra.get("headers") {
            Some(Value::Object(headers)) => headers
                .iter()
                .map(|(name, value)| {
                    (name.clone(), SecretText::new(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
                })
                .collect(),
            _ => Vec::new(),
        };
        Ok(HttpTarget {
            url,
            basic: self.login.clone().map(|login| (login, self.password.clone())),
            bearer: self.extra_text("token").map(SecretText::new),
            headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(connection: &str, path: &str) -> Result<String, String> {
        let connection = Connection::from_uri("api", connection).unwrap();
        connection.http_target(path).map(|target| target.url).map_err(|error| error.to_string())
    }

    #[test]
    fn the_host_is_always_the_connections() {
        assert_eq!(url("http://api.example", "jobs/7").unwrap(), "http://api.example/jobs/7");
        assert_eq!(url("http://api.example:8443/https", "/jobs").unwrap(), "https://api.example:8443/jobs");
        assert_eq!(url("http://https%3A%2F%2Fapi.example%2Fv1%2F", "").unwrap(), "https://api.example/v1/");
        for path in ["@evil.example", "//evil.example", ".evil.example", "\\\\evil.example", ":80@evil.example"] {
            let url = url("http://ada:word@api.example", path).unwrap();
            assert!(url.starts_with("http://api.example/"), "{url}");
        }
        assert!(url("http://api.example", "https://evil.example").unwrap_err().contains("hint: write only the path"));
        assert!(url("http://", "x").unwrap_err().contains("it has no host"));
        assert!(url("smtp://mail.example", "x").unwrap_err().starts_with("connection `api` has the type `smtp`, and"));
        assert!(url("generic://api.example", "x").is_ok());
        assert!(url("http://h/ftp", "x").unwrap_err().contains("`ftp` is neither"));
    }
}
