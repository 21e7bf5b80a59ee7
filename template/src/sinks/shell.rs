//! Values in shell code.
//!
//! Rendering leaves a mark where each value belongs. Here a small reader of bash's quoting follows the code and puts a
//! reference to a variable in place of each mark, quoted for where it stands; the values travel in the environment. No
//! value ever becomes code: if the reader misjudges a place, the text is wrong there, but nothing is executed.

use crate::pieces::{Piece, Pieces};

/// Shell code with the values that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShellScript {
    /// The code.
    pub code: String,
    /// Environment variables for it.
    pub variables: Vec<(String, String)>,
    /// The code with the values in place, to show to people.
    pub shown: String,
}

impl ShellScript {
    /// Code without values.
    pub fn constant(code: &str) -> Self {
        ShellScript { code: code.to_owned(), variables: Vec::new(), shown: code.to_owned() }
    }
}

/// Linux takes no argument or variable longer than this (`MAX_ARG_STRLEN`), its name included.
const VALUE_BYTES_MAX: usize = 128 * 1024 - 64;

/// What surrounds a place in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Around {
    /// Commands; `parens` are open brackets within.
    Code {
        parens: usize,
    },
    Double,
    Single,
    /// `$'...'`
    AnsiC,
    /// `${...}`
    Parameter {
        in_double: bool,
        is_arithmetic: bool,
    },
    /// `$((...))` or `((...))`
    Arithmetic {
        parens: usize,
    },
    Backtick,
    Comment,
    HereDoc {
        delimiter: String,
        strips_tabs: bool,
    },
}

struct HereDocStart {
    delimiter: String,
    is_quoted: bool,
    strips_tabs: bool,
}

struct Quoter<'a> {
    text: &'a str,
    at: usize,
    marks: Marks,
    values: &'a [String],
    used: Vec<bool>,
    out: String,
    around: Vec<Around>,
    here_docs: Vec<HereDocStart>,
    /// The next character may begin a word.
    at_word_start: bool,
}

type Refusal = (usize, String);

/// Puts references in place of the marks.
///
/// # Errors
/// Line and reason: an expression stands where no value can be passed safely.
pub(crate) fn quote(pieces: &Pieces) -> Result<ShellScript, Refusal> {
    let marks = Marks::new(rand::random());
    let (mut text, mut values) = (String::new(), Vec::new());
    for piece in pieces.iter() {
        match piece {
            Piece::Own(own) => text.push_str(own),
            Piece::Value(value) => {
                text.push_str(&marks.write(values.len()));
                values.push(value.text.clone());
            }
        }
    }
    quote_marked(&text, marks, &values)
}

fn quote_marked(text: &str, marks: Marks, values: &[String]) -> Result<ShellScript, Refusal> {
    let mut quoter = Quoter {
        text,
        at: 0,
        marks,
        values,
        used: vec![false; values.len()],
        out: String::with_capacity(text.len() + 16 * values.len()),
        around: vec![Around::Code { parens: 0 }],
        here_docs: Vec::new(),
        at_word_start: true,
    };
    quoter.run()?;
    let variables = quoter
        .used
        .iter()
        .zip(values)
        .enumerate()
        .filter(|(_, (used, _))| **used)
        .map(|(index, (_, value))| (variable(index), value.clone()))
        .collect();
    Ok(ShellScript { code: quoter.out, variables, shown: marks.resolve(text, values) })
}

/// Marks in rendered text: characters for private use around a number, with a nonce so that no value can forge one.
#[derive(Debug, Clone, Copy)]
struct Marks {
    nonce: u64,
}

const OPEN: char = '\u{E0F0}';
const CLOSE: char = '\u{E0F1}';

impl Marks {
    fn new(nonce: u64) -> Self {
        Marks { nonce }
    }

    fn write(self, index: usize) -> String {
        format!("{OPEN}{:x}:{index}{CLOSE}", self.nonce)
    }

    /// The mark at the start of a text: its index, and its length in bytes.
    fn read(self, text: &str) -> Option<(usize, usize)> {
        let inner = text.strip_prefix(OPEN)?;
        let (inner, _) = inner.split_once(CLOSE)?;
        let (nonce, index) = inner.split_once(':')?;
        (nonce == format!("{:x}", self.nonce)).then_some(())?;
        Some((index.parse().ok()?, OPEN.len_utf8() + inner.len() + CLOSE.len_utf8()))
    }

