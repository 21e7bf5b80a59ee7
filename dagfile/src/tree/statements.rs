//! Cuts a file with mistakes into its statements: `[header]` or `key = value`, also where brackets or quotes stay open.

use std::ops::Range;

/// A statement of a file.
pub(super) struct Statement {
    /// Where it stands, without the line's end.
    pub range: Range<usize>,
    /// Where its `=` is; none in a header, and in what is neither.
    pub equals: Option<usize>,
    /// The quotes or bracket that nothing closes.
    pub unclosed: Option<Range<usize>>,
}

/// The statements of a file, without empty lines and comments.
pub(super) fn statements(source: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let line = line_at(source, at);
        let text = line.trim_start();
        if text.trim_end().is_empty() || text.starts_with('#') {
            at += line.len() + 1;
            continue;
        }
        let start = at + line.len() - text.len();
        let equals = (!text.starts_with('[')).then(|| equals(text)).flatten().map(|offset| start + offset);
        let (end, unclosed) = match equals {
            Some(equals) => Scanner { source, at: equals + 1, open: Vec::new() }.value(),
            None => (at + line.len(), None),
        };
        at = end + 1;
        let end = start + source[start..end].trim_end().len();
        statements.push(Statement { range: start..end, equals, unclosed });
    }
    statements
}

/// The line that begins at a place, without its end.
fn line_at(source: &str, at: usize) -> &str {
    source[at..].split('\n').next().unwrap_or_default()
}

/// The place of the first `=` that is not part of a key in quotes.
fn equals(line: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in line.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character == '=' => return Some(at),
            None => {}
        }
    }
    None
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    /// The brackets that are open, with their places.
    open: Vec<(usize, u8)>,
}

impl Scanner<'_> {
    /// Where the value ends, and what of it nothing closes.
    fn value(mut self) -> (usize, Option<Range<usize>>) {
        let bytes = self.source.as_bytes();
        let mut last = b'=';
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'\n' if self.open.is_empty() => return (self.at, None),
                b'\n' if self.begins_anew(last) => return (self.at, self.innermost()),
                b'#' => {
                    self.at += line_at(self.source, self.at).len();
                    continue;
                }
                b'"' | b'\'' => {
                    if let Some(found) = self.text(*byte) {
                        return found;
                    }
                    last = *byte;
                    continue;
                }
                b'[' | b'{' => self.open.push((self.at, *byte)),
                b']' | b'}' => {
                    let opening = if *byte == b']' { b'[' } else { b'{' };
                    if self.open.last().is_some_and(|(_, open)| *open != opening) {
                        return (self.at + line_at(self.source, self.at).len(), self.innermost());
                    }
                    self.open.pop();
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                last = *byte;
            }
            self.at += 1;
        }
        (self.source.len(), self.innermost())
    }

    fn innermost(&self) -> Option<Range<usize>> {
        self.open.last().map(|(at, _)| *at..at + 1)
    }

    /// Whether the next line cannot belong to the bracket that is open: a header, or a key where none may be.
    fn begins_anew(&self, last: u8) -> bool {
        let line = line_at(self.source, self.at + 1);
        let may_have_keys = self.open.last().is_some_and(|(_, open)| *open == b'{') && matches!(last, b',' | b'{');
        is_header(line) || (is_assignment(line) && !may_have_keys)
    }

    /// Goes over a text in quotes. Returns where the value ends if nothing closes a text of several lines.
    fn text(&mut self, quote: u8) -> Option<(usize, Option<Range<usize>>)> {
        let begin = self.at;
        let bytes = self.source.as_bytes();
        if !bytes[begin..].starts_with(&[quote; 3]) {
            self.at += 1;
            while let Some(byte) = bytes.get(self.at).filter(|byte| **byte != b'\n') {
                self.at +=
                    if *byte == b'\\' && quote == b'"' && bytes.get(self.at + 1) != Some(&b'\n') { 2 } else { 1 };
                if *byte == quote {
                    break;
                }
            }
            self.at = self.at.min(bytes.len());
            return None;
        }
        let close = self.closing_triple(quote);
        // What closes it opens the next one where a key stands before it.
        let line = close.map(|close| self.source[..close].rfind('\n').map_or(0, |at| at + 1));
        if let (Some(close), Some(line)) = (close, line)
            && (line <= begin || !is_key_before_text(&self.source[line..close]))
        {
            let further = bytes[close + 3..].iter().take(2).take_while(|byte| **byte == quote).count();
            self.at = close + 3 + further;
            return None;
        }
        let until = line.unwrap_or(self.source.len());
        let mut at = begin + line_at(self.source, begin).len() + 1;
        while at < until && !is_header(line_at(self.source, at)) {
            at += line_at(self.source, at).len() + 1;
        }
        Some((at.min(until).saturating_sub(1).max(begin + 3), Some(begin..begin + 3)))
    }

    fn closing_triple(&self, quote: u8) -> Option<usize> {
        let bytes = self.source.as_bytes();
        let mut at = self.at + 3;
        while at < bytes.len() {
            if bytes[at..].starts_with(&[quote; 3]) {
                return Some(at);
            }
            at += if bytes[at] == b'\\' && quote == b'"' { 2 } else { 1 };
        }
        None
    }
}

/// Whether a line is a header such as `[tasks.load]`, and cannot be an item of a list.
fn is_header(line: &str) -> bool {
    let line = line.split('#').next().unwrap_or_default().trim();
    let name = line.trim_start_matches('[').trim_end_matches(']');
    let is_item = matches!(name, "true" | "false" | "inf" | "nan");
    line.starts_with('[')
        && line.ends_with(']')
        && !is_item
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|one| one.is_ascii_alphanumeric() || "_-.\"' ".contains(one))
}

/// Whether a line is `key = ...`.
fn is_assignment(line: &str) -> bool {
    let (key, _) = line.split_once('=').unwrap_or_default();
    is_bare_key(key)
}

fn is_key_before_text(line: &str) -> bool {
    line.trim_end().strip_suffix('=').is_some_and(is_bare_key)
}

fn is_bare_key(key: &str) -> bool {
    let key = key.trim();
    !key.is_empty() && key.chars().all(|one| one.is_ascii_alphanumeric() || "_-.".contains(one))
}
