//! Mistakes of syntax, in the words of people who write DAG files.

use std::ops::Range;

use flow_model::suggest::nearest;
use minijinja::Error;

use super::Fault;

/// What a template can be made of.
const STATEMENTS: [&str; 12] =
    ["if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "macro", "raw"];

/// What the engine calls the parts of a template, and how they are written.
const PARTS: [(&str, &str); 13] = [
    ("end of variable block", "`}}`"),
    ("start of variable block", "`{{`"),
    ("end of block", "`%}`"),
    ("start of block", "`{%`"),
    ("end of input", "the end of the text"),
    ("template-data", "text"),
    ("identifier or integer", "a name or a number"),
    ("identifier", "a name"),
    ("string", "a text in quotes"),
    ("integer", "a number"),
    ("float", "a number"),
    ("block keyword", "a statement such as `if`"),
    ("keyword", "a word such as `in`"),
];

/// `${#name}` is the length of a variable in a shell, and in a template `{#` begins a comment.
pub(super) fn lengths_in_shell(source: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut from = 0;
    while let Some(at) = source[from..].find("${#").map(|at| from + at) {
        let end = source[at..].find('}').map_or(at + 3, |length| at + length + 1);
        if !is_raw(source, at) {
            let written = source[at..end].lines().next().unwrap_or("${#");
            faults.push(Fault::error(
                at + 1..at + 3,
                "`{#` begins a comment of the template",
                format!("write `{{% raw %}}{written}{{% endraw %}}`, or put the script into a file: bash = {{ script = \"...\" }}"),
            ));
        }
        from = at + 3;
    }
    faults
}

/// Whether a place stands between `{% raw %}` and `{% endraw %}`.
fn is_raw(source: &str, at: usize) -> bool {
    let before = &source[..at];
    let last = |word: &str| {
        before
            .match_indices("{%")
            .filter(|(start, _)| before[start + 2..].trim_start_matches(['-', '+']).trim_start().starts_with(word))
            .map(|(start, _)| start)
            .last()
    };
    match (last("raw"), last("endraw")) {
        (Some(raw), Some(end)) => raw > end,
        (raw, _) => raw.is_some(),
    }
}

/// An error of the engine's parser.
pub(crate) fn explain(source: &str, error: &Error) -> Fault {
    let span = place(source, error);
    let detail = error.detail().unwrap_or_default();
    let opened = opening(source, span.start);
    if detail == "unexpected end of comment" {
        return unclosed_comment(source);
    }
    if detail == "unexpected end of raw block" {
        let at = source.rfind("raw").unwrap_or(0);
        return Fault::error(at..at + 3, "`{% raw %}` is never closed", "write `{% endraw %}` behind the text");
    }
    // The parser looks for what is missing up to the end; the place to look at is where it began.
    if detail == "unexpected end of string" || detail.starts_with("unexpected end of input") {
        return unclosed(source, detail, opened.unwrap_or(span));
    }
    let found = source.get(span.clone()).unwrap_or_default();
    if let Some(block) = opened.clone().filter(|block| is_of_another_language(&source[block.start..])) {
        return foreign(source, block);
    }
    if let Some(name) = detail.strip_prefix("unknown statement ") {
        return unknown_statement(name, span);
    }
    let (message, hint) = match (detail, found) {
        ("unexpected end of variable block", "}}") => {
            ("an expression ends before it says anything".to_owned(), "write a name or a value before `}}`")
        }
        ("unexpected end of block", "%}") => {
            ("a statement ends before it says anything".to_owned(), "write a condition or a value before `%}`")
        }
        (_, "}") => ("`}` alone ends nothing here".to_owned(), "an expression ends with `}}`"),
        (_, "&" | "?" | "!" | "$" | ";" | "@" | "\\" | "`" | "^" | "#") => (
            format!("`{found}` means nothing in an expression"),
            "write `and`, `or`, `not`, and `a if condition else b`; shell variables stand outside of `{{ }}`",
        ),
        (_, "=") => ("`=` compares nothing".to_owned(), "write `==` to compare; `{% set name = value %}` gives a name"),
        (_, "for") if detail.starts_with("unexpected") => (
            "a list cannot be written with `for` inside".to_owned(),
            "use filters such as `| map(attribute=\"x\") | list`, or `{% for %}`",
        ),
        _ => (
            in_words(detail),
            "an expression is written `{{ name | filter }}`, a statement `{% if name %} ... {% endif %}`",
        ),
    };
    Fault::error(span, message, hint)
}

fn place(source: &str, error: &Error) -> Range<usize> {
    let range = error.range().unwrap_or(0..0);
    let end = source.ceil_char_boundary(range.end);
    source.floor_char_boundary(range.start).min(end)..end
}

/// Where the block begins that a place stands in.
fn opening(source: &str, at: usize) -> Option<Range<usize>> {
    let before = &source[..source.ceil_char_boundary(at + 2)];
    let start = before.rfind("{{").max(before.rfind("{%"))?;
    Some(start..start + 2)
}

fn unclosed_comment(source: &str) -> Fault {
    let at = source.rfind("{#").unwrap_or(0);
    Fault::error(
        at..at + 2,
        "`{#` begins a comment that never ends",
        "end it with `#}`; where it is meant as text, write `{% raw %}{#{% endraw %}`",
    )
}

fn unclosed(source: &str, detail: &str, opened: Range<usize>) -> Fault {
    let begun = &source[opened.clone()];
    if detail == "unexpected end of string" {
        let message = "a text in quotes is never closed".to_owned();
        return Fault::error(opened, message, "close it with the quote that it begins with");
    }
    if begun == "{%" && source[opened.start..].contains("%}") {
        let word = source[opened.start + 2..].trim_start_matches(['-', '+', ' ']).split_whitespace().next();
        let word = word.unwrap_or_default();
        return Fault::error(
            opened,
            format!("`{{% {word} %}}` is never closed"),
            format!("write `{{% end{word} %}}` behind what belongs to it"),
        );
    }
    let close = if begun == "{%" { "%}" } else { "}}" };
    Fault::error(opened, format!("`{begun}` is never closed"), format!("close it with `{close}`"))
}

/// Templates of Go, Helm and the like begin with a dot.
fn is_of_another_language(block: &str) -> bool {
    let inside = block.trim_start_matches(['{', '%', '-', '+', ' ']);
    inside.starts_with('.')
        || ["range .", "json .", "if .", "println ", "index ."].iter().any(|word| inside.starts_with(word))
}

/// The output format of another program, such as `docker ps --format '{{.Names}}'`.
fn foreign(source: &str, opened: Range<usize>) -> Fault {
    let rest = &source[opened.start..];
    let length = rest.find("}}").map_or(2, |length| length + 2);
    let written = rest[..length].lines().next().unwrap_or_default();
    Fault::error(
        opened.start..opened.start + length,
        format!("`{written}` is read as an expression of this template"),
        format!("where another program is meant to read it, write `{{% raw %}}{written}{{% endraw %}}`"),
    )
}

fn unknown_statement(name: &str, span: Range<usize>) -> Fault {
    if let Some(begun) = name.strip_prefix("end").filter(|begun| STATEMENTS.contains(begun)) {
        return Fault::error(
            span,
            format!("`{{% {name} %}}` closes nothing"),
            format!("take it away, or write `{{% {begun} ... %}}` before it"),
        );
    }
    if matches!(name, "else" | "elif") {
        return Fault::error(
            span,
            format!("`{{% {name} %}}` stands in no `if`"),
            "write `{% if condition %}` before it",
        );
    }
    let hint = match nearest(name, STATEMENTS) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            "statements are `if`, `for`, `set`, `with`, `macro`, `filter` and `raw`; a value is written `{{ ... }}`"
                .to_owned()
        }
    };
    Fault::error(span, format!("there is no statement `{name}`"), hint)
}

/// The parser's words, with the parts of a template as they are written.
fn in_words(detail: &str) -> String {
    let translated = |text: &str| {
        PARTS
            .iter()
            .find(|(name, _)| *name == text)
            .map_or_else(|| text.to_owned(), |(_, written)| (*written).to_owned())
    };
    let Some(rest) = detail.strip_prefix("unexpected ") else { return format!("this is not a template: {detail}") };
    match rest.split_once(", expected ") {
        Some((found, expected)) => {
            format!("{} cannot stand here: {} is expected", translated(found), translated(expected))
        }
        None => format!("{} cannot stand here", translated(rest)),
    }
}
