//! Paths with wildcards, as shells know them.

use std::path::{Path, PathBuf};

use flow_model::limits::FILE_SENSOR_ENTRIES_MAX;

/// Whether a path has wildcards.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The folder that a pattern names before its first wildcard.
pub(crate) fn fixed_folder(pattern: &str) -> PathBuf {
    let parts: Vec<&str> = pattern.split('/').collect();
    let fixed = parts[..parts.len() - 1].iter().take_while(|part| !is_pattern(part));
    let folder = fixed.copied().collect::<Vec<_>>().join("/");
    if folder.is_empty() { PathBuf::from("/") } else { PathBuf::from(folder) }
}

/// An entry of a folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub path: PathBuf,
    /// A folder itself. Links are none: they may lead in a circle.
    pub is_folder: bool,
}

/// One walk through folders, with a limit on how much it reads.
#[derive(Debug)]
pub(crate) struct Walk {
    left: usize,
    /// A folder that could not be read, and why.
    pub refused: Option<String>,
}

impl Default for Walk {
    fn default() -> Self {
        Walk { left: FILE_SENSOR_ENTRIES_MAX, refused: None }
    }
}

impl Walk {
    /// It has read as much as it may; what is beyond has not been seen.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The entries of a folder, as far as the limit allows, sorted.
    pub fn entries(&mut self, folder: &Path) -> Vec<Entry> {
        let mut found = Vec::new();
        let read = match std::fs::read_dir(folder) {
            Ok(read) => read,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    self.refused = Some(format!("cannot look into the folder `{}`: {error}", folder.display()));
                }
                return found;
            }
        };
        for entry in read.flatten() {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            found.push(Entry { path: entry.path(), is_folder: entry.file_type().is_ok_and(|kind| kind.is_dir()) });
        }
        found.sort();
        found
    }

    /// The paths that a pattern stands for, each once, sorted. A path without wildcards is looked at as it is.
    pub fn matching(&mut self, pattern: &str) -> Vec<PathBuf> {
        let plain = PathBuf::from(pattern);
        if plain.exists() || !is_pattern(pattern) {
            return if plain.exists() { vec![plain] } else { Vec::new() };
        }
        let start = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::from(".") };
        let mut parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        // One after the other they mean the same as one, and would lead to everything twice.
        parts.dedup_by(|one, other| *one == "**" && *other == "**");
        if parts.last() == Some(&"**") {
            parts.push("*");
        }
        let mut found = Vec::new();
        self.descend(&start, &parts, &mut found);
        found.sort();
        found.dedup();
        found
    }

    fn descend(&mut self, folder: &Path, parts: &[&str], found: &mut Vec<PathBuf>) {
        let Some((part, rest)) = parts.split_first() else { return };
        if !is_pattern(part) {
            return self.go_on(folder.join(part), rest, found);
        }
        // Each folder is read once, also where it stands for none of the folders of `**`.
        let entries = self.entries(folder);
        if *part != "**" {
            return self.among(&entries, folder, parts, found);
        }
        self.among(&entries, folder, rest, found);
        for entry in entries.iter().filter(|entry| entry.is_folder && !is_hidden(&entry.path)) {
            self.descend(&entry.path, parts, found);
        }
    }

    /// Goes on with those entries of a folder that fit the first part.
    fn among(&mut self, entries: &[Entry], folder: &Path, parts: &[&str], found: &mut Vec<PathBuf>) {
        let Some((part, rest)) = parts.split_first() else { return };
        if !is_pattern(part) {
            return self.go_on(folder.join(part), rest, found);
        }
        for Entry { path, .. } in entries {
            let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            // As in a shell, hidden files want to be named.
            if (part.starts_with('.') || !name.starts_with('.')) && is_match(part, &name) {
                self.go_on(path.clone(), rest, found);
            }
        }
    }

    fn go_on(&mut self, path: PathBuf, rest: &[&str], found: &mut Vec<PathBuf>) {
        if !path.exists() {
            return;
        }
        if rest.is_empty() { found.push(path) } else { self.descend(&path, rest, found) }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
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
    fn each_folder_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["1.csv", "2.txt", "a/3.csv", "a/b/4.csv", "a/b/.5.csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut walk = Walk::default();
        let found = walk.matching(&format!("{}/**/*.csv", folder.path().display()));
        assert_eq!(found, ["1.csv", "a/3.csv", "a/b/4.csv"].map(|name| folder.path().join(name)));
        assert_eq!(FILE_SENSOR_ENTRIES_MAX - walk.left, 3 + 2 + 2);
    }

    #[test]
    fn the_folder_before_the_first_wildcard_is_known() {
        for (pattern, folder) in
            [("/in/*.csv", "/in"), ("/in/a.csv", "/in"), ("/*/x/a", "/"), ("/in/**/a", "/in"), ("/a", "/")]
        {
            assert_eq!(fixed_folder(pattern), Path::new(folder), "{pattern}");
        }
    }

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
