//! Operators that ask people: what their types cannot say.

use flow_model::operator::{Approval, Form};
use flow_model::params::Params;
use flow_model::question::{Answer, Question};
use flow_model::suggest::{listed, nearest};
use serde_json::{Value, json};

use super::params;
use crate::diagnostic::Problems;
use crate::tree::Node;

/// The operator's table with its params as declarations: a plain value declares its type, as in the DAG's own params.
pub(super) fn with_declared_params(name: &str, node: &Node, mut table: Value, problems: &mut Problems) -> Value {
    if let (true, Some(written)) = (matches!(name, "approval" | "form"), node.get("params")) {
        table["params"] = json!(params::read(Some(written), problems));
    }
    table
}

pub(super) fn check_approval(approval: &Approval, node: &Node, problems: &mut Problems) {
    check_subject(&approval.subject, node, problems);
    let place = |key: &str| node.deepest(&[key]);
    for (index, (option, written)) in approval.options.iter().zip(place("options").items()).enumerate() {
        if option.trim().is_empty() {
            problems.add(written.span.clone(), "an option is empty").hint("write what its button says");
        } else if approval.options[..index].contains(option) {
            problems
                .add(written.span.clone(), format!("the option `{option}` is there twice"))
                .hint("keep one of them");
        }
    }
    for (key, chosen) in [("defaults", Some(&approval.defaults)), ("rejects", approval.rejects.as_ref())] {
        let unknown = chosen.into_iter().flatten().zip(place(key).items());
        for (option, written) in unknown.filter(|(option, _)| !approval.options.contains(option)) {
            let options = || approval.options.iter().map(String::as_str);
            let hint = match nearest(option, options()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the options are {}", listed(options())),
            };
            problems.add(written.span.clone(), format!("`{option}` is none of the options")).hint(hint);
        }
    }
    if approval.defaults.len() > 1 && !approval.multiple {
        problems
            .add(place("defaults").span.clone(), "only one option can be chosen")
            .hint("keep one of them, or set `multiple = true`");
    }
    if !approval.defaults.is_empty() {
        if approval.timeout.is_none() {
            problems
                .add(
                    place("defaults").span.clone(),
                    "`defaults` count when the time is over, but there is no `timeout`",
                )
                .absent(["timeout"])
                .hint("set `timeout = \"1d\"`, for instance");
        }
        check_default_answer(&approval.params, "defaults", node, problems);
    }
}

pub(super) fn check_form(form: &Form, node: &Node, problems: &mut Problems) {
    check_subject(&form.subject, node, problems);
    if form.params.is_empty() {
        problems
            .add(node.deepest(&["params"]).span.clone(), "the form has no fields")
            .absent(["params"])
            .hint("declare them in `params`, or ask for a decision with `approval`");
    }
    if form.defaults_on_timeout {
        if form.timeout.is_none() {
            problems
                .add(
                    node.deepest(&["defaults_on_timeout"]).span.clone(),
                    "there is no `timeout` after which defaults could count",
                )
                .absent(["timeout"])
                .hint("set `timeout = \"1d\"`, for instance");
        }
        check_default_answer(&form.params, "defaults_on_timeout", node, problems);
    }
}

fn check_subject(subject: &str, node: &Node, problems: &mut Problems) {
    if subject.trim().is_empty() {
        problems
            .add(node.deepest(&["subject"]).span.clone(), "the subject is empty")
            .hint("write the question in one line");
    }
}

/// Nobody is there to fill in what has no default.
fn check_default_answer(params: &Params, key: &str, node: &Node, problems: &mut Problems) {
    let question = Question { params: params.clone(), ..Question::default() };
    if let Err(found) = question.complete(&Answer::default()) {
        let names = found.iter().map(|problem| problem.name.as_str());
        problems
            .add(
                node.deepest(&[key]).span.clone(),
                format!("without an answer nothing gives a value to {}", listed(names)),
            )
            .hint("give it a `default` that fits, or allow `null`");
    }
}
