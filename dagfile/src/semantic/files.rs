//! Files in the DAG folder that tasks use: they are published with the version.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use flow_model::dag::hex;
use flow_model::limits::{PUBLISHED_BYTES_MAX, PUBLISHED_ENTRIES_MAX, PUBLISHED_FILE_BYTES_MAX, PUBLISHED_FILES_MAX};
use sha2::{Digest, Sha256};

use flow_model::outside::{bytes_without_mark, without_mark};

use crate::check::Place;
use crate::diagnostic::Problems;
use crate::identity::Seen;
use crate::tree::Node;

/// Reads files and keeps them. A file's key is its path relative to the DAG file.
pub(crate) struct Files<'a> {
    place: Place<'a>,
    hashes: BTreeMap<String, String>,
    contents: BTreeMap<String, Vec<u8>>,
    /// Also those that do not exist: when one appears, the DAG file is checked again.
    seen: BTreeMap<PathBuf, Seen>,
    total_bytes: u64,
    absent_plugins: Vec<(String, Range<usize>)>,
}

impl<'a> Files<'a> {
    pub fn new(place: Place<'a>) -> Self {
        Files {
            place,
            hashes: BTreeMap::new(),
            contents: BTreeMap::new(),
            seen: BTreeMap::new(),
            total_bytes: 0,
            absent_plugins: Vec::new(),
        }
    }

    /// Whether there is a folder to look into.
    pub fn can_look(&self) -> bool {
        self.place.folder.is_some()
    }

    /// The DAG file's folder, relative to the DAG folder.
    pub fn home(&self) -> PathBuf {
        self.place.parent()
    }

    /// A path relative to the DAG file, as one that is relative to the DAG folder.
    pub fn relative_to_root(&self, path: &str) -> PathBuf {
        lexical(&self.home().join(path)).unwrap_or_default()
    }

    /// Where something in the DAG folder is on this machine.
    pub fn full(&self, from_root: &Path) -> PathBuf {
        self.place.folder.map(|folder| folder.join(from_root)).unwrap_or_default()
    }

    /// The DAG file is checked again when this file of the DAG folder appears, changes or goes.
    pub fn watch(&mut self, from_root: &Path) {
        let full = self.full(from_root);
        self.seen.entry(full.clone()).or_insert_with(|| Seen::now(&full));
    }

    /// The text of a file that was taken in.
    pub fn text_of(&self, from_root: &Path) -> Option<String> {
        let content = self.contents.get(self.hashes.get(&self.key(from_root))?)?;
        Some(without_mark(&String::from_utf8_lossy(content)).to_owned())
    }

