//! `macros.json`: JSON as Python writes it.

use std::fmt::{self, Write};
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use crate::arguments::{Arguments, invalid};
use crate::{dates, python};

#[derive(Debug)]
pub(super) struct JsonModule;

impl Object for JsonModule {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "dumps" => {
                let names = ["obj", "indent", "sort_keys", "ensure_ascii"];
                let arguments = Arguments::bind("macros.json.dumps", &names, args)?;
                let style = Style {
                    indent: arguments.length(1)?,
                    sorts_keys: arguments.is_true(2),
                    is_ascii: !arguments.has(3) || arguments.is_true(3),
                };
                dumps(arguments.required(0)?, &style).map(Value::from)
            }
            "loads" => {
                let arguments = Arguments::bind("macros.json.loads", &["s"], args)?;
                let text = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
                let value: serde_json::Value = serde_json::from_str(text)
                    .map_err(|error| invalid(format!("`macros.json.loads`: the text is no JSON: {error}")))?;
                Ok(crate::json::from_json(&value))
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no `macros.json.{method}`; there are `dumps` and `loads`"),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<module 'json'>")
    }
}

/// How JSON is written.
#[derive(Debug, Default)]
pub(crate) struct Style {
    /// Spaces for each level; without, all of it stands on one line.
    pub indent: Option<usize>,
    /// Whether the keys of tables are sorted.
    pub sorts_keys: bool,
    /// Whether other characters than those of ASCII are escaped.
    pub is_ascii: bool,
}

/// A value as `json.dumps` writes it.
///
/// # Errors
/// JSON has no such value.
pub(crate) fn dumps(value: &Value, style: &Style) -> Result<String, Error> {
    let mut out = String::new();
    write(value, style, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, style: &Style, depth: usize, out: &mut String) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => string(value.as_str().unwrap_or_default(), style, out),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            block(out, ['[', ']'], items.len(), style, depth, |index, out| {
                write(&items[index], style, depth + 1, out)
            })?;
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sorts_keys {
                keys.sort();
            }
            block(out, ['{', '}'], keys.len(), style, depth, |index, out| {
                let key = &keys[index];
                let name = match key.kind() {
                    ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
                    ValueKind::Bool => key.is_true().to_string(),
                    ValueKind::None => "null".to_owned(),
                    ValueKind::Number => number(key),
                    _ => return Err(invalid(format!("a key of JSON is a text, not {}", dates::kind(key)))),
                };
                string(&name, style, out);
                out.push_str(": ");
                write(&value.get_item(key)?, style, depth + 1, out)
            })?;
        }
        _ => {
            let hint = "\nhint: write it as a text, such as `.isoformat()` of a date";
            return Err(invalid(format!("JSON has no place for {}{hint}", dates::kind(value))));
        }
    }
    Ok(())
}

fn number(value: &Value) -> String {
    match python::text(value).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        number => number.to_owned(),
    }
}

fn block(
    out: &mut String,
    brackets: [char; 2],
    count: usize,
    style: &Style,
    depth: usize,
    mut item: impl FnMut(usize, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    out.push(brackets[0]);
    for index in 0..count {
        if index > 0 {
            out.push_str(if style.indent.is_some() { "," } else { ", " });
        }
        line(out, depth + 1);
        item(index, out)?;
    }
    if count > 0 {
        line(out, depth);
    }
    out.push(brackets[1]);
    Ok(())
}

fn string(text: &str, style: &Style, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() && c != '\u{7f}' || style.is_ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a text cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
