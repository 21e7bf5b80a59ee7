//! Values in URLs.
//!
//! Rendering leaves a mark where each value belongs. Here the author's text is followed as the URL standard reads it
//! (<https://url.spec.whatwg.org/#url-parsing>), and each value is written so that it stays in the part of the URL in which it
//! stands: percent-encoded in the path, the query and the fragment, refused where it would choose the host or climb in the
//! path. Encoded values hold no delimiters, so the author's text alone decides what is which part.

use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::pieces::{Piece, Pieces, PlacedValue};

/// Everything but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The part of a URL that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Scheme,
    /// Between `:` and the host: the standard reads any number of slashes and backslashes.
    Slashes,
    Authority,
    Path,
    Query,
    Fragment,
}

impl Part {
    /// The part after a character of the author's.
    fn after(self, character: char) -> Part {
        match (self, character) {
            (Part::Scheme, ':') => Part::Slashes,
            (Part::Slashes, '/' | '\\') => Part::Slashes,
            (Part::Authority, '/' | '\\') => Part::Path,
            (Part::Slashes | Part::Authority | Part::Path, '?') => Part::Query,
            (Part::Slashes | Part::Authority | Part::Path | Part::Query, '#') => Part::Fragment,
            (Part::Slashes, _) => Part::Authority,
            (part, _) => part,
        }
    }
}

/// Where a URL begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlStart {
    /// With its scheme and host.
    Scheme,
    /// With its path: a connection has the host.
    Path,
}

/// Puts the values in place of the marks.
///
/// # Errors
/// In words, with a hint: a value stands where it would decide about more than its own part.
pub(crate) fn quote(pieces: &Pieces, start: UrlStart) -> Result<String, String> {
    let mut out = String::new();
    let mut part = if start == UrlStart::Path { Part::Path } else { Part::Scheme };
    let mut path = 0..usize::MAX;
    let mut placed: Vec<Range<usize>> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Own(text) => {
                // What the standard drops, wherever it stands.
                for character in text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')) {
                    if out.is_empty() && character <= ' ' {
                        continue;
                    }
                    let before = part;
                    part = part.after(character);
                    out.push(character);
                    match (before == part, part) {
                        (false, Part::Path) => path.start = out.len(),
                        (false, Part::Query | Part::Fragment) => path.end = path.end.min(out.len() - 1),
                        _ => {}
                    }
                }
            }
            Piece::Value(value) => {
                let from = out.len();
                out.push_str(&write(value, part, &pieces.as_slice()[at + 1..])?);
                placed.push(from..out.len());
                part = if part == Part::Slashes { Part::Authority } else { part };
            }
        }
    }
    let path = path.start..path.end.min(out.len());
    if climbs(&out, path, &placed) {
        return Err("a value would climb in the path of the URL: with it a step is `.` or `..`\nhint: allow only what is meant, with an `enum` or a `pattern` of the param; or take the value as it is with `{{ ... | safe }}`".to_owned());
    }
    Ok(out)
}

/// A value as it stands in a part; `rest` is what comes after it.
fn write(value: &PlacedValue, part: Part, rest: &[Piece]) -> Result<String, String> {
    let encoded = || utf8_percent_encode(&value.text, ENCODED).to_string();
    match part {
        Part::Scheme => Err("a value cannot be the beginning of a URL: it would choose where the request goes\nhint: write the host, or give it to a `connection`; where the value may choose the host, say so with `{{ ... | safe }}`".to_owned()),
        Part::Slashes | Part::Authority if is_in_userinfo(rest) => {
            Ok(if value.is_encoded { value.text.replace('/', "%2F") } else { encoded() })
        }
        Part::Slashes | Part::Authority => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if value.text.is_empty() || !value.text.chars().all(is_plain) {
                return Err("a value in the host of a URL has letters, digits, `-`, `_` and `.` only\nhint: give the host to a `connection`; where the value may choose the host, say so with `{{ ... | safe }}`".to_owned());
            }
            Ok(value.text.clone())
        }
        Part::Path | Part::Query | Part::Fragment => Ok(if value.is_encoded { value.text.clone() } else { encoded() }),
    }
}

/// Whether what stands here is in front of the `@` of a login.
fn is_in_userinfo(rest: &[Piece]) -> bool {
    let own = rest.iter().filter_map(|piece| match piece {
        Piece::Own(text) => Some(text.chars()),
        Piece::Value(_) => None,
    });
    own.flatten().find(|c| matches!(c, '@' | '/' | '\\' | '?' | '#')) == Some('@')
}

/// Whether a step of the path that a value is part of leads to the folder itself or to the one above.
fn climbs(url: &str, path: Range<usize>, placed: &[Range<usize>]) -> bool {
    let mut at = path.start.min(path.end);
    url[at..path.end].split(['/', '\\']).any(|step| {
        let (from, to) = (at, at + step.len());
        at = to + 1;
        let has_value = placed.iter().any(|value| value.start <= to && value.end >= from);
        has_value && matches!(step.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    })
}