    /// A text with values in place of marks.
    fn resolve<T: AsRef<str>>(self, text: &str, values: &[T]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((index, length)) = self.read(rest) {
                out.push_str(values.get(index).map_or("", T::as_ref));
                rest = &rest[length..];
            } else {
                out.push(OPEN);
                rest = &rest[OPEN.len_utf8()..];
            }
        }
        out.push_str(rest);
        out
    }
}

fn variable(index: usize) -> String {
    format!("FLOW_VALUE_{}", index + 1)
}

impl Quoter<'_> {
    fn run(&mut self) -> Result<(), Refusal> {
        while self.at < self.text.len() {
            if let Some((index, length)) = self.marks.read(self.rest()) {
                self.place(index)?;
                self.at += length;
                self.at_word_start = false;
                continue;
            }
            match self.top() {
                Around::Code { .. } | Around::Backtick => self.in_code()?,
                Around::Double => self.in_double(),
                Around::Single => self.until('\''),
                Around::AnsiC => self.in_ansi_c(),
                Around::Parameter { in_double, .. } => self.in_parameter(in_double),
                Around::Arithmetic { parens } => self.in_arithmetic(parens),
                Around::Comment => self.in_comment(),
                Around::HereDoc { .. } => self.in_here_doc(),
            }
        }
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn top(&self) -> Around {
        self.around.last().cloned().unwrap_or(Around::Code { parens: 0 })
    }

    fn pop(&mut self) {
        if self.around.len() > 1 {
            self.around.pop();
        }
    }

    fn refuse<T>(&self, why: &str) -> Result<T, Refusal> {
        let line = 1 + self.text[..self.at].matches('\n').count();
        Err((line, why.to_owned()))
    }

    /// Copies `count` bytes' worth of text.
    fn copy(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        self.out.push_str(&self.text[self.at..end]);
        self.at = end;
    }

    fn copy_char(&mut self) -> char {
        let character = self.rest().chars().next().unwrap_or('\0');
        self.copy(character.len_utf8());
        character
    }

    /// A backslash and what it protects; a mark after it is not copied.
    fn copy_escape(&mut self) {
        self.copy(1);
        if !self.rest().is_empty() && self.marks.read(self.rest()).is_none() {
            self.copy_char();
        }
    }

    /// Puts the reference to a value.
    fn place(&mut self, index: usize) -> Result<(), Refusal> {
        let value = self.values.get(index).map_or("", String::as_str);
        let follows_backslash = {
            let slashes = self.out.chars().rev().take_while(|character| *character == '\\').count();
            slashes % 2 == 1
        };
        let top = self.top();
        if follows_backslash && !matches!(top, Around::Single | Around::Comment) {
            return self.refuse(
                "an expression cannot follow a backslash\nhint: take the backslash away: values are quoted already",
            );
        }
        if matches!(top, Around::Comment) {
            return Ok(());
        }
        if value.contains('\0') {
            return self.refuse("the value holds a NUL character, which no shell variable can hold");
        }
        if value.len() > VALUE_BYTES_MAX {
            return self.refuse(
                "the value is longer than 128 KiB, which no variable can hold\nhint: write it to a file in the task before, and pass the file's path",
            );
        }
        let name = variable(index);
        match top {
            Around::Code { .. } => self.out.push_str(&format!("\"${{{name}}}\"")),
            Around::Double | Around::HereDoc { .. } => self.out.push_str(&format!("${{{name}}}")),
            Around::Single => self.out.push_str(&format!("'\"${{{name}}}\"'")),
            Around::AnsiC => self.out.push_str(&format!("'\"${{{name}}}\"$'")),
            Around::Parameter { is_arithmetic: false, in_double: true } => self.out.push_str(&format!("${{{name}}}")),
            Around::Parameter { is_arithmetic: false, in_double: false } => {
                self.out.push_str(&format!("\"${{{name}}}\""));
            }
            Around::Arithmetic { .. } | Around::Parameter { is_arithmetic: true, .. } => {
                // Bash evaluates the content of variables here: `a[$(command)]` would run a command.
                if value.is_empty() || !value.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
                    return self.refuse(
                        "the value stands in shell arithmetic and is not a whole number\nhint: bash would evaluate it as code; put it into a variable and check it first",
                    );
                }
                self.out.push_str(&format!("${{{name}}}"));
            }
            Around::Backtick => {
                return self.refuse(
                    "an expression stands inside backticks, where quoting is ambiguous\nhint: write $(...) instead",
                );
            }
            Around::Comment => {}
        }
        self.used[index] = true;
        Ok(())
    }

    /// What begins with `$` or a backtick; true if something was taken.
    fn expansion(&mut self, in_double: bool) -> bool {
        let rest = self.rest();
        let (length, next) = if rest.starts_with("$((") {
            (3, Around::Arithmetic { parens: 0 })
        } else if rest.starts_with("$(") {
            (2, Around::Code { parens: 0 })
        } else if let Some(inside) = rest.strip_prefix("${") {
            (2, Around::Parameter { in_double, is_arithmetic: parameter_is_arithmetic(inside) })
        } else if rest.starts_with("$'") && !in_double {
            (2, Around::AnsiC)
        } else if rest.starts_with("$\"") && !in_double {
            (2, Around::Double)
        } else if rest.starts_with('`') {
            self.copy(1);
            if self.around.contains(&Around::Backtick) {
                while self.around.len() > 1 && self.around.pop() != Some(Around::Backtick) {}
            } else {
                self.around.push(Around::Backtick);
            }
            return true;
        } else {
            return false;
        };
        let opens_code = matches!(next, Around::Code { .. });
        self.copy(length);
        self.around.push(next);
        self.at_word_start = opens_code;
        true
    }

    fn in_code(&mut self) -> Result<(), Refusal> {
        let was_word_start = std::mem::replace(&mut self.at_word_start, false);
        let rest = self.rest();
        if rest.starts_with("((") && was_word_start {
            self.copy(2);
            self.around.push(Around::Arithmetic { parens: 0 });
            return Ok(());
        }
        if rest.starts_with("<<<") {
            self.copy(3);
            return Ok(());
        }
        if rest.starts_with("<<") {
            return self.here_doc_operator();
        }
        if self.expansion(false) {
            return Ok(());
        }
        match self.rest().as_bytes()[0] {
            b'\\' => self.copy_escape(),
            b'\'' => {
                self.copy(1);
                self.around.push(Around::Single);
            }
            b'"' => {
                self.copy(1);
                self.around.push(Around::Double);
            }
            b'#' if was_word_start => self.around.push(Around::Comment),
            b'(' => {
                self.copy(1);
                self.at_word_start = true;
                self.nest(1);
            }
            b')' => {
                self.copy(1);
                self.nest(-1);
            }
            b'\n' => {
                self.copy(1);
                self.at_word_start = true;
                self.begin_here_docs()?;
            }
            b' ' | b'\t' | b';' | b'&' | b'|' | b'<' | b'>' => {
                self.copy(1);
                self.at_word_start = true;
            }
            _ => {
                self.copy_char();
            }
        }
        Ok(())
    }

    fn nest(&mut self, by: isize) {
        let is_outermost = self.around.len() == 1;
        match self.around.last_mut() {
            Some(Around::Code { parens }) if by > 0 => *parens += 1,
            Some(Around::Code { parens }) if *parens > 0 => *parens -= 1,
            Some(Around::Code { .. }) if !is_outermost => {
                self.around.pop();
            }
            _ => {}
        }
    }

    fn in_double(&mut self) {
        if self.expansion(true) {
            return;
        }
        match self.rest().as_bytes()[0] {
            b'\\' => self.copy_escape(),
            b'"' => {
                self.copy(1);
                self.pop();
            }
            _ => {
                self.copy_char();
            }
        }
    }

    fn until(&mut self, end: char) {
        if self.copy_char() == end {
            self.pop();
        }
    }

    fn in_ansi_c(&mut self) {
        if self.rest().starts_with('\\') { self.copy_escape() } else { self.until('\'') }
    }

    fn in_parameter(&mut self, in_double: bool) {
        if self.expansion(in_double) {
            return;
        }
        match self.rest().as_bytes()[0] {
            b'\\' => self.copy_escape(),
            b'}' => {
                self.copy(1);
                self.pop();
            }
            b'"' => {
                self.copy(1);
                self.around.push(Around::Double);
            }
            b'\'' if !in_double => {
                self.copy(1);
                self.around.push(Around::Single);
            }
            _ => {
                self.copy_char();
            }
        }
    }

    fn in_arithmetic(&mut self, parens: usize) {
        if self.expansion(false) {
            return;
        }
        if parens == 0 && self.rest().starts_with("))") {
            self.copy(2);
            self.pop();
            return;
        }
        let character = self.copy_char();
        if let Some(Around::Arithmetic { parens }) = self.around.last_mut() {
            match character {
                '(' => *parens += 1,
                ')' => *parens = parens.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn in_comment(&mut self) {
        if self.rest().starts_with('\n') {
            self.pop();
        } else {
            self.copy_char();
        }
    }

    /// `<<WORD`, `<<-WORD`, `<<'WORD'`.
    fn here_doc_operator(&mut self) -> Result<(), Refusal> {
        self.copy(2);
        let strips_tabs = self.rest().starts_with('-');
        if strips_tabs {
            self.copy(1);
        }
        while self.rest().starts_with([' ', '\t']) {
            self.copy(1);
        }
        let mut delimiter = String::new();
        let mut is_quoted = false;
        let mut quote = None;
        while let Some(character) = self.rest().chars().next() {
            if self.marks.read(self.rest()).is_some() {
                return self.refuse("an expression cannot name the end of a here-document");
            }
            match (quote, character) {
                (None, '\'' | '"') => {
                    quote = Some(character);
                    is_quoted = true;
                }
                (Some(open), _) if open == character => quote = None,
                (None, '\\') => is_quoted = true,
                (None, ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')') => break,
                _ => delimiter.push(character),
            }
            self.copy_char();
        }
        self.here_docs.push(HereDocStart { delimiter, is_quoted, strips_tabs });
        Ok(())
    }

    /// The bodies of here-documents begin after the line that names them.
    fn begin_here_docs(&mut self) -> Result<(), Refusal> {
        if self.here_docs.is_empty() {
            return Ok(());
        }
        let start = self.here_docs.remove(0);
        if start.is_quoted {
            self.literal_here_doc(&start)?;
            return self.begin_here_docs();
        }
        self.around.push(Around::HereDoc { delimiter: start.delimiter, strips_tabs: start.strips_tabs });
        self.end_here_doc_here()
    }

    /// Nothing is expanded in the body, so that a value can only stand there as text.
    fn literal_here_doc(&mut self, start: &HereDocStart) -> Result<(), Refusal> {
        while !self.rest().is_empty() {
            let line = self.rest().split_inclusive('\n').next().unwrap_or_default().to_owned();
            let shown = self.marks.resolve(&line, self.values);
            let is_end = is_delimiter(&line, start);
            if !is_end && shown.split('\n').any(|line| is_delimiter(line, start)) {
                return self.refuse("the value would end the here-document that it stands in");
            }
            if shown.contains('\0') {
                return self.refuse("the value holds a NUL character, which no script can hold");
            }
            self.out.push_str(&shown);
            self.at += line.len();
            if is_end {
                break;
            }
        }
        Ok(())
    }

    fn in_here_doc(&mut self) {
        if self.rest().starts_with('\\') {
            self.copy_escape();
        } else if !self.expansion(true) && self.copy_char() == '\n' {
            // Quoted here-documents cannot begin inside another one, so nothing can be refused.
            let _ = self.end_here_doc_here();
        }
    }

    /// At the start of a line: ends the here-document if this is its last line.
    fn end_here_doc_here(&mut self) -> Result<(), Refusal> {
        let Some(Around::HereDoc { delimiter, strips_tabs }) = self.around.last().cloned() else { return Ok(()) };
        let line = self.rest().split_inclusive('\n').next().unwrap_or_default().to_owned();
        let start = HereDocStart { delimiter, is_quoted: false, strips_tabs };
        if !is_delimiter(&line, &start) {
            return Ok(());
        }
        self.copy(line.len());
        self.pop();
        self.at_word_start = true;
        self.begin_here_docs()
    }
}

fn is_delimiter(line: &str, start: &HereDocStart) -> bool {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = if start.strips_tabs { line.trim_start_matches('\t') } else { line };
    line == start.delimiter
}

/// Whether what follows the name in `${name...}` is evaluated as arithmetic: a subscript or an offset.
fn parameter_is_arithmetic(inside: &str) -> bool {
    let after_name = inside
        .trim_start_matches(['!', '#'])
        .trim_start_matches(|character: char| character.is_ascii_alphanumeric() || "_@*?-$".contains(character));
    match after_name.as_bytes() {
        [b'[', ..] => true,
        [b':', next, ..] => !b"-=+?".contains(next),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reading_any_code_ends(code in "[ -~\n]{0,60}", value in "[ -~]{0,8}") {
            let marks = Marks::new(7);
            let marked = format!("{code}{}{code}", marks.write(0));
            if let Ok(script) = quote_marked(&marked, marks, std::slice::from_ref(&value)) {
                prop_assert_eq!(script.shown, format!("{code}{value}{code}"));
            }
        }
    }
}
