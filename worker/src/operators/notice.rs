//! `webhook`, `slack`, `email`, as operators and as notifiers of callbacks: messages with every template rendered.

use flow_model::operator::{Email, Http, Slack, Webhook};
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use super::http::{self, HttpWork};
use crate::template::{Renderer, TemplateError};

/// A message to send.
#[derive(Debug)]
pub enum Notice {
    /// A JSON message to a URL, signed with the key in a variable if it names one.
    Webhook {
        /// The request.
        request: Box<HttpWork>,
        /// The variable.
        secret: Option<String>,
    },
    /// A message to a Slack channel.
    Slack {
        /// The connection that knows the address.
        connection: String,
        /// The text, in Slack's markup.
        text: String,
    },
    /// An e-mail.
    Email(Box<Email>),
}

/// `what`: what is told where the webhook has no message of its own.
pub(crate) fn webhook(
    webhook: &Webhook,
    what: Value,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Notice, TemplateError> {
    let json = match &webhook.json {
        Some(json) => renderer.json("json", json)?,
        None => what,
    };
    let mut request = Http::to(webhook.url.clone());
    "POST".clone_into(&mut request.method);
    request.connection.clone_from(&webhook.connection);
    request.headers.clone_from(&webhook.headers);
    request.timeout = webhook.timeout;
    let mut request = http::prepare(&request, renderer, rendered)?;
    request.set_json(&json);
    rendered.insert("json".to_owned(), json);
    Ok(Notice::Webhook { request: Box::new(request), secret: webhook.secret.clone() })
}

/// What values hold is text in Slack, never a mention or a link (Slack's "Escaping text").
pub(crate) fn slack(
    slack: &Slack,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Notice, TemplateError> {
    let text = renderer
        .escaped("text", &slack.text, |value| value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))?;
    rendered.insert("text".to_owned(), json!(text));
    Ok(Notice::Slack { connection: slack.connection.clone(), text })
}

pub(crate) fn email(
    email: &Email,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Notice, TemplateError> {
    let each = |field: &str, texts: &[String]| {
        let lists =
            texts.iter().map(|text| renderer.addresses(field, text)).collect::<Result<Vec<_>, TemplateError>>()?;
        Ok(lists.concat())
    };
    let optional =
        |field: &str, text: &Option<String>| text.as_ref().map(|text| renderer.text(field, text)).transpose();
    let from = email.from.as_ref().map(|from| renderer.addresses("from", from)).transpose()?;
    let escape = |value: &str| {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        value.replace('"', "&quot;").replace('\'', "&#39;")
    };
    let html = email.html.as_ref().map(|html| renderer.escaped("html", html, escape)).transpose()?;
    let email = Email {
        connection: email.connection.clone(),
        to: each("to", &email.to)?,
        cc: each("cc", &email.cc)?,
        bcc: each("bcc", &email.bcc)?,
        from: from.map(|from| from.join(", ")),
        subject: renderer.text("subject", &email.subject)?,
        text: optional("text", &email.text)?,
        html,
    };
    rendered.insert("to".to_owned(), json!(email.to));
    rendered.insert("subject".to_owned(), json!(email.subject));
    rendered.insert("text".to_owned(), json!(email.text));
    Ok(Notice::Email(Box::new(email)))
}

/// What a webhook without a message of its own tells of a task instance, in Airflow's names.
pub(crate) fn what(order: &WorkOrder) -> Value {
    let task_id = Some(&order.task().task_id).filter(|task_id| !task_id.is_empty());
    json!({
        "dag_id": order.graph.dag.dag_id, "dag_run_id": order.run_id, "task_id": task_id,
        "map_index": order.map_index, "try_number": order.try_number, "logical_date": order.logical_date,
    })
}
