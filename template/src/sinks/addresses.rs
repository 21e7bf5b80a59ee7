//! Values in e-mail addresses. The author's commas separate addresses; a value is one address, or a part of one.

use crate::pieces::{Piece, Pieces};

/// The addresses, with the values in place.
///
/// # Errors
/// In words, with a hint: a value would be more than its part of an address.
pub(crate) fn split(pieces: &Pieces) -> Result<Vec<String>, String> {
    let mut addresses: Vec<Vec<Piece>> = vec![Vec::new()];
    for piece in pieces.iter() {
        match piece {
            Piece::Own(text) => {
                for (position, part) in text.split(',').enumerate() {
                    if position > 0 {
                        addresses.push(Vec::new());
                    }
                    if !part.trim().is_empty() {
                        addresses.last_mut().expect("one was just added").push(Piece::Own(part.to_owned()));
                    }
                }
            }
            value @ Piece::Value(_) => addresses.last_mut().expect("one was just added").push(value.clone()),
        }
    }
    addresses.iter().filter(|pieces| !pieces.is_empty()).map(|pieces| join(pieces)).collect()
}

fn join(pieces: &[Piece]) -> Result<String, String> {
    if let [Piece::Value(whole)] = pieces {
        return Ok(whole.text.trim().to_owned());
    }
    let has_at = pieces.iter().any(|piece| matches!(piece, Piece::Own(text) if text.contains('@')));
    let mut address = String::new();
    for piece in pieces {
        match piece {
            Piece::Own(text) => address.push_str(text),
            Piece::Value(value) => {
                let is_structure = |c: char| c.is_control() || "<>()[]\\,;:\"".contains(c) || (c == '@' && has_at);
                if value.text.contains(is_structure) {
                    return Err("a value in an e-mail address would change what is the address\nhint: a value that is an address stands alone; one of several addresses is `{{ ... | safe }}`".to_owned());
                }
                address.push_str(&value.text);
            }
        }
    }
    Ok(address.trim().to_owned())
}
