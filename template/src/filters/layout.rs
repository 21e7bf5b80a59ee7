//! Filters that lay text out: lines of a width, texts of a length.

use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, Value};

use crate::arguments::{Arguments, invalid};
use crate::python;

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("center", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("center", &["value", "width"], &args, &named)?;
        let width = limited(arguments.length(1)?.unwrap_or(80))?;
        Ok::<_, Error>(centered(&python::text(arguments.required(0)?), width, ' '))
    });
    environment.add_filter("truncate", |args: Rest<Value>, named: Kwargs| {
        let names = ["s", "length", "killwords", "end", "leeway"];
        let arguments = Arguments::of("truncate", &names, &args, &named)?;
        let text = arguments.required(0)?;
        let text = text.as_str().ok_or_else(|| arguments.wrong(0, "a text"))?;
        let (length, end) = (arguments.length(1)?.unwrap_or(255), arguments.text(3)?.unwrap_or("..."));
        let Some(kept) = length.checked_sub(end.chars().count()) else {
            return Err(invalid(format!("`truncate`: a length of {length} has no room for `{end}`")));
        };
        if text.chars().count() <= length + arguments.length(4)?.unwrap_or(5) {
            return Ok(text.to_owned());
        }
        let kept: String = text.chars().take(kept).collect();
        let kept =
            if arguments.is_true(2) { &kept } else { kept.rsplit_once(' ').map_or(kept.as_str(), |(kept, _)| kept) };
        Ok(format!("{kept}{end}"))
    });
    environment.add_filter("wordcount", |value: Value| {
        let text = python::text(&value);
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()
    });
    environment.add_filter("wordwrap", |args: Rest<Value>, named: Kwargs| {
        let names = ["s", "width", "break_long_words", "wrapstring", "break_on_hyphens"];
        let arguments = Arguments::of("wordwrap", &names, &args, &named)?;
        let text = python::text(arguments.required(0)?);
        let wrap = Wrap {
            width: arguments.length(1)?.unwrap_or(79),
            breaks_words: !arguments.has(2) || arguments.is_true(2),
            breaks_hyphens: !arguments.has(4) || arguments.is_true(4),
        };
        if wrap.width == 0 {
            return Err(arguments.wrong(1, "1 or more"));
        }
        let wrapped: Vec<String> =
            text.lines().map(|line| wrap.lines(line).join(arguments.text(3).ok().flatten().unwrap_or("\n"))).collect();
        Ok(wrapped.join(arguments.text(3)?.unwrap_or("\n")))
    });
    environment.add_filter("indent", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("indent", &["s", "width", "first", "blank"], &args, &named)?;
        let text = python::text(arguments.required(0)?);
        let indention = match arguments.text(1) {
            Ok(text) => text.map_or_else(|| "    ".to_owned(), str::to_owned),
            Err(_) => " ".repeat(limited(arguments.length(1)?.unwrap_or(4))?),
        };
        Ok::<_, Error>(indented(&text, &indention, arguments.is_true(2), arguments.is_true(3)))
    });
}

/// No text is padded further.
const WIDTH_MAX: usize = 1_000_000;

/// # Errors
/// It is wider than anybody needs.
pub(crate) fn limited(width: usize) -> Result<usize, Error> {
    if width > WIDTH_MAX {
        return Err(invalid(format!("a width of {width} is too much; the limit is {WIDTH_MAX}")));
    }
    Ok(width)
}

/// A text in the middle, as Python's `center` puts it.
pub(crate) fn centered(text: &str, width: usize, fill: char) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    let fills = |count| std::iter::repeat_n(fill, count).collect::<String>();
    format!("{}{text}{}", fills(left), fills(missing - left))
}

fn indented(text: &str, indention: &str, also_first: bool, also_blank: bool) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let indent = |(index, line): (usize, &&str)| match (index, line.is_empty()) {
        (0, _) if !also_first => (*line).to_owned(),
        (0, _) => format!("{indention}{line}"),
        (_, true) if !also_blank => String::new(),
        _ => format!("{indention}{line}"),
    };
    lines.iter().enumerate().map(indent).collect::<Vec<_>>().join("\n")
}

/// Breaks lines as Python's `textwrap` does.
struct Wrap {
    width: usize,
    breaks_words: bool,
    breaks_hyphens: bool,
}

impl Wrap {
    fn lines(&self, line: &str) -> Vec<String> {
        let mut chunks: Vec<String> = self.chunks(line);
        chunks.reverse();
        let mut lines = Vec::new();
        while let Some(next) = chunks.last() {
            if !lines.is_empty() && next.trim().is_empty() {
                chunks.pop();
                continue;
            }
            let (mut current, mut length) = (Vec::new(), 0);
            while let Some(chunk) = chunks.pop() {
                let chunk_length = chunk.chars().count();
                if length + chunk_length > self.width {
                    chunks.push(chunk);
                    break;
                }
                length += chunk_length;
                current.push(chunk);
            }
            if chunks.last().is_some_and(|chunk| chunk.chars().count() > self.width) {
                self.take_long_word(&mut chunks, &mut current, length);
            }
            if current.last().is_some_and(|chunk| chunk.trim().is_empty()) {
                current.pop();
            }
            if !current.is_empty() {
                lines.push(current.concat());
            }
        }
        lines
    }

    /// A word that is longer than a line: broken, or on a line of its own.
    fn take_long_word(&self, chunks: &mut Vec<String>, current: &mut Vec<String>, length: usize) {
        let Some(chunk) = chunks.pop() else { return };
        if self.breaks_words {
            let mut end = self.width - length;
            if self.breaks_hyphens
                && let Some(hyphen) = chunk.chars().take(end).collect::<Vec<_>>().iter().rposition(|c| *c == '-')
                && hyphen > 0
                && chunk.chars().take(hyphen).any(|c| c != '-')
            {
                end = hyphen + 1;
            }
            current.push(chunk.chars().take(end).collect());
            chunks.push(chunk.chars().skip(end).collect());
        } else if current.is_empty() {
            current.push(chunk);
        } else {
            chunks.push(chunk);
        }
    }

    /// Words and the spaces between them; words with hyphens in pieces.
    fn chunks(&self, line: &str) -> Vec<String> {
        let mut chunks: Vec<String> = Vec::new();
        let characters: Vec<char> = line.chars().collect();
        let mut start = 0;
        for index in 1..=characters.len() {
            if index == characters.len() || self.is_break(&characters, start, index) {
                chunks.push(characters[start..index].iter().collect());
                start = index;
            }
        }
        chunks
    }

    fn is_break(&self, characters: &[char], start: usize, index: usize) -> bool {
        let (before, after) = (characters[index - 1], characters[index]);
        if before.is_whitespace() != after.is_whitespace() {
            return true;
        }
        let is_letter = |at: usize| characters.get(at).is_some_and(|c| c.is_alphabetic());
        self.breaks_hyphens
            && before == '-'
            && index - start >= 3
            && is_letter(index - 2)
            && (is_letter(index - 3) || (characters[index - 3] == '-' && index - start >= 4 && is_letter(index - 4)))
            && is_letter(index)
            && (is_letter(index + 1) || (characters.get(index + 1) == Some(&'-') && is_letter(index + 2)))
    }
}
