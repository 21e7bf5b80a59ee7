//! What the engine says of a template that fails, in the words of people who write DAG files.

use minijinja::{Error, ErrorKind};

/// Where to look what there is.
const LISTED: &str = "docs/dag-file.md lists what templates know; most things are filters: `| length`, `| upper`, `| replace(\"a\", \"b\")`";

/// What is wrong, and what to do. `expression` is what was being worked out.
pub(crate) fn words(error: &Error, expression: Option<&str>) -> (String, String) {
    let detail = error.detail().unwrap_or_default();
    let what = expression.map(str::trim).filter(|text| !text.is_empty());
    let what = what.map_or_else(|| "an expression".to_owned(), |text| format!("`{text}`"));
    let pair = |message: String, hint: &str| (message, hint.to_owned());
    match error.kind() {
        ErrorKind::UnknownMethod => match detail.split_once(" has no method named ") {
            Some((kind, name)) => pair(format!("{what}: {} has no method `{name}`", a_kind(kind)), LISTED),
            None if detail.contains("has no method") => pair(format!("{what}: {detail}"), LISTED),
            None => pair(format!("{what} calls a method that there is not{}", behind(detail)), LISTED),
        },
        ErrorKind::UnknownFilter => pair(format!("{what} uses a filter that there is not{}", behind(detail)), LISTED),
        ErrorKind::UnknownTest => pair(format!("{what} uses a test that there is not{}", behind(detail)), LISTED),
        ErrorKind::UnknownFunction => {
            pair(format!("{what} calls a function that there is not{}", behind(detail)), LISTED)
        }
        ErrorKind::TooManyArguments => {
            pair(format!("{what} passes more than is taken{}", behind(detail)), "take the last arguments away")
        }
        ErrorKind::MissingArgument => {
            pair(format!("{what} lacks an argument{}", behind(detail)), "name it in the parentheses")
        }
        ErrorKind::CannotUnpack => pair(
            format!("{what}: the values cannot be given to that many names"),
            "in `{% for a, b in list %}` each value is a list of two; of a table use `| items`",
        ),
        ErrorKind::OutOfFuel => pair("it does not come to an end".to_owned(), "does a loop go through too much?"),
        ErrorKind::InvalidOperation => invalid(detail, &what),
        _ => pair(format!("{what} cannot be worked out{}", behind(detail)), LISTED),
    }
}

/// What cannot be done with values of some types. What is in words of ours passes as it is.
fn invalid(detail: &str, what: &str) -> (String, String) {
    let default = "give a value for what may be none: `| default(\"x\", true)`; the filters `| int`, `| string`, `| tojson` change types";
    let between = |begin: &str, end: &str| detail.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
    if let Some((operator, kinds)) =
        between("tried to use ", "").and_then(|rest| rest.split_once(" operator on unsupported types "))
    {
        let (left, right) = kinds.split_once(" and ").unwrap_or((kinds, ""));
        let message = format!("{what}: `{operator}` cannot be used with {} and {}", a_kind(left), a_kind(right));
        return (message, default.to_owned());
    }
    if let Some((kind, target)) = between("cannot convert ", "").and_then(|rest| rest.split_once(" to ")) {
        return (format!("{what}: {} is not {}", a_kind(kind), a_kind(target)), default.to_owned());
    }
    let begins = [
        (" is not iterable", "cannot be gone through"),
        (" is not callable", "is not a function"),
        (" cannot be sliced", "has no parts that could be taken out"),
    ];
    for (end, verdict) in begins {
        if let Some(kind) = detail.strip_suffix(end) {
            let kind = kind.strip_prefix("value of type ").unwrap_or(kind);
            return (format!("{what}: {} {verdict}", a_kind(kind)), default.to_owned());
        }
    }
    for (begin, verdict) in [
        ("cannot calculate length of value of type ", "has no length"),
        ("cannot join value of type ", "is not a list that could be joined"),
        ("cannot reverse values of type ", "cannot be reversed"),
        ("can only sum numbers, got ", "cannot be summed up"),
    ] {
        if let Some(kind) = detail.strip_prefix(begin) {
            return (format!("{what}: {} {verdict}", a_kind(kind)), default.to_owned());
        }
    }
    match detail {
        "" => (format!("{what} cannot be worked out"), default.to_owned()),
        "cannot perform a containment check on this value" => {
            (format!("{what}: `in` looks into a text, a list or a table, and this is none"), default.to_owned())
        }
        "value is not a string" => (format!("{what}: a value is not text"), default.to_owned()),
        "object is not callable" => (format!("{what}: this is not a function"), LISTED.to_owned()),
        own => match own.split_once("\nhint: ") {
            Some((message, hint)) => (message.to_owned(), hint.to_owned()),
            None => (own.to_owned(), String::new()),
        },
    }
}

fn behind(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

/// The engine's name of a type, in words.
fn a_kind(name: &str) -> String {
    match name.trim() {
        "string" | "str" | "String" => "text",
        "map" | "mapping" | "Map" => "a table",
        "sequence" | "iterator" | "list" => "a list",
        "number" => "a number",
        "integer" | "i64" | "u64" | "usize" | "i32" | "u32" | "i128" | "u128" => "a whole number",
        "float" | "f64" => "a decimal number",
        "bool" => "true or false",
        "none" => "none",
        "undefined" => "a value that is not there",
        "bytes" => "a value of bytes",
        "plain object" => "this value",
        other => return format!("`{other}`"),
    }
    .to_owned()
}
