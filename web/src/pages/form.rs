//! A form made from declared params: which element asks for which value, and what was typed into it before.

mod read;

use flow_model::params::{FORMATS, Param, ParamProblem, Params};
use serde_json::Value;

use crate::markdown::{markdown, plain};

pub(super) use read::{Given, read_values, with_offset};

/// The prefix of the names of fields that are params.
const PARAM: &str = "param:";

/// Fields under one heading; the first section has none.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) fields: Vec<Field>,
}

/// One param in the form.
pub(super) struct Field {
    /// Unique on the page.
    pub(super) id: String,
    /// The name of the element.
    pub(super) input: String,
    pub(super) label: String,
    /// What is expected, in a few words.
    pub(super) expects: String,
    /// HTML, made from `description_md` or `description`.
    pub(super) about: String,
    pub(super) widget: Widget,
    /// The text in the element.
    pub(super) value: String,
    pub(super) choices: Vec<Choice>,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) is_required: bool,
    pub(super) is_nullable: bool,
    /// What is wrong with what was typed.
    pub(super) problem: String,
}

/// A value to choose.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) is_chosen: bool,
}

/// The element that asks for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Widget {
    /// There is only one value.
    Fixed,
    /// One of a list.
    Select,
    /// Any number of a list.
    Several,
    /// Yes or no.
    Checkbox,
    /// Text of several lines.
    Multiline,
    /// A list of texts, one on each line.
    Lines,
    /// JSON.
    Json,
    /// `<input>` of a type.
    Input(&'static str),
}

impl Widget {
    /// The element for a param.
    pub(super) fn of(param: &Param) -> Widget {
        let has = |keyword: &str| param.schema.get(keyword).is_some_and(Value::is_array);
        if param.schema.contains_key("const") {
            return Widget::Fixed;
        }
        match param.kind() {
            _ if has("enum") => Widget::Select,
            "boolean" if param.is_nullable() => Widget::Select,
            "boolean" => Widget::Checkbox,
            "integer" | "number" => Widget::Input("number"),
            "array" if has("examples") || items(param, "enum").is_some_and(Value::is_array) => Widget::Several,
            "array" if items(param, "type").is_some_and(|kind| kind == "string") => Widget::Lines,
            "array" | "object" => Widget::Json,
            "string" => match param.word("format") {
                "multiline" => Widget::Multiline,
                "date" => Widget::Input("date"),
                "date-time" => Widget::Input("datetime-local"),
                "time" => Widget::Input("time"),
                "email" => Widget::Input("email"),
                "uri" => Widget::Input("url"),
                _ => Widget::Input("text"),
            },
            _ => Widget::Input("text"),
        }
    }

    fn input_type(self) -> &'static str {
        match self {
            Widget::Input(kind) => kind,
            _ => "",
        }
    }
}

impl Field {
    /// What is said about it besides its label.
    pub(super) fn described_by(&self) -> String {
        let problem = if self.problem.is_empty() { String::new() } else { format!("{}-problem ", self.id) };
        format!("{problem}{}-about", self.id)
    }

    pub(super) fn input_type(&self) -> &'static str {
        self.widget.input_type()
    }
}

/// A keyword of the items of a list.
fn items<'a>(param: &'a Param, keyword: &str) -> Option<&'a Value> {
    param.schema.get("items").and_then(|items| items.get(keyword))
}

/// The values that an element lets choose from.
fn choices_of(param: &Param, widget: Widget) -> Vec<Value> {
    let listed = match widget {
        Widget::Select if param.kind() == "boolean" && !param.schema.contains_key("enum") => {
            return vec![Value::Bool(true), Value::Bool(false)];
        }
        Widget::Select => param.schema.get("enum"),
        Widget::Several => items(param, "enum").or_else(|| param.schema.get("examples")),
        _ => param.schema.get("examples"),
    };
    let listed = listed.and_then(Value::as_array).cloned().unwrap_or_default();
    listed.into_iter().filter(|value| !value.is_null()).collect()
}

/// A value as text in a form.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The sections of a form: params without a section first, then the sections in the order of their first param.
pub(super) fn sections(params: &Params, given: &Given, problems: &[ParamProblem]) -> Vec<Section> {
    let mut sections = vec![Section { title: String::new(), fields: Vec::new() }];
    for (index, (name, param)) in params.iter().enumerate() {
        let title = param.word("section");
        let field = field(index, name, param, &given.all(&format!("{PARAM}{name}")), problems);
        match sections.iter_mut().find(|section| section.title == title) {
            Some(section) => section.fields.push(field),
            None => sections.push(Section { title: title.to_owned(), fields: vec![field] }),
        }
    }
    sections.retain(|section| !section.fields.is_empty());
    sections
}

