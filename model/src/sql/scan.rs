//! Cuts a script into tokens, just finely enough to know what is code, and what is text, a name or a comment.
//!
//! Whatever the script holds, the tokens put together are the script. What is not closed reaches to the end.

use std::ops::Range;

use super::Dialect;

/// What a piece of a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word without quotes: a keyword, a name, a number.
    Word,
    /// A text or a name in quotes of any kind.
    Quoted,
    /// A comment.
    Comment,
    /// White space.
    Space,
    /// `:name`.
    Parameter,
    /// A placeholder of the database's own: `?`, `$1`, `@name`.
    Placeholder,
    /// What ends a statement: `;`, or what `delimiter` has said.
    End,
    /// A line `delimiter //`, as MySQL's own client understands it.
    Delimiter,
    /// Anything else.
    Other,
}

/// A piece of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands, in bytes.
    pub range: Range<usize>,
}

/// Cuts a script into tokens.
pub fn scan(dialect: Dialect, text: &str) -> Vec<Token> {
    let mut scanner = Scanner { dialect, text, delimiter: ";", at: 0, is_at_start: true };
    let mut tokens = Vec::new();
    while scanner.at < text.len() {
        let begin = scanner.at;
        let kind = scanner.step();
        scanner.is_at_start = match kind {
            Kind::Space | Kind::Comment => scanner.is_at_start,
            kind => matches!(kind, Kind::End | Kind::Delimiter),
        };
        tokens.push(Token { kind, range: begin..scanner.at });
    }
    tokens
}

struct Scanner<'a> {
    dialect: Dialect,
    text: &'a str,
    delimiter: &'a str,
    at: usize,
    /// Whether the current statement has no code yet.
    is_at_start: bool,
}

impl Scanner<'_> {
    fn step(&mut self) -> Kind {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(self.delimiter.as_bytes()) {
            self.at += self.delimiter.len();
            return Kind::End;
        }
        let byte = rest[0];
        if let Some(length) = comment(self.dialect, rest) {
            self.at += length;
            return Kind::Comment;
        }
        if byte.is_ascii_whitespace() {
            self.at += span(rest, |byte| byte.is_ascii_whitespace());
            return Kind::Space;
        }
        if let Some(close) = self.dialect.closing_quote(byte) {
            self.at += quoted(rest, close, self.dialect.has_backslash_escapes(byte, self.follows_e()));
            return Kind::Quoted;
        }
        if is_word(byte) {
            return self.word(rest);
        }
        match byte {
            b'$' if self.dialect == Dialect::Postgres && !self.follows_word() => self.dollar(rest),
            b':' => self.colon(rest),
            b'?' if self.dialect != Dialect::Postgres => {
                self.at += 1 + span(&rest[1..], |byte| byte.is_ascii_digit());
                Kind::Placeholder
            }
            b'@' | b'$' if self.dialect == Dialect::Sqlite && rest.get(1).copied().is_some_and(is_word) => {
                self.at += 1 + span(&rest[1..], is_word);
                Kind::Placeholder
            }
            _ => {
                self.at += 1;
                Kind::Other
            }
        }
    }

    fn word(&mut self, rest: &[u8]) -> Kind {
        // A word takes `$` in, where it does not begin with one.
        let length = span(rest, |byte| is_word(byte) || byte == b'$');
        if self.dialect == Dialect::MySql && self.is_at_start && rest[..length].eq_ignore_ascii_case(b"delimiter") {
            let line = span(rest, |byte| byte != b'\n');
            let text = self.text;
            let delimiter = text[self.at + length..self.at + line].trim();
            self.delimiter = if delimiter.is_empty() { ";" } else { delimiter };
            self.at += line;
            return Kind::Delimiter;
        }
        self.at += length;
        Kind::Word
    }

    /// `$1`, or a text between `$tag$` and `$tag$`.
    fn dollar(&mut self, rest: &[u8]) -> Kind {
        let digits = span(&rest[1..], |byte| byte.is_ascii_digit());
        if digits > 0 {
            self.at += 1 + digits;
            return Kind::Placeholder;
        }
        let tag = 1 + span(&rest[1..], is_word);
        if rest.get(tag) != Some(&b'$') {
            self.at += 1;
            return Kind::Other;
        }
        let fence = &rest[..=tag];
        let body = &rest[fence.len()..];
        let end = body.windows(fence.len()).position(|window| window == fence);
        self.at += end.map_or(rest.len(), |end| end + 2 * fence.len());
        Kind::Quoted
    }

    /// `:name`; but not `::type`, `:=`, or what stands between the bounds of a slice.
    fn colon(&mut self, rest: &[u8]) -> Kind {
        if rest.get(1) == Some(&b':') {
            self.at += 2;
            return Kind::Other;
        }
        let is_name = rest.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
        let follows_value = self.follows_word() || self.previous().is_some_and(|byte| matches!(byte, b')' | b']'));
        if !is_name || follows_value {
            self.at += 1;
            return Kind::Other;
        }
        self.at += 1 + span(&rest[1..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        Kind::Parameter
    }

    fn previous(&self) -> Option<u8> {
        self.at.checked_sub(1).map(|at| self.text.as_bytes()[at])
    }

    fn follows_word(&self) -> bool {
        self.previous().is_some_and(|byte| is_word(byte) || byte == b'$')
    }

    /// Whether an `E` that is a word of its own stands right before.
    fn follows_e(&self) -> bool {
        let before = &self.text.as_bytes()[..self.at];
        matches!(before, [b'e' | b'E'])
            || matches!(before, [.., other, b'e' | b'E'] if !is_word(*other) && *other != b'$')
    }
}

/// Bytes beyond ASCII belong to words: no database gives them another meaning outside of quotes.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn span(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// The length of a comment that begins here.
fn comment(dialect: Dialect, rest: &[u8]) -> Option<usize> {
    let line = || span(rest, |byte| byte != b'\n');
    match (rest, dialect) {
        // In MySQL, `5--1` is a calculation.
        ([b'-', b'-', next, ..], Dialect::MySql) if !next.is_ascii_whitespace() => None,
        ([b'-', b'-', ..], _) | ([b'#', ..], Dialect::MySql) => Some(line()),
        ([b'/', b'*', ..], _) => Some(block(rest, dialect == Dialect::Postgres)),
        _ => None,
    }
}

/// The length of a comment from `/*` to `*/`; PostgreSQL nests them.
fn block(rest: &[u8], is_nested: bool) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() {
        match &rest[at..] {
            [b'*', b'/', ..] => {
                (at, depth) = (at + 2, depth - 1);
                if depth == 0 {
                    return at;
                }
            }
            [b'/', b'*', ..] if is_nested => (at, depth) = (at + 2, depth + 1),
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a text in quotes; the closing quote twice stands for itself.
fn quoted(rest: &[u8], close: u8, has_escapes: bool) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if has_escapes => at += 2,
            byte if byte == close && close != b']' && rest.get(at + 1) == Some(&close) => at += 2,
            byte if byte == close => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}
