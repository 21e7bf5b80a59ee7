//! Text that comes from outside: files that people write on any system, bodies of requests, output of programs.

use std::borrow::Cow;

use encoding_rs::Encoding;
use serde_json::Value;

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

/// An answer as text: in the charset that its content type names, as UTF-8 if it names none that is known.
pub fn decoded<'a>(content_type: &str, bytes: &'a [u8]) -> Cow<'a, str> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let label = charsets.next().map(|(_, label)| label.trim().trim_matches('"'));
    match label.and_then(|label| Encoding::for_label(label.as_bytes())) {
        Some(encoding) => encoding.decode(bytes).0,
        None => String::from_utf8_lossy(bytes_without_mark(bytes)),
    }
}

/// Whether any text in a JSON value, or name of a field, holds the character NUL, which PostgreSQL's text and programs'
/// arguments cannot.
pub fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
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
        for (content_type, bytes) in [
            ("text/plain; charset=iso-8859-1", b"caf\xe9".as_slice()),
            ("text/plain;CHARSET=\"windows-1252\"", b"caf\xe9"),
            ("application/json", b"caf\xc3\xa9"),
            ("text/plain; charset=klingon", b"caf\xc3\xa9"),
            ("text/plain; charset=utf-16", b"c\0a\0f\0\xe9\0"),
            ("", b"caf\xc3\xa9"),
            ("", b"\xef\xbb\xbfcaf\xc3\xa9"),
            ("text/plain; charset=utf-8", b"\xef\xbb\xbfcaf\xc3\xa9"),
        ] {
            assert_eq!(decoded(content_type, bytes), "caf\u{e9}", "{content_type}");
        }
        assert_eq!(unix_lines("a\r\nb\rc\n"), "a\nb\rc\n");
    }
}
