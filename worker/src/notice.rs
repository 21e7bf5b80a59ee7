//! Sends messages: a webhook, Slack's webhook, SMTP.

mod email;

use std::time::Duration;

use flow_model::connection::ConnectionError;
use flow_model::{Connection, SecretText, Timestamp};
use flow_secrets::{Masker, Secrets, SecretsError};
use serde_json::json;

use crate::operators::{HttpClient, HttpWork, Notice};

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoticeError {
    /// Another try may help.
    Failed(String),
    /// Another try may help, but not before so long a time.
    Wait(Duration, String),
    /// No other try will help.
    ForGood(String),
    /// The store does not answer.
    Store(String),
}

impl From<SecretsError> for NoticeError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Store(error) => NoticeError::Store(error.to_string()),
            error => NoticeError::Failed(error.to_string()),
        }
    }
}

impl From<ConnectionError> for NoticeError {
    fn from(error: ConnectionError) -> Self {
        NoticeError::ForGood(error.to_string())
    }
}

/// What sending needs.
pub(crate) struct Mailroom<'a> {
    pub http: &'a HttpClient,
    pub secrets: &'a Secrets,
    /// Learns what is secret on the way.
    pub masker: &'a Masker,
}

impl Mailroom<'_> {
    /// Sends a message, and says in a few words what came of it.
    pub async fn send(&self, notice: Notice, now: Timestamp) -> Result<String, NoticeError> {
        match notice {
            Notice::Webhook { mut request, secret } => {
                if let Some(variable) = secret {
                    let key = self.secrets.variable(&variable).await?;
                    self.masker.learn(&key);
                    request.sign(&key, now);
                }
                let connection = match &request.connection {
                    Some(conn_id) => Some(self.connection(conn_id).await?),
                    None => None,
                };
                self.request(&request, connection.as_ref()).await
            }
            Notice::Slack { connection, text } => {
                let connection = self.connection(&connection).await?;
                connection.leads_to(&["slack", "http"])?;
                let address = slack_address(&connection)?;
                self.request(&HttpWork::json(address.expose().to_owned(), &json!({ "text": text })), None).await
            }
            Notice::Email(email) => {
                let connection = self.connection(&email.connection).await?;
                connection.leads_to(&["smtp"])?;
                email::send(&connection, &email).await
            }
        }
    }

    async fn connection(&self, conn_id: &str) -> Result<Connection, NoticeError> {
        let connection = self.secrets.connection(conn_id).await?;
        self.masker.learn_connection(&connection);
        Ok(connection)
    }

    async fn request(&self, work: &HttpWork, connection: Option<&Connection>) -> Result<String, NoticeError> {
        let answer = self.http.send(work, connection).await.map_err(NoticeError::Failed)?;
        let status = answer.status;
        if answer.is_expected {
            return Ok(format!("answered with status {status}"));
        }
        // Before it is cut: a piece of a secret would not be found any more.
        let said = String::from_utf8_lossy(&answer.body);
        let said: String = self.masker.mask(&said).chars().take(200).collect();
        let why = match (said.trim(), status) {
            (_, 300..=399) => format!(
                "answered with status {status}, a redirect\nhint: write the address that it leads to; with a connection, no other host is followed"
            ),
            ("", _) => format!("answered with status {status}"),
            (said, _) => format!("answered with status {status}: {said}"),
        };
        Err(match (status, answer.retry_after) {
            // What is asked is refused, and will be again.
            (400..=407 | 409..=424, _) => NoticeError::ForGood(why),
            (_, Some(pause)) => NoticeError::Wait(pause, why),
            (_, None) => NoticeError::Failed(why),
        })
    }
}

/// The address of an incoming webhook is a secret: it is the connection's password. Airflow also puts the place into the
/// host, and the rest of the path into the password.
fn slack_address(connection: &Connection) -> Result<SecretText, NoticeError> {
    let wrong = |why: &str| {
        Err(NoticeError::ForGood(format!(
            "connection `{}` {why}\nhint: its password is the address of an incoming webhook, https://hooks.slack.com/services/...",
            connection.conn_id
        )))
    };
    let Some(password) = &connection.password else { return wrong("has no password") };
    if password.expose().starts_with("https://") || password.expose().starts_with("http://") {
        return Ok(password.clone());
    }
    match connection.host.as_deref().filter(|host| host.contains("://")) {
        Some(host) => {
            let (host, path) = (host.trim_end_matches('/'), password.expose().trim_start_matches('/'));
            Ok(SecretText::new(format!("{host}/{path}")))
        }
        None => wrong("has a password that is no address"),
    }
}
