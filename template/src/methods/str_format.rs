//! `"{:05d} {name}".format(n, name="x")`, as Python does it.

use minijinja::formatting::{self, FormatStyle};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, Value};

use crate::arguments::invalid;
use crate::{dates, python};

/// Fills the fields of a format. A date takes a format with percent signs, or pendulum's.
///
/// # Errors
/// The format is broken, or a value is missing or does not fit.
pub(super) fn format(format: &str, args: &[Value]) -> Result<String, Error> {
    let (positional, named) = match args.split_last() {
        Some((last, positional)) if last.is_kwargs() => (positional, Some(Kwargs::try_from(last.clone())?)),
        _ => (args, None),
    };
    let mut filler = Filler { positional, named, next: 0 };
    filler.fill(format, 0)
}

struct Filler<'a> {
    positional: &'a [Value],
    named: Option<Kwargs>,
    next: usize,
}

impl Filler<'_> {
    fn fill(&mut self, format: &str, depth: usize) -> Result<String, Error> {
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let bracket = &rest[at..=at];
            let after = &rest[at + 1..];
            if after.starts_with(bracket) {
                out.push_str(bracket);
                rest = &after[1..];
                continue;
            }
            if bracket == "}" || depth > 1 {
                return Err(invalid("a single `}` in a format is written `}}`"));
            }
            let end =
                closing(after).ok_or_else(|| invalid("a `{` in a format has no `}`; a single one is written `{{`"))?;
            out.push_str(&self.field(&after[..end], depth)?);
            rest = &after[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn field(&mut self, field: &str, depth: usize) -> Result<String, Error> {
        let name_end = field.find(['!', ':']).unwrap_or(field.len());
        let (name, rest) = field.split_at(name_end);
        let (conversion, spec) = match rest.strip_prefix('!') {
            Some(rest) => rest.split_once(':').unwrap_or((rest, "")),
            None => ("", rest.strip_prefix(':').unwrap_or("")),
        };
        let value = self.value(name)?;
        let value = match conversion {
            "" => value,
            "s" => Value::from(python::text(&value)),
            "r" => Value::from(python::repr(&value)),
            other => return Err(invalid(format!("`!{other}` is no conversion of a format; there are `!s` and `!r`"))),
        };
        let spec = self.fill(spec, depth + 1)?;
        formatted(&value, &spec)
    }

    /// `0`, `name`, `name.attribute`, `name[key]`; without a name, the next one.
    fn value(&mut self, name: &str) -> Result<Value, Error> {
        let first_end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(first_end);
        let index = if first.is_empty() {
            self.next += 1;
            Some(self.next - 1)
        } else {
            first.parse().ok()
        };
        let missing = || invalid(format!("there is no value for the field `{{{name}}}` of the format"));
        let mut value = match index {
            Some(index) => self.positional.get(index).cloned().ok_or_else(missing)?,
            None => {
                let named = self.named.as_ref().filter(|named| named.has(first)).ok_or_else(missing)?;
                named.get::<Value>(first)?
            }
        };
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = value.get_attr(&after[..end])?;
                rest = &after[end..];
            } else {
                let (key, after) = rest[1..].split_once(']').ok_or_else(|| invalid("a `[` in a format has no `]`"))?;
                value = value.get_item(&key.parse::<i64>().map_or_else(|_| Value::from(key), Value::from))?;
                rest = after;
            }
            if value.is_undefined() {
                return Err(missing());
            }
        }
        Ok(value)
    }
}

/// Where a field ends; fields may stand within it.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn formatted(value: &Value, spec: &str) -> Result<String, Error> {
    if spec.is_empty() {
        return Ok(python::text(value));
    }
    if let Some(text) = dates::formatted(value, spec) {
        return text;
    }
    if let Some(spec) = spec.strip_suffix('%').filter(|_| value.kind() == ValueKind::Number) {
        let number: f64 = value.to_string().parse().map_err(invalid)?;
        let text =
            formatting::format(FormatStyle::StrFormat, &format!("{{:{spec}f}}"), &[Value::from(number * 100.0)])?;
        return Ok(text + "%");
    }
    if matches!(value.kind(), ValueKind::Number | ValueKind::String | ValueKind::Bool) {
        return formatting::format(FormatStyle::StrFormat, &format!("{{:{spec}}}"), std::slice::from_ref(value));
    }
    Err(invalid(format!("{} takes no format `{spec}`", dates::kind(value))))
}
