//! Paths with wildcards, as shells know them.

use std::path::{Path, PathBuf};

/// Entries of folders that one look reads at most.
pub(crate) const ENTRIES_MAX: usize = 200_000;

/// Whether a path has wildcards.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The entries of a folder, as far as the budget goes, sorted.
pub(crate) fn entries(folder: &Path, budget: &mut usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        found.push(entry.path());
    }
    found.sort();
    found
}

/// The paths that a pattern stands for. A path without wildcards is looked at as it is.
pub(crate) fn matching(pattern: &str, budget: &mut usize) -> Vec<PathBuf> {
    let plain = PathBuf::from(pattern);
    if plain.exists() || !is_pattern(pattern) {
        return if plain.exists() { vec![plain] } else { Vec::new() };
    }
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::from(".") };
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let mut found = Vec::new();
    descend(&start, &parts, budget, &mut found);
    found
}

fn descend(folder: &Path, parts: &[&str], budget: &mut usize, found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else { return };
    if *part == "**" {
        descend(folder, rest, budget, found);
        for path in entries(folder, budget) {
            // Links are not followed: they may lead in a circle.
            if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                descend(&path, parts, budget, found);
            }
        }
        return;
    }
    let candidates = if is_pattern(part) {
        let named = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // As in a shell, hidden files want to be named.
            (part.starts_with('.') || !name.starts_with('.')) && is_match(part, &name)
        };
        entries(folder, budget).into_iter().filter(named).collect()
    } else {
        vec![folder.join(part)]
    };
    for path in candidates.into_iter().filter(|path| path.exists()) {
        if rest.is_empty() { found.push(path) } else { descend(&path, rest, budget, found) }
    }
}

/// Whether a name fits a pattern of `*`, `?` and `[abc]`, `[a-z]`, `[!a]`.
fn is_match(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where to go on after the last `*`: greedy with one step back, and so linear in practice.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if let Some(length) = pattern.get(p).and_then(|_| single(&pattern[p..], name[n])) {
            (p, n) = (p + length, n + 1);
        } else if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

/// How much of the pattern a character takes, if it fits.
fn single(pattern: &[char], character: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '*' => None,
        '[' => {
            let end = 2 + pattern.get(2..)?.iter().position(|one| *one == ']')?;
            let inner = &pattern[1..end];
            let (negated, set) = match inner.split_first() {
                Some(('!' | '^', rest)) => (true, rest),
                _ => (false, inner),
            };
            (in_set(set, character) != negated).then_some(end + 1)
        }
        plain => (plain == character).then_some(1),
    }
}

fn in_set(set: &[char], character: char) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set.get(at + 1) == Some(&'-')
            && let Some(last) = set.get(at + 2)
        {
            if (set[at]..=*last).contains(&character) {
                return true;
            }
            at += 3;
        } else {
            if set[at] == character {
                return true;
            }
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.part", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "acb", false),
            ("?.txt", "x.txt", true),
            ("?.txt", "xy.txt", false),
            ("[ab]1", "b1", true),
            ("[!ab]1", "b1", false),
            ("day-[0-9][0-9]", "day-31", true),
            ("day-[0-9]", "day-x", false),
            ("[", "[", false),
            ("**", "anything", true),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
    }
}
