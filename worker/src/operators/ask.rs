//! Operators that ask people: their texts are rendered, and the task waits for the answer outside the worker.

use flow_model::Timestamp;
use flow_model::operator::{Approval, Form};
use flow_model::question::{Answer, Question};
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

pub(super) fn approval(
    approval: &Approval,
    now: Timestamp,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Question, TemplateError> {
    let (subject, body) = texts(&approval.subject, approval.body.as_deref(), renderer, rendered)?;
    let question = Question {
        subject,
        body,
        options: approval.options.clone(),
        multiple: approval.multiple,
        rejects: approval.rejecting(),
        fail_on_reject: approval.fail_on_reject,
        params: approval.params.clone(),
        assignees: approval.assignees.clone(),
        default: None,
        deadline_at: approval.timeout.map(|timeout| now + timeout),
        ..Question::default()
    };
    let chosen_options = approval.defaults.clone();
    let default = (!chosen_options.is_empty()).then(|| Answer { chosen_options, ..Answer::default() });
    Ok(Question { default, ..question })
}

pub(super) fn form(
    form: &Form,
    now: Timestamp,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Question, TemplateError> {
    let (subject, body) = texts(&form.subject, form.body.as_deref(), renderer, rendered)?;
    Ok(Question {
        subject,
        body,
        params: form.params.clone(),
        assignees: form.assignees.clone(),
        default: form.defaults_on_timeout.then(Answer::default),
        deadline_at: form.timeout.map(|timeout| now + timeout),
        ..Question::default()
    })
}

fn texts(
    subject: &str,
    body: Option<&str>,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<(String, Option<String>), TemplateError> {
    let subject: String = renderer.text("subject", subject)?.split_whitespace().collect::<Vec<_>>().join(" ");
    rendered.insert("subject".to_owned(), json!(subject));
    let body = body.map(|body| renderer.markdown("body", body)).transpose()?;
    rendered.extend(body.as_ref().map(|body| ("body".to_owned(), json!(body))));
    Ok((subject, body))
}
