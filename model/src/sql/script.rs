//! A script as its statements.

use std::ops::Range;

use super::Dialect;
use super::scan::{Kind, Token, scan};

/// A script: statements, each with its place.
#[derive(Debug)]
pub struct Script<'a> {
    dialect: Dialect,
    text: &'a str,
    statements: Vec<Statement>,
}

/// A statement without what separates it from the others.
#[derive(Debug, Clone)]
pub struct Statement {
    tokens: Vec<Token>,
}

impl<'a> Script<'a> {
    /// Reads a script.
    pub fn read(dialect: Dialect, text: &'a str) -> Self {
        let mut statements = Vec::new();
        let mut body = Body::default();
        let mut current = Vec::new();
        for token in scan(dialect, text) {
            match token.kind {
                Kind::End if body.depth == 0 => {
                    statements.extend(Statement::of(std::mem::take(&mut current)));
                    body = Body::default();
                }
                Kind::Delimiter => {}
                _ => {
                    match token.kind {
                        Kind::Word => body.take(dialect, &text[token.range.clone()].to_ascii_lowercase()),
                        Kind::Space | Kind::Comment => {}
                        _ => body.previous.clear(),
                    }
                    current.push(token);
                }
            }
        }
        statements.extend(Statement::of(current));
        Script { dialect, text, statements }
    }

    /// The statements.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The whole of it.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its language.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether a parameter stands somewhere as the only thing in the parentheses of `in (...)`.
    pub fn is_alone_in_a_list(&self, statement: &Statement, name: &str) -> bool {
        let tokens: Vec<&str> = statement
            .tokens
            .iter()
            .filter(|token| !matches!(token.kind, Kind::Space | Kind::Comment))
            .map(|token| &self.text[token.range.clone()])
            .collect();
        tokens.windows(4).any(|four| {
            let [word, open, parameter, close] = four else { return false };
            let is_list = word.eq_ignore_ascii_case("in") && *open == "(" && *close == ")";
            is_list && parameter.strip_prefix(':') == Some(name)
        })
    }

    /// The text of a piece.
    pub fn text_at(&self, token: &Token) -> &'a str {
        &self.text[token.range.clone()]
    }

    /// The text of a statement.
    pub fn text_of(&self, statement: &Statement) -> &'a str {
        &self.text[statement.range()]
    }

    /// The first word of a statement, in small letters.
    pub fn verb(&self, statement: &Statement) -> String {
        let word = statement.tokens.iter().find(|token| token.kind == Kind::Word);
        word.map(|token| self.text[token.range.clone()].to_ascii_lowercase()).unwrap_or_default()
    }

    /// The parameters that the script names, each once, in order.
    pub fn parameters(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        let tokens = self.statements.iter().flat_map(|statement| &statement.tokens);
        for token in tokens.filter(|token| token.kind == Kind::Parameter) {
            let name = &self.text[token.range.start + 1..token.range.end];
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Line and column (both from 1, in characters) of a place in the script.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

impl Statement {
    /// Comments and space around a statement do not belong to it; nothing else is no statement.
    fn of(mut tokens: Vec<Token>) -> Option<Self> {
        let is_code = |token: &Token| !matches!(token.kind, Kind::Space | Kind::Comment);
        let first = tokens.iter().position(is_code)?;
        let last = tokens.iter().rposition(is_code)?;
        tokens.truncate(last + 1);
        tokens.drain(..first);
        Some(Statement { tokens })
    }

    /// Its pieces: put together, they are its text.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Where it stands in the script, in bytes.
    pub fn range(&self) -> Range<usize> {
        let end = self.tokens.last().map_or(0, |token| token.range.end);
        self.tokens.first().map_or(0..0, |token| token.range.start..end)
    }
}

/// Follows `begin` and `end` in the bodies of triggers and functions: what is between them is one statement.
#[derive(Debug, Default)]
struct Body {
    /// The first words, until they say what is created.
    words: Vec<String>,
    has_body: bool,
    /// How many `begin` and `case` wait for their `end`.
    depth: usize,
    /// The word right before.
    previous: String,
}

impl Body {
    fn take(&mut self, dialect: Dialect, word: &str) {
        if self.words.len() < 8 && !self.has_body {
            self.words.push(word.to_owned());
            self.has_body = creates_body(dialect, &self.words);
        } else if self.has_body {
            self.follow(dialect, word);
        }
        word.clone_into(&mut self.previous);
    }

    fn follow(&mut self, dialect: Dialect, word: &str) {
        let is_loop_end = dialect == Dialect::MySql
            && self.previous == "end"
            && matches!(word, "if" | "loop" | "while" | "repeat" | "case");
        match word {
            // `end if` and the like close what was not counted; `end case` closes what was.
            _ if is_loop_end => self.depth += usize::from(word != "case"),
            "begin" if dialect != Dialect::Postgres => self.depth += 1,
            "atomic" if dialect == Dialect::Postgres && self.previous == "begin" => self.depth += 1,
            "case" if self.depth > 0 => self.depth += 1,
            "end" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// Whether these first words of a statement create something with a body.
fn creates_body(dialect: Dialect, words: &[String]) -> bool {
    let [create, middle @ .., what] = words else { return false };
    let mut definer = 0_u8;
    create == "create"
        && dialect.has_body(what)
        && middle.iter().all(|word| match word.as_str() {
            "or" | "replace" | "temp" | "temporary" | "aggregate" => true,
            // `definer = somebody@somewhere`, without quotes two more words.
            "definer" => {
                definer = 2;
                true
            }
            _ if definer > 0 => {
                definer -= 1;
                true
            }
            _ => false,
        })
}