    /// Takes in a file by its path relative to the DAG file, and returns its key.
    pub fn add(&mut self, path: &str, node: &Node, problems: &mut Problems) -> Option<String> {
        self.place.folder?;
        let from_root = if path.starts_with('/') { None } else { lexical(&self.home().join(path)) };
        let Some(from_root) = from_root else {
            problems
                .add(node.span.clone(), format!("the file `{path}` is outside the DAG folder"))
                .hint("files are published with the DAG; keep them in the DAG folder, and name them by a path relative to the DAG file");
            return None;
        };
        if from_root.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.')) {
            problems
                .add(node.span.clone(), format!("the file `{path}` is hidden, so it is not published"))
                .hint("give it a name that does not begin with `.`; secrets belong into connections and variables");
            return None;
        }
        self.add_from_root(&from_root, node, problems)
    }

    /// As [`Files::add`], by its path relative to the DAG folder.
    pub fn add_from_root(&mut self, from_root: &Path, node: &Node, problems: &mut Problems) -> Option<String> {
        self.place.folder?;
        let key = self.key(from_root);
        if self.hashes.contains_key(&key) {
            return Some(key);
        }
        self.watch(from_root);
        let full = self.full(from_root);
        match self.read(&full, &key) {
            Ok(content) => {
                self.total_bytes += content.len() as u64;
                let hash = hex(&Sha256::digest(&content));
                self.hashes.insert(key.clone(), hash.clone());
                self.contents.insert(hash, content);
                Some(key)
            }
            Err((message, hint)) => {
                problems.add(node.span.clone(), message).hint(hint);
                None
            }
        }
    }

    fn read(&self, full: &Path, key: &str) -> Result<Vec<u8>, (String, String)> {
        let unreadable = |error: std::io::Error| {
            let place = format!("it is looked for beside the DAG file, at `{}`", full.display());
            (format!("cannot read the file `{key}`: {error}"), place)
        };
        let metadata = std::fs::metadata(full).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a file")));
        }
        let size = metadata.len();
        if size > PUBLISHED_FILE_BYTES_MAX {
            let message = format!("the file `{key}` has {size} bytes, and may have {PUBLISHED_FILE_BYTES_MAX}");
            return Err((
                message,
                "install large programs on the workers, and keep data in an object store".to_owned(),
            ));
        }
        if self.total_bytes + size > PUBLISHED_BYTES_MAX {
            let message = format!("with `{key}` the files of this DAG have more than {PUBLISHED_BYTES_MAX} bytes");
            return Err((
                message,
                "publish less: name fewer `files`, or install what is large on the workers".to_owned(),
            ));
        }
        if self.hashes.len() >= PUBLISHED_FILES_MAX {
            let message = format!("with `{key}` this DAG has more than {PUBLISHED_FILES_MAX} files");
            return Err((
                message,
                "publish less: name fewer `files`, or make a package of them in `requirements`".to_owned(),
            ));
        }
        std::fs::read(full).map(|content| with_unix_lines(full, content)).map_err(unreadable)
    }

    /// Takes in every file that a pattern stands for (`lib/**/*.py`), and returns their keys.
    pub fn add_matching(&mut self, pattern: &str, node: &Node, problems: &mut Problems) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        if !self.can_look() {
            return keys;
        }
        if !pattern.contains(['*', '?', '[']) {
            keys.extend(self.add(pattern, node, problems));
            return keys;
        }
        let from_root = if pattern.starts_with('/') { None } else { lexical(&self.home().join(pattern)) };
        let Some(from_root) = from_root else {
            problems
                .add(node.span.clone(), format!("`{pattern}` is outside the DAG folder"))
                .hint("files are published with the DAG; keep them in the DAG folder");
            return keys;
        };
        let wanted = match glob::Pattern::new(&from_root.to_string_lossy()) {
            Ok(wanted) => wanted,
            Err(error) => {
                problems
                    .add(node.span.clone(), format!("`{pattern}` is no pattern of files: {}", error.msg))
                    .hint("for instance `lib/**/*.py` or `queries/*.sql`");
                return keys;
            }
        };
        for file in self.matching(&from_root, &wanted) {
            keys.extend(self.add_from_root(&file, node, problems));
        }
        if keys.is_empty() {
            problems.add(node.span.clone(), format!("`{pattern}` stands for no file")).hint(
                "patterns are relative to the DAG file; hidden files are passed over, and `**` stands for folders",
            );
        }
        keys
    }

    /// The files that a pattern stands for. Folders are watched: a new file in them changes what it means.
    fn matching(&mut self, from_root: &Path, wanted: &glob::Pattern) -> Vec<PathBuf> {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let fixed: PathBuf = from_root.components().take_while(is_plain).collect();
        let depth = from_root.components().count();
        let is_deep = from_root.components().any(|part| part.as_os_str() == "**");
        let (mut folders, mut found, mut left) = (vec![fixed], Vec::new(), PUBLISHED_ENTRIES_MAX);
        while let Some(folder) = folders.pop() {
            self.watch(&folder);
            let Ok(entries) = std::fs::read_dir(self.full(&folder)) else { continue };
            for entry in entries.flatten().take(left) {
                left -= 1;
                let name = entry.file_name().to_string_lossy().into_owned();
                // What Python and editors leave behind is nobody's source.
                if name.starts_with('.') || name == "__pycache__" {
                    continue;
                }
                let path = folder.join(&name);
                // Links to folders are not followed: they could lead round in circles.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && (is_deep || path.components().count() < depth) => folders.push(path),
                    _ if wanted.matches_path_with(&path, options) && entry.path().is_file() => found.push(path),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }

    /// Takes in a plugin's executable if it stands beside the DAG file; otherwise workers have to have it.
    pub fn add_plugin(&mut self, path: &str, node: &Node, problems: &mut Problems) {
        if !self.can_look() {
            return;
        }
        let from_root = self.home().join(path);
        if self.full(&from_root).exists() {
            self.add(path, node, problems);
            let content = self.hashes.get(path).and_then(|hash| self.contents.get(hash));
            if let Some((what, hint)) = content.and_then(|content| not_executable(content)) {
                problems.add(node.span.clone(), format!("`{path}` {what}")).hint(hint);
            }
        } else {
            self.watch(&from_root);
            self.absent_plugins.push((path.to_owned(), node.span.clone()));
        }
    }

    /// Says which plugins are not published with the DAG: a misspelt name should not be found out at night.
    pub fn warn_of_absent_plugins(&self, warnings: &mut Problems) {
        for (path, span) in &self.absent_plugins {
            warnings
                .add(span.clone(), format!("there is no `{path}` beside the DAG file"))
                .hint("put the executable there, or into the folder `worker.plugins_folder` of every worker");
        }
    }

    /// The files' keys with the hashes of their contents.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        self.hashes.clone()
    }

    /// The DAG file's folder, where files need it.
    pub fn folder(&self) -> String {
        if self.hashes.is_empty() { String::new() } else { self.home().to_string_lossy().into_owned() }
    }

    /// The contents by hash, and what was looked at.
    pub fn finish(self) -> (Vec<(String, Vec<u8>)>, Vec<Seen>) {
        (self.contents.into_iter().collect(), self.seen.into_values().collect())
    }

    /// How a file of the DAG folder is called: relative to the DAG file.
    fn key(&self, from_root: &Path) -> String {
        let home = self.home();
        let shared = home.components().zip(from_root.components()).take_while(|(one, other)| one == other).count();
        let up = home.components().count() - shared;
        let steps = std::iter::repeat_n("..".to_owned(), up);
        let down = from_root.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
        steps.chain(down).collect::<Vec<_>>().join("/")
    }
}

