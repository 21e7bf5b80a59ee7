//! Methods of texts.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, Value};

use super::str_format;
use crate::arguments::{Arguments, invalid};
use crate::filters::{centered, limited};
use crate::python;

/// The answer of a method; nothing if there is no such method.
pub(super) fn call(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "zfill" => {
            let arguments = Arguments::bind(method, &["width"], args)?;
            let width = limited(arguments.length(0)?.ok_or_else(|| arguments.wrong(0, "a whole number"))?)?;
            Value::from(with_zeros(text, width))
        }
        "ljust" | "rjust" | "center" => padded(text, method, args)?,
        "split" | "rsplit" => split(text, method, args)?,
        "partition" | "rpartition" => partition(text, method, args)?,
        "removeprefix" | "removesuffix" => {
            let arguments = Arguments::bind(method, &["prefix"], args)?;
            let part = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
            let rest = if method == "removeprefix" { text.strip_prefix(part) } else { text.strip_suffix(part) };
            Value::from(rest.unwrap_or(text))
        }
        "find" | "rfind" | "index" | "rindex" | "count" => found(text, method, args)?,
        "startswith" | "endswith" => begins(text, method, args)?,
        "strip" | "lstrip" | "rstrip" => {
            let arguments = Arguments::bind(method, &["chars"], args)?;
            let set: Option<Vec<char>> = arguments.text(0)?.map(|set| set.chars().collect());
            let is_cut = |c: char| set.as_ref().map_or_else(|| c.is_whitespace(), |set| set.contains(&c));
            let start = if method == "rstrip" { text } else { text.trim_start_matches(is_cut) };
            Value::from(if method == "lstrip" { start } else { start.trim_end_matches(is_cut) })
        }
        "expandtabs" => {
            let arguments = Arguments::bind(method, &["tabsize"], args)?;
            Value::from(without_tabs(text, limited(arguments.length(0)?.unwrap_or(8))?))
        }
        "splitlines" => {
            let arguments = Arguments::bind(method, &["keepends"], args)?;
            Value::from(lines(text, arguments.is_true(0)))
        }
        "join" => {
            let arguments = Arguments::bind(method, &["iterable"], args)?;
            Value::from(joined(text, arguments.required(0)?)?)
        }
        "format" => Value::from(str_format::format(text, args)?),
        "encode" | "translate" | "maketrans" => {
            return Err(invalid(format!("texts have no method `{method}` here: there are no bytes in templates")));
        }
        _ => return without_arguments(text, method, args),
    }))
}

fn without_arguments(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let all = |is: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(is));
    let answer = match method {
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(if method == "casefold" { folded(text) } else { text.to_lowercase() }),
        "swapcase" => Value::from(text.chars().map(swapped).collect::<String>()),
        "title" => Value::from(titled(text)),
        "capitalize" => Value::from(capitalized(text)),
        "istitle" => Value::from(text.chars().any(char::is_alphabetic) && titled(text) == text),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| {
            is_decimal(c)
                || matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}'..='\u{2079}' | '\u{2080}'..='\u{2089}')
        }),
        "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isascii" => Value::from(text.is_ascii()),
        "isupper" => Value::from(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "islower" => Value::from(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        "isprintable" => Value::from(text.chars().all(|c| c == ' ' || python::is_printable(c))),
        "isidentifier" => {
            let is_start = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
            Value::from(is_start && text.chars().all(|c| c.is_alphanumeric() || c == '_'))
        }
        _ => return Ok(None),
    };
    Arguments::bind(method, &[], args)?;
    Ok(Some(answer))
}

fn is_decimal(c: char) -> bool {
    // Superscripts, fractions, Roman and circled numbers are numbers, but no digits of decimal numbers.
    c.is_numeric()
        && !matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' | '\u{2070}'..='\u{218b}' | '\u{2460}'..='\u{24ff}')
        && !matches!(c, '\u{2776}'..='\u{2793}' | '\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3400}'..='\u{9fff}')
}

fn folded(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss")
}

fn swapped(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// Each run of letters with a capital.
fn titled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut follows_letter = false;
    for character in text.chars() {
        if follows_letter {
            out.extend(character.to_lowercase());
        } else {
            out.push_str(&first_capital(character));
        }
        follows_letter = character.is_alphabetic();
    }
    out
}

/// The first letter as a capital, the others small.
pub(crate) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first_capital(first) + &characters.as_str().to_lowercase())
}

fn first_capital(c: char) -> String {
    if c == 'ß' { "Ss".to_owned() } else { c.to_uppercase().collect() }
}

fn with_zeros(text: &str, width: usize) -> String {
    let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
    let missing = width.saturating_sub(text.chars().count());
    format!("{sign}{}{digits}", "0".repeat(missing))
}

fn padded(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(method, &["width", "fillchar"], args)?;
    let width = limited(arguments.length(0)?.ok_or_else(|| arguments.wrong(0, "a whole number"))?)?;
    let mut fills = arguments.text(1)?.unwrap_or(" ").chars();
    let (Some(fill), None) = (fills.next(), fills.next()) else { return Err(arguments.wrong(1, "one character")) };
    let missing = width.saturating_sub(text.chars().count());
    let padding: String = std::iter::repeat_n(fill, missing).collect();
    Ok(Value::from(match method {
        "ljust" => format!("{text}{padding}"),
        "rjust" => format!("{padding}{text}"),
        _ => centered(text, width, fill),
    }))
}

