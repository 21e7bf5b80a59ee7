//! What was typed into a form, as values.

use flow_model::outside::has_nul;
use flow_model::params::{Param, ParamProblem, Params};
use serde_json::{Map, Value};

use super::{PARAM, Widget, choices_of, text_of};
use crate::texts;

/// A submitted form: names and texts in order; a name may be there several times.
#[derive(Debug, Default)]
pub(in crate::pages) struct Given(pub(in crate::pages) Vec<(String, String)>);

impl Given {
    /// Every text under a name.
    pub(in crate::pages) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, text)| text.as_str()).collect()
    }

    /// The last text under a name without space around it; empty where there is none.
    pub(in crate::pages) fn text(&self, name: &str) -> &str {
        self.all(name).last().map_or("", |text| text.trim())
    }
}

/// The values of a form, and everything that does not fit. A param that was not asked for is left out, so that its
/// default counts.
pub(in crate::pages) fn read_values(params: &Params, given: &Given) -> (Map<String, Value>, Vec<ParamProblem>) {
    let mut values = Map::new();
    let mut problems = Vec::new();
    for (name, param) in params.iter() {
        match read(param, &given.all(&format!("{PARAM}{name}"))) {
            // A param without a type takes JSON in any text.
            Ok(Some(value)) if has_nul(&value) => {
                let message = "it holds a NUL character, which no text here can hold".to_owned();
                problems.push(ParamProblem { name: name.to_owned(), message });
            }
            Ok(Some(value)) => {
                values.insert(name.to_owned(), value);
            }
            Ok(None) => {}
            Err(messages) => {
                problems.push(ParamProblem { name: name.to_owned(), message: messages.join("; ") });
            }
        }
    }
    (values, problems)
}

/// Whether nothing at all is a text that the param may have: plain text that has a default to be emptied.
pub(super) fn takes_empty_text(param: &Param, widget: Widget) -> bool {
    matches!(widget, Widget::Multiline | Widget::Input("text"))
        && param.kind() == "string"
        && matches!(param.word("format"), "" | "multiline")
        && param.default.is_some()
}

fn read(param: &Param, texts: &[&str]) -> Result<Option<Value>, Vec<String>> {
    let widget = Widget::of(param);
    let Some(text) = texts.last().filter(|_| widget != Widget::Fixed) else { return Ok(None) };
    // Browsers end lines of a text as RFC 5322 does.
    let text = text.replace("\r\n", "\n");
    if widget == Widget::Several {
        let values: Vec<Value> =
            texts.iter().filter(|text| !text.is_empty()).map(|text| chosen(param, widget, text)).collect();
        return checked(param, Value::Array(values));
    }
    if text.trim().is_empty() && (param.is_nullable() || !takes_empty_text(param, widget)) {
        let is_choice = choices_of(param, widget).iter().any(|choice| choice == "");
        return match widget {
            Widget::Lines if !param.is_nullable() => checked(param, Value::Array(Vec::new())),
            Widget::Select if is_choice => checked(param, Value::String(String::new())),
            _ if param.is_nullable() => Ok(Some(Value::Null)),
            _ => Err(vec!["a value is needed".to_owned()]),
        };
    }
    match widget {
        Widget::Select => checked(param, chosen(param, widget, &text)),
        Widget::Checkbox => checked(param, Value::Bool(text == "true")),
        Widget::Lines => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            checked(param, Value::Array(lines.map(|line| Value::String(line.to_owned())).collect()))
        }
        Widget::Json => match texts::json_inside(&text) {
            Ok(value) => checked(param, value),
            Err(message) => Err(vec![message]),
        },
        Widget::Input("datetime-local") => checked(param, Value::String(with_offset(text.trim()))),
        Widget::Input("number") => param.read_text(text.trim()).map(Some),
        Widget::Multiline | Widget::Input(_) | Widget::Several | Widget::Fixed => param.read_text(&text).map(Some),
    }
}

