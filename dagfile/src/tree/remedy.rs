//! What is wrong with a statement that is not TOML, in the words of those who write DAG files, and what to write instead.

use std::ops::Range;

use toml::de::DeTable;

use super::statements::Statement;
use crate::diagnostic::Problems;

/// Notes what is wrong with a statement; false if nothing is.
pub(super) fn tell(source: &str, statement: &Statement, problems: &mut Problems) -> bool {
    let range = statement.range.clone();
    let text = &source[range.clone()];
    if let Some(open) = &statement.unclosed {
        tell_unclosed(source, open, problems);
        return true;
    }
    let (_, errors) = DeTable::parse_recoverable(text);
    let first = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start));
    let Some(error) = first else { return false };
    let found = error.span().unwrap_or(0..0);
    let message = error.message().trim().replace('\n', "; ");
    let line =
        Line { text, equals: statement.equals.map(|equals| equals - range.start), at: found.start, message: &message };
    let (span, message, hint) = line.describe().unwrap_or_else(|| {
        (found.clone(), format!("this is not TOML: {message}"), super::syntax_hint(&message).to_owned())
    });
    problems.add(range.start + span.start..range.start + span.end, message).hint(hint);
    true
}

fn tell_unclosed(source: &str, open: &Range<usize>, problems: &mut Problems) {
    let written = &source[open.clone()];
    let (what, close) = match written {
        "[" => ("list", "]"),
        "{" => ("table", "}"),
        quotes => ("text", quotes),
    };
    let hint = match what {
        "text" => format!("write `{close}` where the text ends"),
        "table" => format!("write `{close}` where it ends, and a comma between its keys"),
        _ => format!("write `{close}` where it ends"),
    };
    problems.add(open.clone(), format!("nothing closes this {what}")).label("it begins here").hint(hint);
}

/// Place within the statement, message, hint.
type Described = (Range<usize>, String, String);

struct Line<'a> {
    text: &'a str,
    equals: Option<usize>,
    /// Where the parser stopped.
    at: usize,
    /// What it said.
    message: &'a str,
}

