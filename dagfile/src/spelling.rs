//! Where each byte of a text stands in the file: TOML writes texts with quotes, escapes and over several lines.

use std::ops::Range;

/// A text of the file, and where each of its bytes is written.
pub(crate) struct Spelling {
    /// For each byte of the text its place in the file; at the end the place of the closing quote.
    places: Vec<usize>,
}

impl Spelling {
    /// Reads the text at `span` of the file again; `None` if that does not give `text`.
    pub fn of(source: &str, span: &Range<usize>, text: &str) -> Option<Self> {
        let written = source.get(span.clone())?;
        let (quote, is_raw) = match written.as_bytes().first()? {
            b'"' => ("\"", false),
            b'\'' => ("'", true),
            _ => return None,
        };
        let triple = quote.repeat(3);
        let is_long = written.len() >= 6 && written.starts_with(&triple) && written.ends_with(&triple);
        let width = if is_long { 3 } else { 1 };
        let inner = written.get(width..written.len().checked_sub(width)?)?;
        let mut reader = Reader { inner, at: 0, base: span.start + width, text: String::new(), places: Vec::new() };
        if is_long {
            reader.skip_line_end();
        }
        while reader.at < inner.len() {
            reader.step(is_raw)?;
        }
        let Reader { text: read, mut places, base, .. } = reader;
        // A file of Windows may have been read with the line ends of others.
        if read != text {
            return None;
        }
        places.push(base + inner.len());
        Some(Spelling { places })
    }

    /// Where a part of the text is written.
    pub fn place(&self, part: Range<usize>) -> Range<usize> {
        let last = self.places.len() - 1;
        let start = self.places[part.start.min(last)];
        let end = self.places[part.end.min(last)];
        start..end.max(start)
    }
}

struct Reader<'a> {
    inner: &'a str,
    at: usize,
    base: usize,
    text: String,
    places: Vec<usize>,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.inner[self.at..]
    }

    /// The line end directly behind the opening quotes does not belong to the text.
    fn skip_line_end(&mut self) {
        if self.rest().starts_with("\r\n") {
            self.at += 2;
        } else if self.rest().starts_with('\n') {
            self.at += 1;
        }
    }

    fn step(&mut self, is_raw: bool) -> Option<()> {
        let place = self.base + self.at;
        let next = self.rest().chars().next()?;
        if next == '\\' && !is_raw {
            return self.escape(place);
        }
        self.at += next.len_utf8();
        self.push(next, place, next.len_utf8());
        Some(())
    }

    /// `width`: the bytes of a character that is written as it is stand one after the other.
    fn push(&mut self, character: char, place: usize, width: usize) {
        self.text.push(character);
        self.places.extend((0..character.len_utf8()).map(|byte| place + byte.min(width - 1)));
    }

    fn escape(&mut self, place: usize) -> Option<()> {
        self.at += 1;
        let kind = self.rest().chars().next()?;
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if kind.is_whitespace() {
            // A backslash at the end of a line takes all space up to the next text with it.
            self.at = self.inner.len() - self.rest().trim_start().len();
            return Some(());
        }
        self.at += kind.len_utf8();
        let character = match kind {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            'e' => '\u{1b}',
            '"' | '\\' => kind,
            'x' | 'u' | 'U' => {
                let code = self.rest().get(..digits)?;
                let character = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
                self.at += digits;
                character
            }
            _ => return None,
        };
        self.push(character, place, 1);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::Problems;
    use crate::tree;

    fn place_of(file: &str, part: &str) -> String {
        let root = tree::parse(file, &mut Problems::default());
        let node = root.get("a").unwrap();
        let text = node.text().unwrap();
        let at = text.find(part).unwrap();
        let place = Spelling::of(file, &node.span, text).unwrap().place(at..at + part.len());
        file[place].to_owned()
    }

    #[test]
    fn every_way_to_write_a_text_is_read() {
        assert_eq!(place_of("a = \"x {{ y }}\"", "{{ y }}"), "{{ y }}");
        assert_eq!(place_of("a = '\\ {{ y }}'", "{{ y }}"), "{{ y }}");

        assert_eq!(place_of("a = \"\"\"\n  b\n{{ y }}\"\"\"", "{{ y }}"), "{{ y }}");
        assert_eq!(place_of("a = \"\"\"one \\\n     {{ y }}\"\"\"", "{{ y }}"), "{{ y }}");
        assert_eq!(place_of("a = '''\n{{ y }}'''''", "{{ y }}"), "{{ y }}");
        assert_eq!(place_of("a = \"\\t{{ \\\"y\\\" }}\"", "{{ \"y\" }}"), "{{ \\\"y\\\" }}");
    }

    proptest! {
        // Every second text or so is not TOML.
        #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_what_the_parser_reads(inner in "[a-z{} \\\\nté\"']{0,20}", quote in 0..4_usize) {
            let quote = ["\"", "'", "\"\"\"", "'''"][quote];
            let file = format!("a = {quote}{inner}{quote}\n");
            let mut problems = Problems::default();
            let root = tree::parse(&file, &mut problems);
            prop_assume!(problems.is_empty());
            let Some(node) = root.get("a") else { return Ok(()) };
            let text = node.text().unwrap();
            prop_assert!(Spelling::of(&file, &node.span, text).is_some(), "{}", file);
        }
    }
}
