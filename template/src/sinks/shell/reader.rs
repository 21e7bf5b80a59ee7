//! Follows bash's quoting, so that each value is written for where it stands.

use flow_model::limits::SHELL_VALUE_BYTES_MAX;

use super::here_doc::HereDocStart;
use super::words::Words;
use super::{Refusal, Source, risk, variable};

/// What is said of a longer one.
pub(super) const TOO_LONG: &str = "the value is longer than 128 KiB, which no variable can hold\nhint: write it to a file in the task before, and pass the file's path";

/// What surrounds a place in the code.
#[derive(Debug)]
pub(super) enum Frame {
    /// Commands.
    Code {
        words: Box<Words>,
        opened: Opened,
    },
    Double,
    Single,
    /// `$'...'`
    AnsiC,
    /// `${...}`
    Parameter {
        in_double: bool,
        is_arithmetic: bool,
        text: String,
    },
    /// `$((...))`, `((...))`, `$[...]`, `name[...]`
    Arithmetic {
        depth: usize,
        close: &'static str,
        text: String,
    },
    Comment,
    HereDoc(HereDocStart),
}

/// How commands began, and so how they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// With the file.
    Outermost,
    /// `(`, `$(`, `<(`
    Bracket,
    /// `name=(`: words, and no commands.
    Array,
    Backtick,
}

pub(super) struct Reader<'a> {
    pub source: &'a Source,
    pub at: usize,
    /// The next value, as an index into the places.
    pub next: usize,
    pub used: Vec<bool>,
    pub out: String,
    /// Pieces of `out` that are replaced in the end: start, length, and what comes there instead.
    pub patches: Vec<(usize, usize, String)>,
    pub frames: Vec<Frame>,
    /// Here-documents that begin with the next line, each with the depth of its frame.
    pub here_docs: Vec<(usize, HereDocStart)>,
    pub risks: risk::Risks,
}

