//! Values as Python prints them: `str` for people, `repr` inside lists and tables.

use minijinja::Value;
use minijinja::value::ValueKind;

use crate::dates;
use crate::filters::Group;

/// A value as `str` prints it.
pub(crate) fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::Number => number(value),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map if !prints_itself(value) => repr(value),
        _ => value.to_string(),
    }
}

/// A value as `repr` prints it.
pub(crate) fn repr(value: &Value) -> String {
    written(value, false)
}

/// A value as `repr` prints it, with the keys of tables in order.
pub(crate) fn repr_sorted(value: &Value) -> String {
    written(value, true)
}

fn written(value: &Value, sorts_keys: bool) -> String {
    let repr = |value: &Value| written(value, sorts_keys);
    match value.kind() {
        ValueKind::String => value.as_str().map_or_else(|| value.to_string(), quoted),
        ValueKind::Number => number(value),
        ValueKind::Seq | ValueKind::Iterable if !prints_itself(value) => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|item| repr(&item)).collect();
            match (is_tuple(value), items.as_slice()) {
                (true, [one]) => format!("({one},)"),
                (true, several) => format!("({})", several.join(", ")),
                (false, several) => format!("[{}]", several.join(", ")),
            }
        }
        ValueKind::Map if !prints_itself(value) => {
            let entry = |key: Value| {
                format!("{}: {}", repr(&key), value.get_item(&key).map_or_else(|_| String::new(), |v| repr(&v)))
            };
            let mut keys: Vec<Value> = value.try_iter().into_iter().flatten().collect();
            if sorts_keys {
                keys.sort();
            }
            let entries: Vec<String> = keys.into_iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => dates::repr(value).unwrap_or_else(|| value.to_string()),
    }
}

/// Whether a list is one that never changes in Python, and is printed in parentheses.
pub(crate) fn is_tuple(value: &Value) -> bool {
    value.is_tuple() || value.downcast_object_ref::<Group>().is_some()
}

/// Whether a list or a table has a text of its own, such as a connection, whose fields are nobody's business in a log.
fn prints_itself(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    // What has no entries to show is an object that only looks like a table.
    object.enumerator_len().is_none() && value.kind() == ValueKind::Map
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// A number with a point as Python prints it: the shortest digits that say the same number.
pub(crate) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A text in Python's quotes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match c as u32 {
                code @ 0..=0xff => format!("\\x{code:02x}"),
                code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
    out
}

pub(crate) fn is_printable(character: char) -> bool {
    // Rust escapes what it takes for unprintable; an accent is that at the start of a text only.
    matches!(character, '\'' | '"') || format!("a{character}").escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_pythons() {
        for (number, expected) in [
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5, "1.5"),
            (-0.0, "-0.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.234e-7, "1.234e-07"),
            (1e100, "1e+100"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(number), expected);
        }
    }
}
