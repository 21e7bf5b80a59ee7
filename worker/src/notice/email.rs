//! E-mail over SMTP.

use std::time::Duration;

use flow_model::operator::Email;
use flow_model::{Connection, SecretText};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::NoticeError;

/// How long one step of the conversation may take.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn send(connection: &Connection, email: &Email) -> Result<String, NoticeError> {
    let message = message(connection, email).map_err(NoticeError::ForGood)?;
    let transport = transport(connection).map_err(NoticeError::ForGood)?;
    match transport.send(message).await {
        Ok(answer) => Ok(format!("the server took it: {}", answer.code())),
        Err(error) => {
            let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
            let why = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
            let text = format!("the mail server of connection `{}` did not take it: {why}", connection.conn_id);
            Err(if error.is_permanent() { NoticeError::ForGood(text) } else { NoticeError::Failed(text) })
        }
    }
}

/// Puts the message together. Whatever texts hold, each stays in its own header: the library encodes it.
fn message(connection: &Connection, email: &Email) -> Result<Message, String> {
    let from =
        email.from.as_deref().or(connection.extra_text("from")).or(connection.login.as_deref()).ok_or_else(|| {
            format!(
                "nobody is named as the sender\nhint: give the task a `from`, or the connection `{}` one in its extra",
                connection.conn_id
            )
        })?;
    let mut builder = Message::builder().from(mailbox(from)?).subject(one_line(&email.subject));
    for (list, kind) in [(&email.to, 0), (&email.cc, 1), (&email.bcc, 2)] {
        for address in list.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()) {
            let mailbox = mailbox(address)?;
            builder = match kind {
                0 => builder.to(mailbox),
                1 => builder.cc(mailbox),
                _ => builder.bcc(mailbox),
            };
        }
    }
    let built = match (&email.text, &email.html) {
        (Some(text), Some(html)) => builder.multipart(MultiPart::alternative_plain_html(text.clone(), html.clone())),
        (None, Some(html)) => builder.singlepart(SinglePart::html(html.clone())),
        (text, None) => builder.singlepart(SinglePart::plain(text.clone().unwrap_or_default())),
    };
    built.map_err(|error| format!("the message cannot be sent: {error}"))
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|_| {
        format!(
            "`{}` is not an e-mail address\nhint: `ada@example.org`, or `Ada <ada@example.org>`",
            text.escape_debug()
        )
    })
}

/// A header is one line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn transport(connection: &Connection) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let wrong = |why: String| format!("connection `{}` {why}", connection.conn_id);
    let host = connection.host.clone().ok_or_else(|| wrong("has no host".to_owned()))?;
    let parameters =
        || TlsParameters::new(host.clone()).map_err(|error| wrong(format!("cannot be used with TLS: {error}")));
    let (tls, port) = match connection.extra_text("tls").unwrap_or("starttls") {
        "starttls" => (Tls::Required(parameters()?), 587),
        "tls" => (Tls::Wrapper(parameters()?), 465),
        "none" => (Tls::None, 25),
        other => {
            let why = format!("has `tls = \"{other}\"` in its extra\nhint: it is `starttls`, `tls` or `none`");
            return Err(wrong(why));
        }
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(connection.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if let (Some(login), Some(password)) = (&connection.login, &connection.password) {
        let password = SecretText::expose(password).to_owned();
        builder = builder.credentials(Credentials::new(login.clone(), password));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests;
