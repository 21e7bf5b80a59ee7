//! The keys of a task that are about its attempts: `run_if`, `failure_rules`, `repeat`, `outputs`.

use std::ops::Range;

use flow_model::control::{AttemptControl, FailureAction, FailureRule, Repeat, check_schema, compile};
use flow_model::outside::is_step;
use flow_model::suggest::listed;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use crate::diagnostic::Problems;
use crate::spec::{DurationSpec, TaskSettings};
use crate::tree::Node;

/// Operators whose work can be done again with another outcome.
const REPEATABLE: [&str; 7] = ["bash", "command", "python", "http", "plugin", "docker", "kubernetes_pod"];

/// Operators that leave no value: see [`flow_model::operator::Operator::leaves_value`].
const WITHOUT_VALUE: [&str; 7] = [
    "noop",
    "sleep",
    "time_sensor",
    "date_time_sensor",
    "time_delta_sensor",
    "day_of_week_sensor",
    "external_task_sensor",
];

const CODES_HINT: &str = "write codes like `75`, ranges like `\"100-110\"`, or a list of them";

/// What one kind of failure means.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailureRuleSpec {
    /// Exit codes (of `http`: status codes), or ranges such as `"100-110"`. Without them, any.
    #[serde(default)]
    #[schemars(schema_with = "codes_schema")]
    pub exit_code: Option<Value>,
    /// A regular expression that a line of the output has to match.
    #[serde(default)]
    #[schemars(extend("x-template" = "documentation"))]
    pub output: Option<String>,
    /// What happens: `retry`, `fail` (no retry) or `skip`.
    pub action: FailureAction,
    /// Time before the retry, instead of `retry_delay`.
    #[serde(default)]
    pub delay: Option<DurationSpec>,
    /// Why, in words.
    #[serde(default)]
    #[schemars(extend("x-template" = "prose"))]
    pub reason: Option<String>,
}

/// Does the work again until a condition holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepeatSpec {
    /// A template that knows `output` and `iteration`.
    #[schemars(extend("x-template" = "value"))]
    pub until: String,
    /// Time between two iterations.
    pub every: DurationSpec,
    /// Iterations at most (default: 100).
    #[serde(default = "default_max")]
    #[schemars(range(min = 1))]
    pub max: u32,
}

fn default_max() -> u32 {
    100
}

fn codes_schema(_: &mut SchemaGenerator) -> Schema {
    let one = serde_json::json!([{ "type": "integer", "minimum": 0 }, { "type": "string" }]);
    json_schema!({ "anyOf": [one[0], one[1], { "type": "array", "minItems": 1, "items": { "anyOf": one } }] })
}

pub(crate) fn outputs_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "object" } })
}

/// What the settings of a task say about its attempts. What cannot be read has been complained about.
pub(crate) fn read(settings: &TaskSettings) -> AttemptControl {
    AttemptControl {
        run_if: settings.run_if.clone(),
        failure_rules: settings.failure_rules.iter().flatten().map(rule).collect(),
        repeat: settings.repeat.as_ref().map(|repeat| Repeat {
            until: repeat.until.clone(),
            every: repeat.every.0,
            max: repeat.max,
        }),
        outputs: settings.outputs.clone().unwrap_or_default(),
    }
}

fn rule(spec: &FailureRuleSpec) -> FailureRule {
    FailureRule {
        exit_code: spec
            .exit_code
            .as_ref()
            .map(|codes| codes_of(codes).into_iter().flatten().collect())
            .unwrap_or_default(),
        output: spec.output.clone(),
        action: spec.action,
        delay: spec.delay.map(|delay| delay.0),
        reason: spec.reason.clone(),
    }
}

/// The ranges that were written; `None` for what is none.
fn codes_of(written: &Value) -> Vec<Option<(i32, i32)>> {
    match written {
        Value::Array(several) => several.iter().map(code).collect(),
        one => vec![code(one)],
    }
}

fn code(written: &Value) -> Option<(i32, i32)> {
    let range = match written {
        Value::Number(number) => {
            let code = number.as_i64().and_then(|code| i32::try_from(code).ok())?;
            (code, code)
        }
        Value::String(text) => {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            (from.trim().parse().ok()?, to.trim().parse().ok()?)
        }
        _ => return None,
    };
    (0 <= range.0 && range.0 <= range.1).then_some(range)
}