/// What keeps a file from being started, and what to do.
fn not_executable(content: &[u8]) -> Option<(&'static str, &'static str)> {
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match first.strip_prefix(b"#!") {
        None if content.starts_with(b"\x7fELF") => None,
        None => Some((
            "is neither a program nor a script: it does not begin with `#!`",
            "begin it with its interpreter, for instance `#!/usr/bin/env python3`",
        )),
        Some(line) if line.ends_with(b"\r") => {
            Some(("cannot be started: its lines end with carriage returns", "save it with Unix line ends"))
        }
        Some(_) => None,
    }
}

/// The path without `.` and `..`. `None`: it leads out of the folder in which it begins.
fn lexical(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

/// Code and scripts without the byte order mark that hides their first line, and a script for a shell with the line ends
/// that shells know; anything else as it is.
fn with_unix_lines(path: &Path, content: Vec<u8>) -> Vec<u8> {
    let is = |names: &[&str]| path.extension().is_some_and(|name| names.iter().any(|known| name == *known));
    let plain = bytes_without_mark(&content);
    let is_code = is(&["sh", "bash", "sql", "py"]) || plain.starts_with(b"#!");
    let content = if is_code { plain.to_vec() } else { content };
    let is_shell = |line: &str| is(&["sh", "bash"]) || (line.starts_with("#!") && line.contains("sh"));
    match std::str::from_utf8(&content) {
        Ok(text) if text.contains("\r\n") && text.lines().next().is_some_and(is_shell) => {
            flow_model::outside::unix_lines(text).into_owned().into_bytes()
        }
        _ => content,
    }
}
