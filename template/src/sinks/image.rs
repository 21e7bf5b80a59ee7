//! Values in the names of images, `registry.example/team/app:1.2@sha256:...`: a value is a part of one name, and does not
//! choose the registry, the tag or the digest.

use crate::pieces::{Piece, Pieces};

/// The name, with the values in place.
///
/// # Errors
/// In words, with a hint: a value would be more than its part of the name.
pub(crate) fn quote(pieces: &Pieces) -> Result<String, String> {
    if let [Piece::Value(whole)] = pieces.as_slice() {
        return Ok(whole.text.trim().to_owned());
    }
    let mut name = String::new();
    for piece in pieces.iter() {
        if let Piece::Value(value) = piece {
            let has_registry = name.trim_start().contains('/');
            let is_part = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || (c == '/' && has_registry);
            // Docker takes a first step with a dot for a registry.
            let chooses_registry =
                name.trim_start().is_empty() && (value.text.contains('.') || value.text == "localhost");
            let climbs = value.text.split('/').any(|step| step.is_empty() || step == "." || step == "..");
            if !value.text.chars().all(is_part) || chooses_registry || climbs {
                return Err("a value in the name of an image would choose another one: it may have letters, digits, `.`, `_` and `-`, and no dot where the registry stands\nhint: allow only what is meant, with an `enum` or a `pattern` of the param; or take the value as it is with `{{ ... | safe }}`".to_owned());
            }
        }
        name.push_str(piece.text());
    }
    Ok(name.trim().to_owned())
}