/// Notes what the schema cannot say about the keys of a task or of `default_args`.
pub(crate) fn check(settings: &Node, problems: &mut Problems) {
    for rule in settings.get("failure_rules").map(Node::items).unwrap_or_default() {
        check_rule(rule, problems);
    }
    for output in settings.get("outputs").map(Node::entries).unwrap_or_default() {
        if let Err(why) = check_schema(&output.node.to_json()) {
            problems
                .add(
                    output.node.span.clone(),
                    format!("the output `{}` is not declared by a JSON Schema: {why}", output.key),
                )
                .hint("for instance `{ type = \"object\", required = [\"rows\"] }`; `{}` allows everything");
        }
    }
    check_names(settings, problems);
    let until = settings.get("repeat").and_then(|repeat| repeat.get("until"));
    for (what, node) in [("run_if", settings.get("run_if")), ("until", until)] {
        if let Some(node) = node
            && let Some(text) = node.text()
            && !text.contains("{{")
            && !text.contains("{%")
        {
            problems
                .add(node.span.clone(), format!("`{what}` is no template, so it always says the same"))
                .hint(format!("write a condition such as {what} = \"{{{{ params.full }}}}\""));
        }
    }
}

/// `.` and `..` would lead out of their place in paths and URLs.
fn check_names(settings: &Node, problems: &mut Problems) {
    let mut refuse = |span: &Range<usize>, name: &str, what: &str| {
        if is_step(name) {
            problems
                .add(span.clone(), format!("`{name}` is not usable as the name of {what}"))
                .hint("`.` and `..` mean folders in paths and URLs: add a letter");
        }
    };
    for (key, what) in [("pool", "a pool"), ("queue", "a queue")] {
        if let Some(node) = settings.get(key) {
            refuse(&node.span, node.text().unwrap_or_default(), what);
        }
    }
    for output in settings.get("outputs").map(Node::entries).unwrap_or_default() {
        refuse(&output.key_span, &output.key, "an XCom");
    }
}

fn check_rule(rule: &Node, problems: &mut Problems) {
    if let Some(node) = rule.get("exit_code")
        && codes_of(&node.to_json()).iter().any(Option::is_none)
    {
        problems.add(node.span.clone(), "these are not exit codes").hint(CODES_HINT);
    }
    if let Some(node) = rule.get("output")
        && let Some(text) = node.text()
        && let Err(why) = compile(text)
    {
        problems
            .add(node.span.clone(), format!("`{text}` is not a regular expression: {why}"))
            .hint("characters such as ( [ + * ? stand for themselves after a backslash; in '...' it needs no doubling");
    }
    let action = rule.get("action").and_then(Node::text);
    if let Some(delay) = rule.get("delay")
        && action.is_some_and(|action| action != "retry")
    {
        problems
            .add(delay.span.clone(), "only a retry has a delay")
            .hint("take the `delay` away, or set action = \"retry\"");
    }
}

/// Notes what cannot be used with the task's operator.
pub(crate) fn check_operator(task: &Node, operator: &str, problems: &mut Problems) {
    let is_refused = |key: &str| match key {
        "repeat" => !REPEATABLE.contains(&operator),
        _ => WITHOUT_VALUE.contains(&operator),
    };
    for (key, hint) in [
        ("repeat", format!("it is for the operators {}", listed(REPEATABLE))),
        ("outputs", "it declares the values that a task leaves, and this operator leaves none".to_owned()),
    ] {
        if let Some(entry) = task.entry(key).filter(|_| is_refused(key)) {
            problems.add(entry.key_span.clone(), format!("`{key}` cannot be used with `{operator}`")).hint(hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check_text;
    use crate::schema::OPERATORS;

    #[test]
    fn outputs_are_for_the_operators_that_leave_a_value() {
        for section in crate::reference::sections().into_iter().filter(|section| section.short_form.is_some()) {
            let file = check_text("x.toml", &section.example.unwrap_or_default(), None);
            let checked = file.result.unwrap_or_else(|problems| panic!("{}: {problems:?}", section.name));
            let tasks = checked.dag.tasks.iter().filter(|task| task.operator.name() == section.name);
            let leaves: Vec<bool> = tasks.map(|task| task.operator.leaves_value()).collect();
            assert!(!leaves.is_empty(), "the example of `{}` is about something else", section.name);
            let is_allowed = !WITHOUT_VALUE.contains(&section.name.as_str());
            assert!(leaves.iter().all(|leaves| *leaves == is_allowed), "{}", section.name);
        }
        let is_known = |name: &&str| OPERATORS.iter().any(|form| form.name == *name);
        assert!(WITHOUT_VALUE.iter().chain(&REPEATABLE).all(is_known));
    }
}
