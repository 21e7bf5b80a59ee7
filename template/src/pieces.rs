//! Rendered text in pieces: what of it is the author's, and what is a value. Whoever quotes the text afterwards sees where
//! each value stands.

use minijinja::Value;
use minijinja::value::ValueKind;

/// Rendered text: the author's text and values, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces(Vec<Piece>);

/// A piece of rendered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text of the author's: what the template says itself, and what it calls `safe`.
    Own(String),
    /// A value.
    Value(PlacedValue),
}

/// A value as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedValue {
    /// Its text.
    pub text: String,
    /// What it was before it became text.
    pub kind: ValueKind,
    /// The value itself.
    pub native: Value,
    /// Whether the author has percent-encoded it already.
    pub is_encoded: bool,
}

impl Pieces {
    /// Adds text of the author's.
    pub fn push_own(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Own(last)) => last.push_str(text),
            _ => self.0.push(Piece::Own(text.to_owned())),
        }
    }

    /// Adds a value.
    pub fn push_value(&mut self, value: PlacedValue) {
        self.0.push(Piece::Value(value));
    }

    /// The pieces in order; texts of the author's have values between them.
    pub fn iter(&self) -> std::slice::Iter<'_, Piece> {
        self.0.iter()
    }

    /// The pieces in order, as a slice.
    pub fn as_slice(&self) -> &[Piece] {
        &self.0
    }

    /// The same with other text of the author's.
    pub fn with_own(mut self, replaced: impl Fn(&str) -> String) -> Self {
        for piece in &mut self.0 {
            if let Piece::Own(text) = piece {
                *text = replaced(text);
            }
        }
        self
    }

    /// The text that they make together.
    pub fn text(&self) -> String {
        self.iter().map(Piece::text).collect()
    }
}

impl Piece {
    /// The text of either kind.
    pub fn text(&self) -> &str {
        match self {
            Piece::Own(text) => text,
            Piece::Value(value) => &value.text,
        }
    }
}
