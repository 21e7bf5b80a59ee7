//! Cuts a Python source into logical lines of words and other characters; texts and comments are left out.

/// A word, or one character that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Other(char),
}

/// A logical line: it goes on in brackets, and after a backslash.
#[derive(Debug)]
pub(super) struct Line {
    /// Columns before its first character.
    pub indent: usize,
    /// Where it begins; 1 is the first.
    pub number: usize,
    pub tokens: Vec<Token>,
}

/// The logical lines that hold anything.
pub(super) fn lines(source: &str) -> Vec<Line> {
    let mut reader = Reader { rest: source.chars().collect(), at: 0, number: 1 };
    let mut lines = Vec::new();
    while reader.at < reader.rest.len() {
        let line = reader.line();
        if !line.tokens.is_empty() {
            lines.push(line);
        }
    }
    lines
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    number: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek(0)?;
        self.at += 1;
        self.number += usize::from(character == '\n');
        Some(character)
    }

    fn line(&mut self) -> Line {
        let indent = self.indent();
        let mut line = Line { indent, number: self.number, tokens: Vec::new() };
        let mut depth = 0_usize;
        while let Some(character) = self.peek(0) {
            match character {
                '#' => self.comment(),
                '\'' | '"' => self.text(),
                '\n' if depth == 0 => {
                    self.next();
                    break;
                }
                '\\' => {
                    self.next();
                    self.next();
                }
                _ if is_word(character) => line.tokens.push(self.word()),
                _ => {
                    self.next();
                    match character {
                        '(' | '[' | '{' => depth += 1,
                        ')' | ']' | '}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    if !character.is_whitespace() && character != '\u{feff}' {
                        line.tokens.push(Token::Other(character));
                    }
                }
            }
        }
        line
    }

    fn indent(&mut self) -> usize {
        let mut columns = 0;
        while let Some(character @ (' ' | '\t' | '\u{c}' | '\u{feff}')) = self.peek(0) {
            columns = match character {
                '\t' => (columns / 8 + 1) * 8,
                ' ' => columns + 1,
                _ => 0,
            };
            self.next();
        }
        columns
    }

    fn comment(&mut self) {
        while self.peek(0).is_some_and(|character| character != '\n') {
            self.next();
        }
    }

    fn word(&mut self) -> Token {
        let mut word = String::new();
        while let Some(character) = self.peek(0).filter(|character| is_word(*character)) {
            word.push(character);
            self.next();
        }
        // What stands before a text (`r`, `f`, `rb` ...) belongs to it, and names nothing.
        Token::Word(word)
    }

    /// A text: it ends with the quotes that it begins with, or with the line if they are no three.
    fn text(&mut self) {
        let quote = self.next();
        let is_long = self.peek(0) == quote && self.peek(1) == quote;
        if is_long {
            self.at += 2;
        }
        while let Some(character) = self.peek(0) {
            if character == '\n' && !is_long {
                return;
            }
            self.next();
            if character == '\\' {
                self.next();
            } else if Some(character) == quote {
                let closes = !is_long || (self.peek(0) == quote && self.peek(1) == quote);
                if closes {
                    self.at += if is_long { 2 } else { 0 };
                    return;
                }
            }
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