fn checked(param: &Param, value: Value) -> Result<Option<Value>, Vec<String>> {
    param.check(&value).map(|()| Some(value))
}

/// The value that an option stands for; what was never offered is refused by the schema.
fn chosen(param: &Param, widget: Widget, text: &str) -> Value {
    choices_of(param, widget)
        .into_iter()
        .find(|choice| text_of(choice) == text)
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A browser's local date and time, which is meant in UTC, as an instant.
pub(in crate::pages) fn with_offset(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00Z"),
        19 | 21..=23 if !text.ends_with(['Z', 'z']) => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(schema: Value, texts: &[&str]) -> Result<Option<Value>, Vec<String>> {
        read(&serde_json::from_value(schema).unwrap(), texts)
    }

    #[test]
    fn each_element_gives_a_value_of_its_type() {
        for (schema, texts, expected) in [
            (json!({ "type": "boolean" }), vec!["false"], json!(false)),
            (json!({ "type": "boolean" }), vec!["false", "true"], json!(true)),
            (json!({ "type": ["boolean", "null"] }), vec![""], json!(null)),
            (json!({ "type": ["boolean", "null"] }), vec!["false"], json!(false)),
            (json!({ "type": "integer" }), vec![" 7 "], json!(7)),
            (json!({ "type": "number" }), vec!["0.5"], json!(0.5)),
            (json!({ "enum": [1, 2] }), vec!["2"], json!(2)),
            (json!({ "type": ["string", "null"], "enum": ["a"] }), vec![""], json!(null)),
            (json!({ "type": "string", "default": "x" }), vec![""], json!("")),
            (json!({ "type": ["string", "null"], "default": "x" }), vec![""], json!(null)),
            (json!({ "type": "string", "format": "multiline" }), vec!["a\r\nb"], json!("a\nb")),
            (json!({ "type": "string", "format": "date" }), vec!["2026-01-31"], json!("2026-01-31")),
            (
                json!({ "type": "string", "format": "date-time" }),
                vec!["2026-01-31T06:00"],
                json!("2026-01-31T06:00:00Z"),
            ),
            (json!({ "type": "string", "format": "time" }), vec!["06:00"], json!("06:00")),
            (json!({ "type": "array", "items": { "type": "string" } }), vec!["a\r\n\r\n b "], json!(["a", "b"])),
            (json!({ "type": "array", "items": { "type": "string" } }), vec![""], json!([])),
            (json!({ "type": "array", "items": { "enum": [1, 2, 3] } }), vec!["", "1", "3"], json!([1, 3])),
            (json!({ "type": "array", "examples": ["a"] }), vec![""], json!([])),
            (json!({ "type": "object" }), vec!["{\"a\": 1}"], json!({ "a": 1 })),
            (json!({}), vec!["[1]"], json!([1])),
            (json!({}), vec!["plain"], json!("plain")),
        ] {
            assert_eq!(one(schema.clone(), &texts), Ok(Some(expected)), "{schema} {texts:?}");
        }
        assert_eq!(one(json!({ "const": 1 }), &["2"]), Ok(None));
        assert_eq!(one(json!({ "type": "integer" }), &[]), Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (schema, text, part) in [
            (json!({ "type": "integer" }), "", "a value is needed"),
            (json!({ "type": "integer", "default": 1 }), "", "a value is needed"),
            (json!({ "type": "string" }), "", "a value is needed"),
            (json!({ "type": "integer" }), "1,5", "not of type"),
            (json!({ "enum": ["a"] }), "b", "not one of"),
            (json!({ "type": "object" }), "{", "this is not JSON"),
            (json!({ "type": "string", "format": "date" }), "31.1.2026", "is not a \"date\""),
            (json!({ "type": "array", "items": { "enum": [1, 2] } }), "9", "not one of"),
        ] {
            let messages = one(schema.clone(), &[text]).unwrap_err();
            assert!(messages[0].contains(part), "{schema} {text}: {messages:?}");
        }
    }
}
