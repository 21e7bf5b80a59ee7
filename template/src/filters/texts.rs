//! Filters that make text of values, as Python prints them.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, Value};

use crate::arguments::{Arguments, invalid};
use crate::{methods, printf, python};

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter(
        "string",
        |value: Value| {
            if value.as_str().is_some() { value } else { Value::from(python::text(&value)) }
        },
    );
    environment.add_filter("join", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("join", &["value", "d", "attribute"], &args, &named)?;
        let separator = arguments.value(1).map(python::text).unwrap_or_default();
        let items: Vec<String> = match arguments.required(0)? {
            text if text.kind() == ValueKind::String => {
                text.as_str().unwrap_or_default().chars().map(String::from).collect()
            }
            items => items
                .try_iter()?
                .map(|item| Ok(python::text(&attribute(&item, arguments.value(2))?)))
                .collect::<Result<_, Error>>()?,
        };
        Ok::<_, Error>(items.join(&separator))
    });
    environment.add_filter("format", |format: String, values: Rest<Value>, named: Kwargs| {
        let table =
            named.args().map(|name| Ok((name, named.get::<Value>(name)?))).collect::<Result<Vec<_>, Error>>()?;
        let table = (!table.is_empty()).then(|| Value::from_pairs(table));
        if table.is_some() && !values.is_empty() {
            return Err(invalid("`format` takes values by position or by name, not both"));
        }
        printf::render(&format, &values, table.as_ref())
    });
    environment.add_filter("upper", |value: Value| python::text(&value).to_uppercase());
    environment.add_filter("lower", |value: Value| python::text(&value).to_lowercase());
    environment.add_filter("pprint", |value: Value| pretty(&value, 0));
    environment.add_filter("title", |value: Value| title(&python::text(&value)));
    environment.add_filter("capitalize", |value: Value| methods::capitalized(&python::text(&value)));
}

/// A field of an item, by its name with dots; numbers are places in a list.
pub(super) fn attribute(item: &Value, path: Option<&Value>) -> Result<Value, Error> {
    let Some(path) = path else { return Ok(item.clone()) };
    let mut value = item.clone();
    for part in python::text(path).split('.') {
        value = match part.parse::<i64>() {
            Ok(index) => value.get_item_by_index(usize::try_from(index).unwrap_or(usize::MAX))?,
            Err(_) => value.get_attr(part)?,
        };
    }
    Ok(value)
}

/// As Python's `pprint`: on one line if there is room, else with a line for each item.
fn pretty(value: &Value, indent: usize) -> String {
    const WIDTH: usize = 80;
    let line = python::repr_sorted(value);
    if indent + line.chars().count() <= WIDTH || prints_itself(value) {
        return line;
    }
    let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
    let rest = format!(",\n{}", " ".repeat(indent + 1));
    if value.kind() != ValueKind::Map {
        let lines: Vec<String> = items.iter().map(|item| pretty(item, indent + 1)).collect();
        let (open, close) = if python::is_tuple(value) { ('(', ')') } else { ('[', ']') };
        return format!("{open}{}{close}", lines.join(&rest));
    }
    let mut keys = items;
    keys.sort();
    let entry = |key: &Value| {
        let name = python::repr(key);
        let item = value.get_item(key).unwrap_or_default();
        format!("{name}: {}", pretty(&item, indent + name.chars().count() + 3))
    };
    format!("{{{}}}", keys.iter().map(entry).collect::<Vec<_>>().join(&rest))
}

fn prints_itself(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable)
}

/// Each word with a capital; unlike the method of texts, an apostrophe begins no word.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for character in text.chars() {
        if character.is_whitespace() || matches!(character, '-' | '(' | '{' | '[' | '<') {
            begins = true;
            out.push(character);
        } else if std::mem::take(&mut begins) {
            out.extend(character.to_uppercase());
        } else {
            out.extend(character.to_lowercase());
        }
    }
    out
}
