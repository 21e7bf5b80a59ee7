//! One mistake in TOML says one thing: what cannot be read is told once and replaced, and the rest is checked.

use std::ops::Range;

use toml::de::DeTable;

use super::remedy;
use super::statements::{Statement, statements};
use crate::diagnostic::Problems;

/// A file in which every statement can be read.
#[derive(Default)]
pub(super) struct Mended {
    pub text: String,
    /// Where pieces begin: in `text`, and in the file.
    pieces: Vec<(usize, usize)>,
    /// What stands for a value or header that could not be read: where it begins in `text`, and where that is in the file.
    broken: Vec<(usize, Range<usize>)>,
}

/// Tells what each statement that cannot be read is about, and puts something readable in its place.
pub(super) fn mend(source: &str, problems: &mut Problems) -> Mended {
    let mut mended = Mended::default();
    let mut done = 0;
    for statement in statements(source) {
        if !remedy::tell(source, &statement, problems) {
            continue;
        }
        mended.copy(source, done..statement.range.start);
        done = statement.range.end;
        mended.replace(source, &statement);
    }
    mended.copy(source, done..source.len());
    mended
}

/// Whether a text is TOML, taken alone.
pub(super) fn is_readable(text: &str) -> bool {
    DeTable::parse_recoverable(text).1.is_empty()
}

impl Mended {
    /// The file as it is.
    pub fn untouched(source: &str) -> Self {
        Mended { text: source.to_owned(), pieces: vec![(0, 0)], broken: Vec::new() }
    }

    /// Where something stands in the file.
    pub fn place(&self, span: &Range<usize>) -> Range<usize> {
        if let Some(broken) = self.broken_at(span) {
            return broken;
        }
        let start = self.place_of(span.start);
        start..self.place_of(span.end).max(start)
    }

    /// Where in the file the thing is that this one stands for.
    pub fn broken_at(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let index = self.broken.binary_search_by_key(&span.start, |(at, _)| *at).ok()?;
        Some(self.broken[index].1.clone())
    }

    fn place_of(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|(begin, _)| *begin <= at).saturating_sub(1);
        let (begin, original) = self.pieces.get(index).copied().unwrap_or_default();
        let next = self.pieces.get(index + 1).map_or(usize::MAX, |(_, next)| *next);
        (original + at - begin).min(next)
    }

    fn copy(&mut self, source: &str, range: Range<usize>) {
        self.pieces.push((self.text.len(), range.start));
        self.text.push_str(&source[range]);
    }

    /// Writes what a statement probably means, as far as that can be told.
    fn replace(&mut self, source: &str, statement: &Statement) {
        let Range { start, end } = statement.range.clone();
        if let Some(equals) = statement.equals {
            if is_readable(&format!("{}0", &source[start..=equals])) {
                self.copy(source, start..equals + 1);
                self.broken.push((self.text.len(), equals + 1..end));
                self.text.push('0');
            }
            return;
        }
        if !source[start..].starts_with('[') {
            return;
        }
        let name = source[start..end].trim_start_matches('[');
        let begin = end - name.len();
        let name = name.split([']', '#']).next().unwrap_or_default().trim_end();
        if is_readable(&format!("[{name}]")) {
            self.text.push('[');
            self.copy(source, begin..begin + name.len());
        } else {
            // What stands below belongs to a table that nobody knows.
            self.broken.push((self.text.len() + 1, start..end));
            self.text.push_str(&format!("[\"\\u0000{}\"", self.broken.len()));
        }
        self.text.push(']');
    }
}