/// The code with references in place of the values, and which of them it refers to.
pub(super) fn read(source: &Source) -> Result<(String, Vec<bool>), Refusal> {
    let mut reader = Reader {
        source,
        at: 0,
        next: 0,
        used: vec![false; source.values.len()],
        out: String::with_capacity(source.text.len() + 16 * source.values.len()),
        patches: Vec::new(),
        frames: vec![Frame::Code { words: Box::default(), opened: Opened::Outermost }],
        here_docs: Vec::new(),
        risks: risk::Risks::default(),
    };
    reader.run()?;
    while !reader.frames.is_empty() {
        reader.close()?;
    }
    reader.risks.conclude(&source.values)?;
    let mut out = reader.out;
    reader.patches.sort();
    for (start, length, text) in reader.patches.into_iter().rev() {
        out.replace_range(start..start + length, &text);
    }
    Ok((out, reader.used))
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), Refusal> {
        loop {
            if self.is_at_value() {
                self.place()?;
                continue;
            }
            if self.at >= self.source.text.len() {
                return Ok(());
            }
            match self.frames.last() {
                None | Some(Frame::Code { .. }) => self.in_code()?,
                Some(Frame::Double) => self.in_double()?,
                Some(Frame::Single) => self.until('\''),
                Some(Frame::AnsiC) => self.in_ansi_c(),
                Some(Frame::Parameter { in_double, .. }) => self.in_parameter(*in_double)?,
                Some(Frame::Arithmetic { .. }) => self.in_arithmetic()?,
                Some(Frame::Comment) => self.in_comment(),
                Some(Frame::HereDoc(_)) => self.in_here_doc()?,
            }
        }
    }

    /// The author's text up to the next value.
    pub fn rest(&self) -> &str {
        let end = self.source.places.get(self.next).copied().unwrap_or(self.source.text.len());
        &self.source.text[self.at..end]
    }

    pub fn is_at_value(&self) -> bool {
        self.source.places.get(self.next) == Some(&self.at)
    }

    pub fn line(&self) -> usize {
        1 + self.source.text[..self.at].matches('\n').count()
    }

    pub fn refuse<T>(&self, why: &str) -> Result<T, Refusal> {
        Err((self.line(), why.to_owned()))
    }

    /// The words of the commands that the place belongs to; in a here-document there are none.
    pub fn words(&mut self) -> Option<&mut Words> {
        for frame in self.frames.iter_mut().rev() {
            match frame {
                Frame::Code { words, .. } => return Some(words),
                Frame::HereDoc(_) => return None,
                _ => {}
            }
        }
        None
    }

    /// Copies text that is no part of a word: quotes, separators.
    pub fn emit(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.source.text.len());
        self.out.push_str(&self.source.text[self.at..end]);
        self.at = end;
    }

    /// Copies text that is part of a word.
    pub fn copy(&mut self, bytes: usize) {
        let text = self.source.text[self.at..self.at + bytes].to_owned();
        if let Some(words) = self.words() {
            words.feed(&text);
        }
        if let Some(Frame::Arithmetic { text: all, .. } | Frame::Parameter { text: all, .. }) = self.frames.last_mut() {
            all.push_str(&text);
        }
        self.emit(bytes);
    }

    pub fn copy_char(&mut self) -> char {
        let character = self.rest().chars().next().unwrap_or('\0');
        self.copy(character.len_utf8().min(self.rest().len()));
        character
    }

    /// A backslash and what it protects.
    pub fn copy_escape(&mut self) {
        self.emit(1);
        if self.rest().is_empty() {
            return;
        }
        if self.rest().starts_with('\n') {
            self.emit(1);
        } else {
            self.copy_char();
        }
    }

    /// A quotation mark that begins a word, or goes on with one.
    pub fn open_quote(&mut self, bytes: usize, frame: Frame) {
        if let Some(words) = self.words() {
            words.feed("");
        }
        self.emit(bytes);
        self.frames.push(frame);
    }

    /// Ends the innermost frame.
    pub fn close(&mut self) -> Result<(), Refusal> {
        match self.frames.pop() {
            Some(Frame::Code { mut words, opened: Opened::Array }) => {
                let inner = words.take_words();
                if let Some(around) = self.words() {
                    around.add_words(inner, words.seen());
                }
                Ok(())
            }
            Some(Frame::Code { mut words, .. }) => {
                words.end_command(false, &self.source.values, &mut self.risks)?;
                let mut seen = words.seen().to_vec();
                for frame in &self.frames {
                    if let Frame::Code { words: outer, .. } = frame {
                        seen.extend(outer.printed_by(words.called()));
                    }
                }
                if let (false, Some(around)) = (seen.is_empty(), self.words()) {
                    around.add_printed(&seen);
                }
                Ok(())
            }
            Some(Frame::Arithmetic { text, .. }) => {
                self.risks.evaluate(&text, risk::Use::Arithmetic, self.line());
                Ok(())
            }
            Some(Frame::Parameter { is_arithmetic, text, .. }) => {
                let is_inside = self.frames.iter().any(|frame| matches!(frame, Frame::Arithmetic { .. }));
                let after_name = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "!#_@*".contains(c));
                if is_inside || is_arithmetic {
                    let text = if is_inside { &text } else { after_name };
                    self.risks.evaluate(text, risk::Use::Arithmetic, self.line());
                }
                let name = text.trim_start_matches('!');
                let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())];
                if text.starts_with('!') {
                    self.risks.evaluate(name, risk::Use::Name, self.line());
                } else if text.ends_with("@P") {
                    self.risks.evaluate(name, risk::Use::Prompt, self.line());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts the reference to the value that stands here.
    fn place(&mut self) -> Result<(), Refusal> {
        let index = self.next;
        let value = &self.source.values[index];
        if matches!(self.frames.last(), Some(Frame::Comment)) {
            self.next += 1;
            return Ok(());
        }
        let slashes = self.out.chars().rev().take_while(|character| *character == '\\').count();
        if slashes % 2 == 1 && !matches!(self.frames.last(), Some(Frame::Single)) {
            return self.refuse(
                "an expression cannot follow a backslash\nhint: take the backslash away: values are quoted already",
            );
        }
        if value.contains('\0') {
            return self.refuse("the value holds a NUL character, which no shell variable can hold");
        }
        if value.len() > SHELL_VALUE_BYTES_MAX {
            return self.refuse(TOO_LONG);
        }
        self.check_surroundings(index)?;
        let line = self.line();
        for frame in &self.frames {
            if let Frame::Parameter { text, .. } = frame {
                self.risks.assign_in_parameter(text, index);
            }
        }
        match self.words() {
            Some(words) => words.feed_value(index, line),
            None => self.note_here_doc(index),
        }
        let reference = self.reference(index);
        self.out.push_str(&reference);
        self.used[index] = true;
        self.next += 1;
        Ok(())
    }

    /// A value in a here-document may be printed by what reads it.
    pub fn note_here_doc(&mut self, index: usize) {
        let line = self.line();
        let reads_group = matches!(self.frames.last(), Some(Frame::HereDoc(start)) if start.is_of_group);
        let words = self.frames.iter_mut().rev().find_map(|frame| match frame {
            Frame::Code { words, .. } => Some(words),
            _ => None,
        });
        if let Some(words) = words {
            words.add_here_doc(index, line);
        }
        if reads_group {
            self.risks.read_by_group(index);
        }
    }

    /// Refuses a value for what is around it, however far away.
    fn check_surroundings(&mut self, index: usize) -> Result<(), Refusal> {
        let value = &self.source.values[index];
        for frame in &self.frames {
            match frame {
                Frame::Code { opened: Opened::Backtick, .. } => {
                    return self.refuse(
                        "an expression stands inside backticks, where quoting is ambiguous\nhint: write $(...) instead",
                    );
                }
                Frame::Arithmetic { .. } | Frame::Parameter { is_arithmetic: true, .. } if !risk::is_integer(value) => {
                    return self.refuse(
                        "the value stands in shell arithmetic and is not a whole number\nhint: bash would evaluate it as code; let the param be an `integer`, or compute in the template: `{{ n + 1 }}`",
                    );
                }
                Frame::HereDoc(start) if self.is_run(start, value) => {
                    return self.refuse(&risk::becomes_code("the program that reads the here-document"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn reference(&self, index: usize) -> String {
        let name = variable(index);
        match self.frames.last() {
            Some(Frame::Single) => format!("'\"${{{name}}}\"'"),
            Some(Frame::AnsiC) => format!("'\"${{{name}}}\"$'"),
            Some(
                Frame::Double
                | Frame::HereDoc(_)
                | Frame::Arithmetic { .. }
                | Frame::Parameter { in_double: true, .. }
                | Frame::Parameter { is_arithmetic: true, .. },
            ) => format!("${{{name}}}"),
            _ => format!("\"${{{name}}}\""),
        }
    }

    fn in_code(&mut self) -> Result<(), Refusal> {
        if self.operator()? || self.expansion(false)? {
            return Ok(());
        }
        match self.rest().as_bytes()[0] {
            b'\\' => self.copy_escape(),
            b'\'' => self.open_quote(1, Frame::Single),
            b'"' => self.open_quote(1, Frame::Double),
            b'#' if self.is_word_start() => {
                self.emit(1);
                self.frames.push(Frame::Comment);
            }
            b'(' => self.open_bracket(),
            b')' => self.close_bracket()?,
            b'\n' | b';' | b'&' | b'|' => self.end_of_command()?,
            b' ' | b'\t' | b'\r' => {
                self.end_word();
                self.emit(1);
            }
            b'<' | b'>' => self.redirection(),
            _ => {
                self.copy_char();
            }
        }
        Ok(())
    }

    /// The innermost commands, and how they began.
    fn code(&self) -> Option<(&Words, Opened)> {
        match self.frames.last() {
            Some(Frame::Code { words, opened }) => Some((words, *opened)),
            _ => None,
        }
    }

    fn is_word_start(&self) -> bool {
        self.code().is_some_and(|(words, _)| words.is_word_start())
    }

    /// Signs of several characters, and those whose meaning is another one than of commands. Says whether there was one.
    fn operator(&mut self) -> Result<bool, Refusal> {
        let Some((words, opened)) = self.code() else { return Ok(false) };
        let rest = self.rest();
        if words.is_in_test() && rest.starts_with(['(', ')', '&', '|', '<', '>', '\n']) {
            self.end_word();
            self.emit(1);
        } else if rest.starts_with("((") && words.is_word_start() {
            self.copy(2);
            self.frames.push(Frame::Arithmetic { depth: 0, close: "))", text: String::new() });
        } else if rest.starts_with('[')
            && (words.begins_assignment() || (opened == Opened::Array && words.is_word_start()))
        {
            self.copy(1);
            self.frames.push(Frame::Arithmetic { depth: 0, close: "]", text: String::new() });
        } else if rest.starts_with("<<<") {
            self.end_word();
            self.copy(3);
            self.end_word();
        } else if rest.starts_with("<<") {
            self.here_doc_operator()?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn open_bracket(&mut self) {
        let opened = if self.out.ends_with('=') { Opened::Array } else { Opened::Bracket };
        let fed = match self.code() {
            Some((words, _)) if words.is_word_start() => words.fed(),
            _ => Vec::new(),
        };
        self.copy(1);
        self.frames.push(Frame::Code { words: Box::new(Words::reading(fed)), opened });
    }

    fn close_bracket(&mut self) -> Result<(), Refusal> {
        match self.code() {
            // It ends a pattern.
            Some((words, _)) if words.is_in_case() => self.separator(false),
            Some((_, Opened::Bracket | Opened::Array)) => {
                self.close()?;
                self.emit(1);
                Ok(())
            }
            _ => self.separator(false),
        }
    }

    fn end_of_command(&mut self) -> Result<(), Refusal> {
        let rest = self.rest();
        let is_pipe = rest.starts_with('|') && !rest.starts_with("||");
        if rest.starts_with('\n') {
            self.separator(false)?;
            return self.begin_here_docs();
        }
        if rest.starts_with('&') && self.is_behind_redirection() {
            if let Some(words) = self.words() {
                words.duplicate();
            }
            self.emit(1);
        } else if rest.starts_with("&>") {
            self.end_word();
            self.emit(1);
        } else if is_pipe {
            self.separator(true)?;
            if self.rest().starts_with('&') {
                self.emit(1);
            }
        } else if rest.starts_with('|') {
            self.separator(false)?;
            self.emit(1);
        } else {
            self.separator(false)?;
        }
        Ok(())
    }

    /// Directly behind the sign of a redirection, which an `&` goes on with.
    fn is_behind_redirection(&self) -> bool {
        self.out.ends_with(['<', '>']) && self.code().is_some_and(|(words, _)| words.is_behind_redirection())
    }

    pub fn end_word(&mut self) {
        if let Some(words) = self.words() {
            words.end_word();
        }
    }

    fn redirection(&mut self) {
        let is_process = self.rest()[1..].starts_with('(');
        if let Some(words) = self.words() {
            if is_process { words.end_word() } else { words.redirect() }
        }
        self.emit(1);
    }

    /// Ends a command, and copies the character that ends it.
    fn separator(&mut self, is_pipe: bool) -> Result<(), Refusal> {
        let depth = self.frames.len();
        if let Some(Frame::Code { words, opened }) = self.frames.last_mut() {
            if *opened == Opened::Array {
                words.end_word();
            } else if let Some(language) = words.end_command(is_pipe, &self.source.values, &mut self.risks)? {
                for (_, start) in self.here_docs.iter_mut().filter(|(of, _)| *of == depth) {
                    start.code = Some(language);
                }
            }
        }
        self.emit(1);
        Ok(())
    }
}