fn split(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(method, &["sep", "maxsplit"], args)?;
    // Negative: as often as it goes.
    let limit = usize::try_from(arguments.integer(1)?.unwrap_or(-1)).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match (arguments.text(0)?, method) {
        (Some(""), _) => return Err(arguments.wrong(0, "more than an empty text")),
        (Some(separator), "split") => text.splitn(limit.saturating_add(1), separator).collect(),
        (Some(separator), _) => {
            let mut parts: Vec<&str> = text.rsplitn(limit.saturating_add(1), separator).collect();
            parts.reverse();
            parts
        }
        (None, "split") => words(text, limit),
        (None, _) => words_from_end(text, limit),
    };
    Ok(Value::from_iter(parts))
}

fn words(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if parts.len() == limit {
            parts.push(rest);
            break;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    parts
}

fn words_from_end(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        if parts.len() == limit {
            parts.push(rest);
            break;
        }
        let word = rest.rsplit(char::is_whitespace).next().unwrap_or(rest);
        parts.push(word);
        rest = rest[..rest.len() - word.len()].trim_end();
    }
    parts.reverse();
    parts
}

fn partition(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(method, &["sep"], args)?;
    let separator = arguments.text(0)?.filter(|separator| !separator.is_empty());
    let separator = separator.ok_or_else(|| arguments.wrong(0, "a text"))?;
    let parts = match method {
        "partition" => text.split_once(separator).map_or([text, "", ""], |(one, two)| [one, separator, two]),
        _ => text.rsplit_once(separator).map_or(["", "", text], |(one, two)| [one, separator, two]),
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from).to_vec())))
}

/// A part of a text, between two places counted in characters, as `text[start:end]` of Python; and where it begins.
fn part<'t>(text: &'t str, arguments: &Arguments<'_>, first: usize) -> Result<(&'t str, usize), Error> {
    let length = text.chars().count();
    let place = |index: usize, default: usize| {
        let place = arguments.integer(index)?;
        Ok::<_, Error>(place.map_or(default, |place| match usize::try_from(place) {
            Ok(place) => place.min(length),
            Err(_) => length.saturating_sub(usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX)),
        }))
    };
    let (start, end) = (place(first, 0)?, place(first + 1, length)?);
    let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    Ok((text.get(byte(start)..byte(end)).unwrap_or(""), start))
}

fn found(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(method, &["sub", "start", "end"], args)?;
    let wanted = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
    let (within, start) = part(text, &arguments, 1)?;
    if method == "count" {
        return Ok(Value::from(within.matches(wanted).count()));
    }
    let at = if method.starts_with('r') { within.rfind(wanted) } else { within.find(wanted) };
    match at {
        Some(at) => Ok(Value::from(start + within[..at].chars().count())),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(invalid(format!(
            "{} is not in {}",
            python::repr(&Value::from(wanted)),
            python::repr(&Value::from(text))
        ))),
    }
}

fn begins(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind(method, &["prefix", "start", "end"], args)?;
    let wanted = arguments.required(0)?;
    let (within, _) = part(text, &arguments, 1)?;
    let is_there = |wanted: &Value| match wanted.as_str() {
        Some(wanted) if method == "startswith" => Ok(within.starts_with(wanted)),
        Some(wanted) => Ok(within.ends_with(wanted)),
        None => Err(arguments.wrong(0, "a text, or several in round brackets")),
    };
    if matches!(wanted.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let several: Vec<bool> = wanted.try_iter()?.map(|wanted| is_there(&wanted)).collect::<Result<_, _>>()?;
        return Ok(Value::from(several.contains(&true)));
    }
    is_there(wanted).map(Value::from)
}

fn without_tabs(text: &str, size: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for character in text.chars() {
        match character {
            '\t' if size == 0 => {}
            '\t' => {
                let spaces = size - column % size;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            other => {
                out.push(other);
                column = if matches!(other, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    out
}

fn lines(text: &str, keeps_ends: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_end =
            |c| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let at = rest.find(is_end).unwrap_or(rest.len());
        let end = match rest[at..].chars().next() {
            Some('\r') if rest[at + 1..].starts_with('\n') => at + 2,
            Some(c) => at + c.len_utf8(),
            None => at,
        };
        lines.push(rest[..if keeps_ends { end } else { at }].to_owned());
        rest = &rest[end..];
    }
    lines
}

fn joined(separator: &str, items: &Value) -> Result<String, Error> {
    let items: Vec<Value> = match items.as_str() {
        Some(text) => text.chars().map(|c| Value::from(c.to_string())).collect(),
        None => items.try_iter()?.collect(),
    };
    let texts: Vec<&str> = items
        .iter()
        .map(|item| {
            let hint = "hint: the filter makes texts of them: `items | join(\", \")`";
            item.as_str().ok_or_else(|| {
                invalid(format!("`join` of a text joins texts, not {}\n{hint}", crate::dates::kind(item)))
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(texts.join(separator))
}