impl Line<'_> {
    fn describe(&self) -> Option<Described> {
        self.comment().or_else(|| self.colon()).or_else(|| self.key()).or_else(|| self.value())
    }

    /// A comment of another language.
    fn comment(&self) -> Option<Described> {
        let mark = ["//", "--", "/*", ";"].into_iter().find(|mark| self.text.starts_with(mark))?;
        Some((0..mark.len(), format!("`{mark}` begins no comment"), "write `#` in its place".to_owned()))
    }

    /// `key: value`, as in YAML and Python.
    fn colon(&self) -> Option<Described> {
        let (key, value) = self.text.split_once(':')?;
        let is_key = !key.is_empty() && key.chars().all(|one| one.is_ascii_alphanumeric() || "_-.\"'".contains(one));
        let is_before = self.equals.is_none_or(|equals| key.len() < equals);
        let hint = format!("write `{key} = {}`", if value.trim().is_empty() { "..." } else { value.trim() });
        (is_key && is_before).then(|| (key.len()..key.len() + 1, "`:` stands between key and value".to_owned(), hint))
    }

    /// A key of several words, or no value.
    fn key(&self) -> Option<Described> {
        let equals = self.equals?;
        let key = self.text[..equals].trim();
        let value = self.text[equals + 1..].trim();
        if value.is_empty() || value.starts_with('#') {
            let hint = "write a value behind `=`, or take the line away: a key that is not there has its default";
            return Some((0..key.len(), format!("`{key}` has no value"), hint.to_owned()));
        }
        if key.split_whitespace().count() > 1 && !key.contains(['"', '\'', '.']) {
            let hint =
                format!("write `{}`, or put it into quotes", key.split_whitespace().collect::<Vec<_>>().join("_"));
            return Some((0..key.len(), format!("`{key}` is not one word"), hint));
        }
        None
    }

    fn value(&self) -> Option<Described> {
        let equals = self.equals?;
        let value = self.text[equals + 1..].trim_start();
        let begin = self.text.len() - value.len();
        if self.message.contains("missing escaped value") {
            return Some(self.escape(value));
        }
        let typographic = self.text[begin..].char_indices().find(|(_, one)| "“”„‘’«»".contains(*one));
        if let Some((at, quote)) = typographic.filter(|(at, _)| *at == 0 || self.at == begin + at) {
            let place = begin + at..begin + at + quote.len_utf8();
            return Some((place, format!("`{quote}` is not a quote of TOML"), "write `\"` on both sides".to_owned()));
        }
        if let Some(described) = ends_early(begin, value) {
            return Some(described);
        }
        self.word()
    }

    /// A backslash that begins nothing.
    fn escape(&self, value: &str) -> Described {
        let before = self.text.get(..self.at).unwrap_or_default();
        let at = before.rfind('\\').unwrap_or(before.len());
        let width = self.text[at..].chars().take(2).map(char::len_utf8).sum::<usize>();
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let whole = inner.filter(|inner| !value.starts_with("\"\"\"") && !inner.contains(['\'', '\n', '"']));
        let hint = match whole {
            Some(inner) => {
                format!("write `'{inner}'`: nothing is special between these quotes; or `\\\\` for a backslash")
            }
            None => "write `\\\\` for a backslash, or put the text between `'''`, where nothing is special".to_owned(),
        };
        let written = &self.text[at..at + width];
        (at..at + width, format!("`{written}` means nothing in a text between `\"`"), hint)
    }

    /// A word without quotes.
    fn word(&self) -> Option<Described> {
        // What is wrong with the key is no word of the value.
        let equals = self.equals.filter(|equals| *equals < self.at);
        if self.equals.is_some() && equals.is_none() {
            return None;
        }
        let is_part = |one: char| !one.is_whitespace() && !",]}[{#=\"'".contains(one);
        let rest = self.text.get(self.at..)?;
        let word: String = rest.chars().take_while(|one| is_part(*one)).collect();
        let before = self.text[..self.at].chars().next_back()?;
        let place = self.at..self.at + word.len();
        if word.is_empty() || is_part(before) || matches!(before, '"' | '\'') {
            return None;
        }
        let is_whole = equals.is_some_and(|equals| self.text[equals + 1..self.at].trim().is_empty());
        let is_all = rest[word.len()..].trim_start().chars().next().is_none_or(|next| ",]}#".contains(next));
        let told = match word.to_ascii_lowercase().as_str() {
            "null" | "none" | "nil" | "undefined" if is_all => {
                let hint = if is_whole {
                    "take the line away: a key that is not there has its default"
                } else {
                    "take it out"
                };
                (format!("there is no `{word}` in TOML"), hint.to_owned())
            }
            "true" | "yes" | "on" if is_all => (format!("`{word}` is not a value of TOML"), "write `true`".to_owned()),
            "false" | "no" | "off" if is_all => {
                (format!("`{word}` is not a value of TOML"), "write `false`".to_owned())
            }
            _ if word.starts_with(|one: char| one.is_ascii_digit() || "+-.".contains(one)) => return None,
            _ if is_whole => {
                let text = rest.split('#').next().unwrap_or_default().trim();
                if text.contains(['"', '\'']) {
                    return None;
                }
                ("text needs quotes".to_owned(), format!("write `\"{text}\"`"))
            }
            _ if self.message.contains("quoted") => ("text needs quotes".to_owned(), format!("write `\"{word}\"`")),
            _ => return None,
        };
        Some((place, told.0, told.1))
    }
}

/// A text whose quotes stand in the text itself, such as `'it's me'`, or that has no end on its line.
fn ends_early(begin: usize, value: &str) -> Option<Described> {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    if value.starts_with(&quote.to_string().repeat(3)) {
        return None;
    }
    let Some(end) = closing(value, quote) else {
        let place = begin..begin + value.len();
        return Some((place, "nothing closes this text".to_owned(), format!("write `{quote}` where it ends")));
    };
    let rest = value[end + 1..].trim();
    if rest.is_empty() || rest.starts_with('#') {
        return None;
    }
    let inner = value.trim_end().strip_suffix(quote).map(|value| &value[1..]);
    let hint = match inner {
        _ if rest.starts_with(['"', '\'']) && value[end + 1..].starts_with(char::is_whitespace) => {
            "write one text, or a list: `[..., ...]`".to_owned()
        }
        Some(inner) if quote == '\'' && !inner.contains(['"', '\\']) => format!("write `\"{inner}\"`"),
        Some(inner) if quote == '"' && !inner.contains(['\'', '\\']) => format!("write `'{inner}'`"),
        Some(_) => "put the text between `'''`, where quotes can stand".to_owned(),
        None => "a line is one `key = value`: take away what stands behind the text".to_owned(),
    };
    Some((begin + end..begin + end + 1, format!("the text ends here, and `{rest}` stands behind it"), hint))
}

/// Where the quotes at the beginning are closed.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, character) in value.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            _ if character == quote => return Some(at),
            _ => {}
        }
    }
    None
}
