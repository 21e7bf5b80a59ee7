//! Values in the paths of files: they may hold slashes, as dates and keys do, but they never lead up.

use std::ops::Range;

use crate::pieces::{Piece, Pieces};

/// Puts the values in place of the marks, each as `escape` writes it.
///
/// # Errors
/// In words, with a hint: with a value a step of the path is `..`.
pub(crate) fn quote(pieces: &Pieces, escape: fn(&str) -> String) -> Result<String, String> {
    let mut out = String::new();
    let mut placed: Vec<Range<usize>> = Vec::new();
    for piece in pieces.iter() {
        match piece {
            Piece::Own(text) => out.push_str(text),
            Piece::Value(value) => {
                let from = out.len();
                out.push_str(&escape(&value.text));
                placed.push(from..out.len());
            }
        }
    }
    let mut at = 0;
    let climbs = out.split('/').any(|step| {
        let (from, to) = (at, at + step.len());
        at = to + 1;
        step == ".." && placed.iter().any(|value| value.start <= to && value.end >= from && !value.is_empty())
    });
    if climbs {
        return Err("a value would lead out of its folder: with it a step of the path is `..`\nhint: allow only what is meant, with an `enum` or a `pattern` of the param; or take the value as it is with `{{ ... | safe }}`".to_owned());
    }
    Ok(out)
}
