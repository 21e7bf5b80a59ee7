//! E-mail over SMTP.

use std::time::Duration;

use flow_model::operator::Email;
use flow_model::{Connection, SecretText};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::NoticeError;
use crate::operators::chain;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the whole conversation may take: the library itself waits for an answer for ever.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn send(connection: &Connection, email: &Email) -> Result<String, NoticeError> {
    send_within(connection, email, TIMEOUT).await
}

async fn send_within(connection: &Connection, email: &Email, limit: Duration) -> Result<String, NoticeError> {
    let transport = transport(connection).map_err(NoticeError::ForGood)?;
    let message = message(connection, email).map_err(NoticeError::ForGood)?;
    let conn_id = &connection.conn_id;
    let Ok(sent) = tokio::time::timeout(limit, transport.send(message)).await else {
        return Err(NoticeError::Failed(format!(
            "the mail server of connection `{conn_id}` did not answer within {} s\nhint: is `tls` in the connection's extra right for its port? Port 465 needs `tls`, 587 `starttls`",
            limit.as_secs()
        )));
    };
    match sent {
        Ok(answer) => Ok(format!("the server took it: {}", answer.code())),
        Err(error) => {
            let text =
                format!("the mail server of connection `{conn_id}` did not take it: {}{}", chain(&error), hint(&error));
            Err(if error.is_permanent() { NoticeError::ForGood(text) } else { NoticeError::Failed(text) })
        }
    }
}

/// What helps with an error that people meet.
fn hint(error: &lettre::transport::smtp::Error) -> &'static str {
    let code = error.status().map(u16::from);
    let says = |words: &str| chain(error).contains(words);
    match code {
        Some(530 | 534 | 535) => "\nhint: are `login` and `password` of the connection right?",
        _ if says("STARTTLS is not supported") => {
            "\nhint: set `tls` in the connection's extra to `tls` (port 465), or to `none` for a server that has no encryption"
        }
        _ => "",
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
    if email.to.iter().chain(&email.cc).chain(&email.bcc).all(|text| text.trim_matches([' ', ',']).is_empty()) {
        return Err(
            "nobody is named as the recipient\nhint: does the template of `to` render to an address?".to_owned()
        );
    }
    let mut builder = Message::builder().from(mailbox(from)?).subject(one_line(&email.subject));
    for (list, kind) in [(&email.to, 0), (&email.cc, 1), (&email.bcc, 2)] {
        for address in list {
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
    let host = connection
        .host
        .clone()
        .ok_or_else(|| wrong("has no host\nhint: the host is the mail server's name".to_owned()))?;
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
        .timeout(Some(CONNECT_TIMEOUT));
    if let (Some(login), Some(password)) = (&connection.login, &connection.password) {
        let password = SecretText::expose(password).to_owned();
        builder = builder.credentials(Credentials::new(login.clone(), password));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests;
