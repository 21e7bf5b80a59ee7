//! What a task says about its attempts, whatever its operator: whether there is anything to do, what a failure means, when
//! work has to be repeated, and what must come out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::named_enum;
use crate::time::duration_text;

/// Bytes that a compiled expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Settings about a task's attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptControl {
    /// A template; where it says no, the task is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_if: Option<String>,
    /// What failures mean; the first rule that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_rules: Vec<FailureRule>,
    /// Does the work again until a condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// XComs that the task must leave, with their JSON Schemas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
}

/// A loop over successful executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// A template that knows `output` and `iteration`; the loop ends when it says yes.
    pub until: String,
    /// Between the end of an iteration and the next.
    #[serde(with = "duration_text")]
    pub every: Duration,
    /// Iterations at most; after them the task fails.
    pub max: u32,
}

named_enum!(
    /// What happens after a failure.
    FailureAction {
        /// It is tried again while retries are left.
        Retry = "retry",
        /// It has failed, whatever retries are left.
        Fail = "fail",
        /// The task is skipped.
        Skip = "skip",
    }
);

/// What one kind of failure means. A failure matches if it fits every condition that the rule has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureRule {
    /// Exit codes, or status codes of HTTP, as ranges with both ends included. Empty: any, and failures without a code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_code: Vec<(i32, i32)>,
    /// A regular expression that a line of the output has to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What happens.
    pub action: FailureAction,
    /// Before the retry, instead of the task's `retry_delay`.
    #[serde(default, with = "duration_text::option", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// Why, in words; without it, what went wrong is told as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The expression of [`FailureRule::output`].
///
/// # Errors
/// In words, with what is wrong: it is no regular expression, or too large.
pub fn compile(expression: &str) -> Result<Regex, String> {
    RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        error => {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    })
}

/// Looks for what the rules of a task look for in its output, line by line.
#[derive(Debug)]
pub struct FailureWatch<'a> {
    rules: Vec<(&'a FailureRule, Option<Regex>, bool)>,
}

impl<'a> FailureWatch<'a> {
    /// A watch over rules whose expressions have been checked; one that is broken all the same never matches.
    pub fn new(rules: &'a [FailureRule]) -> Self {
        let prepared =
            rules.iter().map(|rule| (rule, rule.output.as_deref().and_then(|text| compile(text).ok()), false));
        FailureWatch { rules: prepared.collect() }
    }

    /// Takes in a line of output.
    pub fn line(&mut self, text: &str) {
        for (_, expression, is_seen) in &mut self.rules {
            *is_seen = *is_seen || expression.as_ref().is_some_and(|expression| expression.is_match(text));
        }
    }

    /// The rule that decides about a failure with this code.
    pub fn decide(&self, code: Option<i32>) -> Option<&'a FailureRule> {
        let fits = |rule: &FailureRule, is_seen: bool| {
            let fits_code = rule.exit_code.is_empty()
                || code.is_some_and(|code| rule.exit_code.iter().any(|(from, to)| (*from..=*to).contains(&code)));
            fits_code && (rule.output.is_none() || is_seen)
        };
        self.rules.iter().find(|(rule, _, is_seen)| fits(rule, *is_seen)).map(|(rule, ..)| *rule)
    }
}

/// Checks that a JSON Schema of [`AttemptControl::outputs`] can be used.
///
/// # Errors
/// What is wrong with it.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    jsonschema::meta::validate(schema).map_err(|error| error.to_string())?;
    jsonschema::validator_for(schema).map(drop).map_err(|error| error.to_string())
}

/// Compares what a task has left with what it has declared.
///
/// # Errors
/// Everything that is missing or does not fit, one line each, and a hint.
pub fn check_outputs(declared: &BTreeMap<String, Value>, given: &BTreeMap<String, Value>) -> Result<(), String> {
    let mut problems = Vec::new();
    for (key, schema) in declared {
        let Some(value) = given.get(key) else {
            problems.push(format!("the declared output `{key}` is missing"));
            continue;
        };
        match jsonschema::validator_for(schema) {
            Ok(validator) => problems.extend(validator.iter_errors(value).map(|error| {
                let path = error.instance_path().to_string();
                let place = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
                format!("the output `{key}` does not fit its declaration{place}: {}", shortened(&error.to_string()))
            })),
            Err(error) => problems.push(format!("the declaration of the output `{key}` is not usable: {error}")),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.push("hint: the task's `outputs` say what it must leave".to_owned());
    Err(problems.join("\n"))
}

/// Messages quote the value, which may be large.
fn shortened(message: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    match message.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(exit_code: &[(i32, i32)], output: Option<&str>, action: FailureAction) -> FailureRule {
        let output = output.map(str::to_owned);
        FailureRule { exit_code: exit_code.to_vec(), output, action, delay: None, reason: None }
    }

    fn decided(rules: &[FailureRule], lines: &[&str], code: Option<i32>) -> Option<FailureAction> {
        let mut watch = FailureWatch::new(rules);
        lines.iter().for_each(|line| watch.line(line));
        watch.decide(code).map(|rule| rule.action)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = [
            rule(&[(75, 75), (100, 110)], None, FailureAction::Retry),
            rule(&[(1, 1)], Some("^no rows"), FailureAction::Skip),
            rule(&[], Some("denied"), FailureAction::Fail),
        ];
        assert_eq!(decided(&rules, &["access denied"], Some(75)), Some(FailureAction::Retry));
        assert_eq!(decided(&rules, &[], Some(110)), Some(FailureAction::Retry));
        assert_eq!(decided(&rules, &[], Some(111)), None);
        assert_eq!(decided(&rules, &["x", "no rows today"], Some(1)), Some(FailureAction::Skip));
        assert_eq!(decided(&rules, &["there are no rows"], Some(1)), None);
        assert_eq!(decided(&rules, &["access denied"], None), Some(FailureAction::Fail));
        assert_eq!(decided(&[rule(&[], None, FailureAction::Fail)], &[], Some(2)), Some(FailureAction::Fail));
    }

    #[test]
    fn expressions_are_checked() {
        assert!(compile("a+").is_ok());
        assert_eq!(compile("a(").unwrap_err(), "unclosed group");
        assert_eq!(compile("(a{1000}){1000}").unwrap_err(), "it is too large");
    }

    #[test]
    fn outputs_are_compared_with_their_declaration() {
        let declared: BTreeMap<String, Value> = serde_json::from_value(json!({
            "return_value": { "type": "object", "required": ["rows"], "properties": { "rows": { "type": "array",
                "items": { "type": "integer" } } } },
            "note": {},
        }))
        .unwrap();
        let check = |given: Value| check_outputs(&declared, &serde_json::from_value(given).unwrap());
        assert_eq!(check(json!({ "return_value": { "rows": [1] }, "note": null, "more": 1 })), Ok(()));
        assert_eq!(
            check(json!({ "return_value": { "rows": [1, "x"] } })).unwrap_err(),
            "the declared output `note` is missing\n\
             the output `return_value` does not fit its declaration at `/rows/1`: \"x\" is not of type \"integer\"\n\
             hint: the task's `outputs` say what it must leave"
        );
        let long = check(json!({ "return_value": "x".repeat(10_000), "note": 1 })).unwrap_err();
        assert!(long.len() < 500, "{long}");
        assert!(check_schema(&json!({ "type": "strin" })).is_err());
        assert_eq!(check_schema(&declared["return_value"]), Ok(()));
    }
}
