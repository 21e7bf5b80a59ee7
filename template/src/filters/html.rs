//! Filters that write HTML. What they make is text like any other: only the author's `safe` makes code of it.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::links;
use crate::arguments::{Arguments, invalid};
use crate::macros::{Style, dumps};
use crate::python;

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    for name in ["e", "escape"] {
        // What is escaped already stays as it is.
        environment.add_filter(name, |value: Value| {
            if value.is_safe() { value } else { Value::from_safe_string(escaped(&python::text(&value))) }
        });
    }
    environment.add_filter("forceescape", |value: Value| Value::from_safe_string(escaped(&python::text(&value))));
    environment.add_filter("striptags", |value: Value| minijinja_contrib::filters::striptags(python::text(&value)));
    environment
        .add_filter("xmlattr", |value: Value, autospace: Option<bool>| attributes(&value, autospace.unwrap_or(true)));
    environment.add_filter("urlize", |args: Rest<Value>, named: Kwargs| {
        let names = ["value", "trim_url_limit", "nofollow", "target", "rel"];
        let arguments = Arguments::of("urlize", &names, &args, &named)?;
        let mut rel: Vec<&str> = arguments.text(4)?.unwrap_or("").split_whitespace().collect();
        rel.push("noopener");
        if arguments.is_true(2) {
            rel.push("nofollow");
        }
        rel.sort_unstable();
        rel.dedup();
        let style = links::Style { limit: arguments.length(1)?, rel: rel.join(" "), target: arguments.text(3)? };
        Ok::<_, Error>(links::linked(&python::text(arguments.required(0)?), &style))
    });
    environment.add_filter("tojson", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("tojson", &["value", "indent"], &args, &named)?;
        let style = Style { indent: arguments.length(1)?, sorts_keys: true, is_ascii: true };
        let text = dumps(arguments.required(0)?, &style)?;
        let safe =
            text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027");
        Ok::<_, Error>(Value::from_safe_string(safe))
    });
}

/// A text percent-encoded, or a table or pairs as a query.
///
/// # Errors
/// A pair is none.
pub(crate) fn urlencoded(value: &Value) -> Result<String, Error> {
    let quoted = |value: &Value, kept: &'static AsciiSet| utf8_percent_encode(&python::text(value), kept).to_string();
    let pair =
        |key: &Value, item: &Value| format!("{}={}", quoted(key, IN_PAIRS), quoted(item, IN_PAIRS)).replace("%20", "+");
    let pairs: Vec<String> = match value.kind() {
        ValueKind::Map => {
            value.try_iter()?.map(|key| value.get_item(&key).map(|item| pair(&key, &item))).collect::<Result<_, _>>()?
        }
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()?
            .map(|item| match item.try_iter()?.collect::<Vec<_>>().as_slice() {
                [key, value] if item.as_str().is_none() => Ok(pair(key, value)),
                _ => Err(invalid("`urlencode` of a list needs pairs: `[(\"key\", value)]`")),
            })
            .collect::<Result<_, _>>()?,
        _ => return Ok(quoted(value, IN_TEXT)),
    };
    Ok(pairs.join("&"))
}

/// What RFC 3986 reserves nothing for.
const IN_PAIRS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_TEXT: &AsciiSet = &IN_PAIRS.remove(b'/');

/// Text inside of HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn attributes(value: &Value, begins_with_space: bool) -> Result<String, Error> {
    if value.kind() != ValueKind::Map {
        return Err(invalid(format!("`xmlattr` needs a table, not {}", crate::dates::kind(value))));
    }
    let mut out = String::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        if item.is_none() || item.is_undefined() {
            continue;
        }
        let key = python::text(&key);
        if key.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=')) {
            return Err(invalid(format!("`{key}` is no name of an attribute")));
        }
        if !out.is_empty() || begins_with_space {
            out.push(' ');
        }
        out.push_str(&format!("{}=\"{}\"", escaped(&key), escaped(&python::text(&item))));
    }
    Ok(out)
}
