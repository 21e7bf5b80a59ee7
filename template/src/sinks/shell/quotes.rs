//! Quotation marks and expansions: `"..."`, `'...'`, `$(...)`, `${...}`, `$((...))`.

use super::reader::{Frame, Opened, Reader};
use super::{Refusal, risk};

impl Reader<'_> {
    /// What begins with `$` or a backtick; true if something was taken.
    pub(super) fn expansion(&mut self, in_double: bool) -> Result<bool, Refusal> {
        let rest = self.rest();
        let arithmetic = |close| Frame::Arithmetic { depth: 0, close, text: String::new() };
        let code = |opened| Frame::Code { words: Box::default(), opened };
        let (length, next) = if rest.starts_with("$((") {
            (3, arithmetic("))"))
        } else if rest.starts_with("$[") {
            (2, arithmetic("]"))
        } else if rest.starts_with("$(") {
            (2, code(Opened::Bracket))
        } else if let Some(inside) = rest.strip_prefix("${") {
            let is_arithmetic = risk::is_arithmetic_parameter(inside);
            (2, Frame::Parameter { in_double, is_arithmetic, text: String::new() })
        } else if rest.starts_with("$'") && !in_double {
            (2, Frame::AnsiC)
        } else if rest.starts_with("$\"") && !in_double {
            (2, Frame::Double)
        } else if rest.starts_with('`') {
            self.backtick()?;
            return Ok(true);
        } else {
            return Ok(false);
        };
        if matches!(next, Frame::AnsiC | Frame::Double) {
            self.open_quote(length, next);
        } else {
            self.copy(length);
            self.frames.push(next);
        }
        Ok(true)
    }

    /// Opens backticks, or closes them with all that is open within.
    fn backtick(&mut self) -> Result<(), Refusal> {
        let is_backtick = |frame: &Frame| matches!(frame, Frame::Code { opened: Opened::Backtick, .. });
        if let Some(depth) = self.frames.iter().rposition(is_backtick) {
            while self.frames.len() > depth {
                self.close()?;
            }
            self.emit(1);
        } else {
            self.copy(1);
            self.frames.push(Frame::Code { words: Box::default(), opened: Opened::Backtick });
        }
        Ok(())
    }

    pub(super) fn in_double(&mut self) -> Result<(), Refusal> {
        if self.expansion(true)? {
            return Ok(());
        }
        match self.rest().as_bytes()[0] {
            b'\\' => self.copy_escape(),
            b'"' => {
                self.emit(1);
                self.frames.pop();
            }
            _ => {
                self.copy_char();
            }
        }
        Ok(())
    }

    pub(super) fn until(&mut self, end: char) {
        if self.rest().starts_with(end) {
            self.emit(end.len_utf8());
            self.frames.pop();
        } else {
            self.copy_char();
        }
    }

    pub(super) fn in_ansi_c(&mut self) {
        if self.rest().starts_with('\\') { self.copy_escape() } else { self.until('\'') }
    }

    pub(super) fn in_parameter(&mut self, in_double: bool) -> Result<(), Refusal> {
        if self.expansion(in_double)? {
            return Ok(());
        }
        match self.rest().as_bytes()[0] {
            b'\\' => self.copy_escape(),
            b'}' => {
                self.close()?;
                self.copy(1);
            }
            b'"' => self.open_quote(1, Frame::Double),
            b'\'' if !in_double => self.open_quote(1, Frame::Single),
            _ => {
                self.copy_char();
            }
        }
        Ok(())
    }

    pub(super) fn in_arithmetic(&mut self) -> Result<(), Refusal> {
        if self.expansion(false)? {
            return Ok(());
        }
        let Some(Frame::Arithmetic { depth, close, .. }) = self.frames.last() else { return Ok(()) };
        let (depth, close) = (*depth, *close);
        if depth == 0 && self.rest().starts_with(close) {
            self.close()?;
            self.copy(close.len());
            return Ok(());
        }
        let (open, end) = if close == "]" { ('[', ']') } else { ('(', ')') };
        let character = self.copy_char();
        if let Some(Frame::Arithmetic { depth, .. }) = self.frames.last_mut() {
            if character == open {
                *depth += 1;
            } else if character == end {
                *depth = depth.saturating_sub(1);
            }
        }
        Ok(())
    }

    pub(super) fn in_comment(&mut self) {
        if self.rest().starts_with('\n') {
            self.frames.pop();
        } else {
            let length = self.rest().chars().next().map_or(0, char::len_utf8);
            self.emit(length);
        }
    }
}
