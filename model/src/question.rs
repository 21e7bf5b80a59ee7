//! Questions that tasks ask people, and what an answer means for the task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::params::{ParamProblem, Params, resolve_params};
use crate::time::Timestamp;

/// The option that an approval is refused with, unless it says otherwise.
pub const REJECT: &str = "Reject";

/// The name under which problems with the chosen options are told.
pub const CHOSEN_OPTIONS: &str = "chosen_options";

/// A question, rendered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// One line.
    pub subject: String,
    /// Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// What can be chosen; none for a form that is only filled in.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether more than one can be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// Options that refuse.
    #[serde(default)]
    pub rejects: Vec<String>,
    /// A refusal fails the task instead of skipping it.
    #[serde(default)]
    pub fail_on_reject: bool,
    /// What is to be filled in.
    #[serde(default)]
    pub params: Params,
    /// Who may answer; empty: everybody who is logged in.
    #[serde(default)]
    pub assignees: Vec<String>,
    /// The answer when nobody gives one in time; without it the task fails then.
    #[serde(default)]
    pub default: Option<Answer>,
    /// When the time is over.
    #[serde(default)]
    pub deadline_at: Option<Timestamp>,
    /// What the task must leave.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was chosen.
    #[serde(default)]
    pub chosen_options: Vec<String>,
    /// What was filled in.
    #[serde(default)]
    pub params_input: Map<String, Value>,
}

/// What an answer makes of the task.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It succeeds, and leaves these values by key.
    Succeed(Vec<(&'static str, Value)>),
    /// It is skipped, and with it what only runs after its success.
    Skip,
    /// It fails.
    Fail,
}

impl Question {
    /// Whether this person may answer.
    pub fn may_answer(&self, principal: &str) -> bool {
        self.assignees.is_empty() || self.assignees.iter().any(|assignee| assignee == principal)
    }

    /// Completes an answer with defaults of what was left out, and checks it.
    ///
    /// # Errors
    /// Everything that does not fit, under the names of the params or `chosen_options`.
    pub fn complete(&self, answer: &Answer) -> Result<Answer, Vec<ParamProblem>> {
        let mut problems: Vec<ParamProblem> = Vec::new();
        if let Some(message) = self.wrong_choice(&answer.chosen_options) {
            problems.push(ParamProblem { name: CHOSEN_OPTIONS.to_owned(), message });
        }
        for name in answer.params_input.keys().filter(|name| self.params.get(name).is_none()) {
            let message = "the question does not ask for it".to_owned();
            problems.push(ParamProblem { name: name.clone(), message });
        }
        let params_input = resolve_params(&self.params, &answer.params_input).unwrap_or_else(|found| {
            problems.extend(found);
            Map::new()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Answer { chosen_options: answer.chosen_options.clone(), params_input })
    }

    fn wrong_choice(&self, chosen: &[String]) -> Option<String> {
        let listed = self.options.iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", ");
        if let Some(unknown) = chosen.iter().find(|option| !self.options.contains(option)) {
            let there_are = if listed.is_empty() { "it has no options".to_owned() } else { format!("it has {listed}") };
            return Some(format!("`{unknown}` is none of the question's options; {there_are}"));
        }
        match chosen.len() {
            0 if !self.options.is_empty() => Some(format!("choose one of {listed}")),
            2.. if !self.multiple => Some(format!("choose only one of {listed}")),
            _ => None,
        }
    }

    /// What a complete answer makes of the task.
    pub fn decide(&self, answer: &Answer) -> Decision {
        if answer.chosen_options.iter().any(|option| self.rejects.contains(option)) {
            return if self.fail_on_reject { Decision::Fail } else { Decision::Skip };
        }
        let output = match self.options.is_empty() {
            true => json!(answer.params_input),
            false => json!(answer),
        };
        Decision::Succeed(vec![
            ("return_value", output),
            ("chosen_options", json!(answer.chosen_options)),
            ("params_input", json!(answer.params_input)),
        ])
    }
}

impl Answer {
    /// In a few words, for logs: `Approve; amount = 3`.
    pub fn summary(&self) -> String {
        let filled = self.params_input.iter().map(|(name, value)| format!("{name} = {value}"));
        let parts: Vec<String> = self.chosen_options.iter().cloned().chain(filled).collect();
        if parts.is_empty() { "nothing to fill in".to_owned() } else { parts.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Question {
        Question {
            subject: "Deploy?".to_owned(),
            options: vec!["Approve".to_owned(), REJECT.to_owned()],
            rejects: vec![REJECT.to_owned()],
            params: serde_json::from_value(json!({
                "note": { "type": ["string", "null"] },
                "share": { "type": "number", "maximum": 1, "default": 1 },
            }))
            .unwrap(),
            ..Question::default()
        }
    }

    fn answer(chosen: &[&str], input: Value) -> Answer {
        serde_json::from_value(json!({ "chosen_options": chosen, "params_input": input })).unwrap()
    }

    #[test]
    fn an_answer_is_completed_and_decides() {
        let complete = approval().complete(&answer(&["Approve"], json!({ "share": 0.5 }))).unwrap();
        assert_eq!(complete, answer(&["Approve"], json!({ "note": null, "share": 0.5 })));
        let Decision::Succeed(values) = approval().decide(&complete) else { panic!("it is approved") };
        assert_eq!(
            values[0],
            ("return_value", json!({ "chosen_options": ["Approve"], "params_input": { "note": null, "share": 0.5 } }))
        );
        assert_eq!(values[1], ("chosen_options", json!(["Approve"])));
        assert_eq!(approval().decide(&answer(&[REJECT], json!({}))), Decision::Skip);
        let strict = Question { fail_on_reject: true, ..approval() };
        assert_eq!(strict.decide(&answer(&[REJECT], json!({}))), Decision::Fail);
        let form = Question { options: Vec::new(), rejects: Vec::new(), ..approval() };
        let filled = form.complete(&answer(&[], json!({ "note": "x" }))).unwrap();
        let Decision::Succeed(values) = form.decide(&filled) else { panic!("it is filled in") };
        assert_eq!(values[0], ("return_value", json!({ "note": "x", "share": 1 })));
    }

    #[test]
    fn every_problem_of_an_answer_is_told() {
        let problems = approval().complete(&answer(&["Maybe"], json!({ "share": 2, "colour": "red" }))).unwrap_err();
        let names: Vec<&str> = problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names, [CHOSEN_OPTIONS, "colour", "share"]);
        assert!(problems[0].message.contains("it has `Approve`, `Reject`"), "{problems:?}");
        let wrong = |chosen: &[&str]| approval().complete(&answer(chosen, json!({}))).unwrap_err()[0].message.clone();
        assert!(wrong(&[]).starts_with("choose one of"));
        assert!(wrong(&["Approve", REJECT]).starts_with("choose only one of"));
        let several = Question { multiple: true, ..approval() };
        assert!(several.complete(&answer(&["Approve", REJECT], json!({}))).is_ok());
    }

    #[test]
    fn assignees_may_answer_and_nobody_else() {
        let question = Question { assignees: vec!["ada".to_owned()], ..approval() };
        assert!(question.may_answer("ada") && !question.may_answer("bob"));
        assert!(approval().may_answer("bob"));
    }
}
