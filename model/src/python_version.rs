//! Versions of Python, and which of them code asks for: `>=3.11,<3.13`, as in `requires-python`.

/// Whether a version is one of those that are asked for.
///
/// # Errors
/// In words: what cannot be read.
pub fn fits(version: &str, wanted: &str) -> Result<bool, String> {
    let version = release(version).ok_or_else(|| format!("`{version}` is not a version of Python"))?;
    let clauses = wanted.split(',').map(str::trim).filter(|clause| !clause.is_empty());
    clauses.map(|clause| holds(&version, clause)).try_fold(true, |all, holds| Ok(all & holds?))
}

/// Checks what is asked for without a version.
///
/// # Errors
/// In words: what cannot be read.
pub fn check(wanted: &str) -> Result<(), String> {
    if wanted.trim().is_empty() {
        return Err("it asks for no version".to_owned());
    }
    fits("3.9", wanted).map(drop)
}

fn holds(version: &[u32], clause: &str) -> Result<bool, String> {
    let unreadable = || format!("`{clause}` is not a version of Python that can be asked for");
    let length = clause.find(|character: char| !"<>=!~".contains(character)).ok_or_else(unreadable)?;
    let (operator, text) = clause.split_at(length);
    let text = text.trim();
    let (text, is_prefix) = match text.strip_suffix(".*") {
        Some(prefix) if matches!(operator, "==" | "!=") => (prefix, true),
        Some(_) => return Err(unreadable()),
        None => (text, false),
    };
    let wanted = release(text).ok_or_else(unreadable)?;
    let starts_with = |prefix: &[u32]| (0..prefix.len()).all(|at| version.get(at).unwrap_or(&0) == &prefix[at]);
    let order = padded(version).cmp(&padded(&wanted));
    Ok(match operator {
        "==" if is_prefix => starts_with(&wanted),
        "!=" if is_prefix => !starts_with(&wanted),
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        ">=" => order.is_ge(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        "<" => order.is_lt(),
        "~=" if wanted.len() > 1 => order.is_ge() && starts_with(&wanted[..wanted.len() - 1]),
        _ => return Err(unreadable()),
    })
}

/// `3.11.7` as numbers; what follows them (`rc1`, `+`) is left out.
fn release(text: &str) -> Option<Vec<u32>> {
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.').split('.').map(|part| part.parse().ok()).collect()
}

fn padded(release: &[u32]) -> Vec<u32> {
    let mut padded = release.to_vec();
    padded.resize(padded.len().max(4), 0);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_packaging_says() {
        let cases = [
            (">=3.11", true),
            (">=3.11.7", true),
            (">=3.12", false),
            (">3.11", true),
            (">3.11.7", false),
            ("<3.12", true),
            ("<=3.11", false),
            ("<3.11.7", false),
            ("==3.11", false),
            ("==3.11.*", true),
            ("==3.11.7", true),
            ("!=3.11.*", false),
            ("!=3.10.*", true),
            ("~=3.9", true),
            ("~=3.11.2", true),
            ("~=3.10.1", false),
            (">=3.9, <3.12", true),
            (">=3.9,<3.11", false),
            ("== 3.*", true),
        ];
        for (wanted, fitting) in cases {
            assert_eq!(fits("3.11.7", wanted), Ok(fitting), "{wanted}");
        }
        assert_eq!(fits("3.13.0rc1", ">=3.13"), Ok(true));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for wanted in ["", "3.11", "^3.11", ">=three", "~=3", ">=", "=3.11", ">=3.11.*"] {
            assert!(check(wanted).is_err(), "{wanted}");
        }
        assert_eq!(check(">=3.9,<4"), Ok(()));
    }
}