fn field(index: usize, name: &str, param: &Param, given: &[&str], problems: &[ParamProblem]) -> Field {
    let widget = Widget::of(param);
    let default = param.default_value().filter(|value| !value.is_null());
    let value = match given.last() {
        Some(text) if widget != Widget::Fixed => (*text).to_owned(),
        _ => default.map(|value| shown(value, widget)).unwrap_or_default(),
    };
    let chosen: Vec<String> = match (widget, given) {
        (Widget::Several, []) => default.and_then(Value::as_array).into_iter().flatten().map(text_of).collect(),
        (Widget::Several, texts) => texts.iter().map(|text| (*text).to_owned()).collect(),
        _ => vec![value.clone()],
    };
    let labels = param.schema.get("values_display");
    let title = param.word("title");
    let found: Vec<&str> =
        problems.iter().filter(|problem| problem.name == name).map(|problem| problem.message.as_str()).collect();
    Field {
        id: format!("param-{index}"),
        input: format!("{PARAM}{name}"),
        label: if title.is_empty() { name.to_owned() } else { title.to_owned() },
        expects: expects(param, widget),
        about: match param.word("description_md") {
            "" => plain(param.word("description")),
            text => markdown(text),
        },
        choices: choices_of(param, widget)
            .iter()
            .map(text_of)
            .map(|value| Choice {
                label: labels.and_then(|labels| labels.get(&value)?.as_str()).unwrap_or(&value).to_owned(),
                is_chosen: chosen.contains(&value),
                value,
            })
            .collect(),
        attributes: attributes(param, widget),
        is_required: is_required(param, widget),
        is_nullable: param.is_nullable(),
        problem: found.join("; "),
        value,
        widget,
    }
}

/// Whether an empty element is no answer.
fn is_required(param: &Param, widget: Widget) -> bool {
    match widget {
        Widget::Fixed | Widget::Checkbox | Widget::Several | Widget::Lines => false,
        _ => !param.is_nullable() && !read::takes_empty_text(param, widget),
    }
}

fn shown(value: &Value, widget: Widget) -> String {
    match (widget, value) {
        (Widget::Lines, Value::Array(lines)) => lines.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        (Widget::Json, value) => format!("{value:#}"),
        // The browser's field has no offset; the page says that it means UTC.
        (Widget::Input("datetime-local"), Value::String(text)) => match text.parse::<flow_model::Timestamp>() {
            Ok(at) => at.to_string().get(..19).unwrap_or(text).to_owned(),
            Err(_) => text.clone(),
        },
        (_, value) => text_of(value),
    }
}

/// What is expected, in a few words: beside the label.
fn expects(param: &Param, widget: Widget) -> String {
    let mut words: Vec<String> = Vec::new();
    match (widget, param.word("format")) {
        (Widget::Lines, _) => words.push("one on each line".to_owned()),
        (Widget::Json, _) => words.push("JSON".to_owned()),
        (Widget::Input("datetime-local"), _) => words.push("in UTC".to_owned()),
        (Widget::Input("text"), format) if !format.is_empty() => {
            words.extend(FORMATS.iter().find(|(name, _)| *name == format).map(|(_, words)| (*words).to_owned()));
        }
        (Widget::Input("number"), _) if param.kind() == "integer" => words.push("whole number".to_owned()),
        _ => {}
    }
    for (keyword, before) in [
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
        ("multipleOf", "a multiple of"),
    ] {
        words.extend(param.schema.get(keyword).map(|limit| format!("{before} {limit}")));
    }
    for (keyword, before, what) in [
        ("minLength", "at least", "character"),
        ("maxLength", "at most", "character"),
        ("minItems", "at least", "value"),
        ("maxItems", "at most", "value"),
    ] {
        let plural = |limit: &Value| if limit == 1 { "" } else { "s" };
        words.extend(param.schema.get(keyword).map(|limit| format!("{before} {limit} {what}{}", plural(limit))));
    }
    words.join(", ").replace('`', "")
}

/// What the browser can check by itself.
fn attributes(param: &Param, widget: Widget) -> Vec<(&'static str, String)> {
    let mut attributes = Vec::new();
    let mut pass = |keyword: &str, attribute: &'static str| {
        attributes.extend(param.schema.get(keyword).map(|value| (attribute, text_of(value))));
    };
    match widget {
        Widget::Input("number") => {
            pass("minimum", "min");
            pass("maximum", "max");
            pass("multipleOf", "step");
            if !attributes.iter().any(|(name, _)| *name == "step") {
                attributes.push(("step", if param.kind() == "integer" { "1" } else { "any" }.to_owned()));
            }
        }
        Widget::Input("datetime-local" | "time") => attributes.push(("step", "1".to_owned())),
        Widget::Input(_) | Widget::Multiline => {
            pass("minLength", "minlength");
            pass("maxLength", "maxlength");
            // HTML's pattern is about the whole text, JSON Schema's about any part of it.
            let pattern = param.word("pattern");
            if widget != Widget::Multiline && !pattern.is_empty() {
                attributes.push(("pattern", format!(".*(?:{pattern}).*")));
            }
        }
        _ => {}
    }
    attributes
}
