//! Values in Markdown: text, never a link, a heading or the end of a code block.

use crate::pieces::{Piece, Pieces};

/// What Markdown gives a meaning wherever it stands: <https://spec.commonmark.org/0.31.2/#backslash-escapes>.
const SPECIAL: &str = "\\`*_[]()<>#|~&!";

/// Where in the author's text a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    /// Between two backticks of a line.
    CodeSpan,
    /// Between two lines of three backticks.
    CodeBlock,
}

/// Puts the values in place of the marks.
pub(crate) fn quote(pieces: &Pieces) -> String {
    let mut out = String::new();
    let mut place = Place::Text;
    for piece in pieces.iter() {
        match piece {
            Piece::Own(text) => {
                for (position, line) in text.split('\n').enumerate() {
                    if position > 0 {
                        out.push('\n');
                    }
                    place = after(place, line, position > 0 || out.is_empty());
                    out.push_str(line);
                }
            }
            Piece::Value(value) => match place {
                // Nothing can be escaped in code: what would end it becomes something that looks alike.
                Place::CodeSpan => out.push_str(&value.text.replace('`', "'").replace(['\n', '\r'], " ")),
                Place::CodeBlock => out.push_str(&value.text.replace('`', "'")),
                Place::Text => escape(&value.text, &mut out),
            },
        }
    }
    out
}

fn after(place: Place, line: &str, is_line_start: bool) -> Place {
    let is_fence = is_line_start && line.trim_start().starts_with("```");
    match place {
        Place::CodeBlock if is_fence => Place::Text,
        Place::CodeBlock => Place::CodeBlock,
        Place::Text | Place::CodeSpan if is_fence => Place::CodeBlock,
        Place::Text | Place::CodeSpan => {
            let was_open = place == Place::CodeSpan && !is_line_start;
            let is_open = was_open != (line.matches('`').count() % 2 == 1);
            if is_open { Place::CodeSpan } else { Place::Text }
        }
    }
}

/// Lists begin with a dash, a plus, or a number with a dot; dashes and dots elsewhere are left to be read.
fn escape(value: &str, out: &mut String) {
    let mut begins_line = true;
    for character in value.chars() {
        if SPECIAL.contains(character) || (begins_line && matches!(character, '-' | '+' | '=' | '.')) {
            out.push('\\');
        }
        out.push(character);
        begins_line = character == '\n' || (begins_line && (character == ' ' || character.is_ascii_digit()));
    }
}
