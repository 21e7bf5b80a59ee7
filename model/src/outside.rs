//! Text that comes from outside: files that people write on any system, bodies of requests, output of programs.

use std::borrow::Cow;

/// The byte order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text without the byte order mark that programs on Windows put before it (RFC 8259, 8.1, allows to pass it over).
/// For every place where text from outside becomes JSON, TOML, YAML or the like.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The same for bytes.
pub fn bytes_without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// The text with `\n` at the end of each line, where it has `\r\n`.
pub fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}

/// Whether a text is the name of a folder in each folder: as an id it would lead out of its place in paths and URLs.
pub fn is_step(text: &str) -> bool {
    matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_for_nothing_is_taken_away() {
        assert_eq!(without_mark("\u{feff}{}"), "{}");
        assert_eq!(without_mark("\u{feff}\u{feff}{}"), "\u{feff}{}");
        assert_eq!(without_mark("{\"a\": \"\u{feff}\"}"), "{\"a\": \"\u{feff}\"}");
        assert_eq!(bytes_without_mark(b"\xef\xbb\xbf[]"), b"[]");
        assert_eq!(bytes_without_mark(b"\xef\xbb"), b"\xef\xbb");
        assert_eq!(unix_lines("a\r\nb\rc\n"), "a\nb\rc\n");
    }
}
