//! Marks for values in rendered text: whoever quotes the text afterwards sees where each value stands, and what of the text
//! is the author's.

/// Rendered text with a mark for each value.
#[derive(Debug)]
pub(crate) struct Marked {
    pub text: String,
    pub marks: Marks,
    pub values: Vec<MarkedValue>,
}

/// A value, and whether the author has percent-encoded it already.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarkedValue {
    pub text: String,
    pub is_encoded: bool,
}

/// A piece of marked text.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// Text of the author's.
    Own(&'a str),
    /// A value.
    Value(&'a MarkedValue),
}

impl Marked {
    /// The pieces in order. A value that has no mark any more, because a filter has changed it, is no piece.
    pub fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let (mut rest, mut own) = (self.text.as_str(), 0);
        while let Some(at) = rest[own..].find(OPEN).map(|at| own + at) {
            match self.marks.read(&rest[at..]) {
                Some((index, length)) => {
                    pieces.push(Piece::Own(&rest[..at]));
                    pieces.extend(self.values.get(index).map(Piece::Value));
                    (rest, own) = (&rest[at + length..], 0);
                }
                None => own = at + OPEN.len_utf8(),
            }
        }
        pieces.push(Piece::Own(rest));
        pieces
    }
}

/// Marks in rendered text: characters for private use around a number, with a nonce so that no value can forge one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    nonce: u64,
}

const OPEN: char = '\u{E0F0}';
const CLOSE: char = '\u{E0F1}';

impl Marks {
    pub fn new(nonce: u64) -> Self {
        Marks { nonce }
    }

    pub fn write(self, index: usize) -> String {
        format!("{OPEN}{:x}:{index}{CLOSE}", self.nonce)
    }

    /// The mark at the start of a text: its index, and its length in bytes.
    pub fn read(self, text: &str) -> Option<(usize, usize)> {
        let inner = text.strip_prefix(OPEN)?;
        let (inner, _) = inner.split_once(CLOSE)?;
        let (nonce, index) = inner.split_once(':')?;
        (nonce == format!("{:x}", self.nonce)).then_some(())?;
        Some((index.parse().ok()?, OPEN.len_utf8() + inner.len() + CLOSE.len_utf8()))
    }

    /// A text with values in place of marks.
    pub fn resolve<T: AsRef<str>>(self, text: &str, values: &[T]) -> String {
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

impl AsRef<str> for MarkedValue {
    fn as_ref(&self) -> &str {
        &self.text
    }
}
