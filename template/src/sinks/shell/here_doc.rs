//! Here-documents. One whose end mark is quoted expands nothing; where values stand in it, it becomes one that does, with
//! the author's text protected, so that values travel in variables here, too.

use super::reader::{Frame, Reader};
use super::{Refusal, risk, variable};

/// A here-document whose operator has been read.
#[derive(Debug, Clone)]
pub(super) struct HereDocStart {
    /// The end mark.
    delimiter: String,
    is_quoted: bool,
    /// `<<-`
    strips_tabs: bool,
    /// Where the end mark stands in the written code: start and length.
    written: (usize, usize),
    /// The language of what is in it, if the program that reads it runs it.
    pub code: Option<risk::Language>,
    /// A loop or a group reads it.
    pub is_of_group: bool,
}

impl HereDocStart {
    fn is_end(&self, line: &str) -> bool {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = if self.strips_tabs { line.trim_start_matches('\t') } else { line };
        line == self.delimiter
    }
}

impl Reader<'_> {
    /// `<<WORD`, `<<-WORD`, `<<'WORD'`.
    pub(super) fn here_doc_operator(&mut self) -> Result<(), Refusal> {
        self.end_word();
        self.emit(2);
        let strips_tabs = self.rest().starts_with('-');
        if strips_tabs {
            self.emit(1);
        }
        while self.rest().starts_with([' ', '\t']) {
            self.emit(1);
        }
        let start = self.out.len();
        let (delimiter, is_quoted) = self.end_mark();
        if self.is_at_value() {
            return self.refuse("an expression cannot name the end of a here-document");
        }
        let (code, is_of_group) = match self.frames.last() {
            Some(Frame::Code { words, .. }) => (words.reads_code(), words.ends_group()),
            _ => (None, false),
        };
        let written = (start, self.out.len() - start);
        let start = HereDocStart { delimiter, is_quoted, strips_tabs, written, code, is_of_group };
        self.here_docs.push((self.frames.len(), start));
        Ok(())
    }

    fn end_mark(&mut self) -> (String, bool) {
        let (mut delimiter, mut is_quoted, mut quote) = (String::new(), false, None);
        while let Some(character) = self.rest().chars().next() {
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
            self.emit(character.len_utf8());
        }
        (delimiter, is_quoted)
    }

    /// The bodies of the here-documents of these commands begin after the line that names them.
    pub(super) fn begin_here_docs(&mut self) -> Result<(), Refusal> {
        let depth = self.frames.len();
        while let Some(position) = self.here_docs.iter().position(|(of, _)| *of == depth) {
            let (_, start) = self.here_docs.remove(position);
            if !start.is_quoted {
                self.frames.push(Frame::HereDoc(start));
                return self.end_here_doc_here();
            }
            self.quoted_here_doc(&start)?;
        }
        Ok(())
    }

    /// The line that begins here, and whether a value stands in it.
    fn whole_line(&self) -> (&str, bool) {
        let line = self.source.text[self.at..].split_inclusive('\n').next().unwrap_or_default();
        let end = self.at + line.trim_end_matches('\n').len();
        (line, self.source.places.get(self.next).is_some_and(|place| *place <= end))
    }

    /// Nothing is expanded in the body.
    fn quoted_here_doc(&mut self, start: &HereDocStart) -> Result<(), Refusal> {
        let (length, has_values) = self.body(start);
        if !has_values {
            self.emit(length);
            let (line, _) = self.whole_line();
            self.emit(line.len());
            return Ok(());
        }
        let end = self.at + length;
        let mark = free_mark(&self.source.text[self.at..end]);
        self.patches.push((start.written.0, start.written.1, mark.clone()));
        while self.at < end || (self.is_at_value() && self.at == end) {
            if self.is_at_value() {
                self.place_literally(start)?;
                continue;
            }
            let text = self.rest();
            let text = &text[..text.len().min(end - self.at)];
            let length = text.len();
            for character in text.to_owned().chars() {
                if matches!(character, '\\' | '$' | '`') {
                    self.out.push('\\');
                }
                self.out.push(character);
            }
            self.at += length;
        }
        let (line, _) = self.whole_line();
        let line = line.to_owned();
        self.at += line.len();
        if !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out.push_str(&mark);
        if line.ends_with('\n') {
            self.out.push('\n');
        }
        Ok(())
    }

    /// Whether the value that stands here would be run by what reads the here-document.
    pub(super) fn is_run(&self, start: &HereDocStart, value: &str) -> bool {
        let before = self.source.text[..self.at].chars().next_back();
        let after = self.source.text[self.at..].chars().next();
        let is_next_value = |place: Option<&usize>| place == Some(&self.at);
        let places = &self.source.places;
        // Beside another value nothing is known to be around it.
        let is_alone = !is_next_value(places.get(self.next + 1))
            && !is_next_value(self.next.checked_sub(1).and_then(|last| places.get(last)));
        let around = if is_alone { (before, after) } else { (None, None) };
        start.code.is_some_and(|language| !language.takes(value, around.0, around.1))
    }

    fn place_literally(&mut self, start: &HereDocStart) -> Result<(), Refusal> {
        let value = &self.source.values[self.next];
        if value.contains('\0') {
            return self.refuse("the value holds a NUL character, which no shell variable can hold");
        }
        if value.len() > flow_model::limits::SHELL_VALUE_BYTES_MAX {
            return self.refuse(super::reader::TOO_LONG);
        }
        if self.is_run(start, value) {
            return self.refuse(&risk::becomes_code("the program that reads the here-document"));
        }
        self.out.push_str(&format!("${{{}}}", variable(self.next)));
        self.note_here_doc(self.next);
        if start.is_of_group {
            self.risks.read_by_group(self.next);
        }
        self.used[self.next] = true;
        self.next += 1;
        Ok(())
    }

    /// The length of the body that begins here, and whether a value stands in it.
    fn body(&self, start: &HereDocStart) -> (usize, bool) {
        let mut end = self.at;
        for line in self.source.text[self.at..].split_inclusive('\n') {
            let line_end = end + line.trim_end_matches('\n').len();
            let has_value = self.source.places.iter().any(|place| (end..=line_end).contains(place));
            if start.is_end(line) && !has_value {
                break;
            }
            end += line.len();
        }
        let has_values = self.source.places[self.next..]
            .iter()
            .any(|place| *place < end || (*place == end && end == self.source.text.len()));
        (end - self.at, has_values)
    }

    pub(super) fn in_here_doc(&mut self) -> Result<(), Refusal> {
        if self.rest().starts_with('\\') {
            self.copy_escape();
        } else if !self.expansion(true)? {
            let character = self.rest().chars().next().unwrap_or('\0');
            self.emit(character.len_utf8());
            if character == '\n' {
                self.end_here_doc_here()?;
            }
        }
        Ok(())
    }

    /// At the start of a line: ends the here-document if this is its last line.
    fn end_here_doc_here(&mut self) -> Result<(), Refusal> {
        let Some(Frame::HereDoc(start)) = self.frames.last() else { return Ok(()) };
        let (line, has_value) = self.whole_line();
        if !start.is_end(line) || has_value {
            return Ok(());
        }
        let length = line.len();
        self.emit(length);
        self.frames.pop();
        self.begin_here_docs()
    }
}

/// An end mark that no line of the text is.
fn free_mark(text: &str) -> String {
    let numbered = (2..).map(|number: u32| format!("FLOW_END_{number}"));
    let marks = std::iter::once("FLOW_END".to_owned()).chain(numbered);
    marks.into_iter().find(|mark| !text.contains(mark.as_str())).unwrap_or_default()
}
