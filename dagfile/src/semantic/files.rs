//! Scripts beside the DAG file: they are published with the version.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use flow_model::dag::hex;
use sha2::{Digest, Sha256};

use crate::check::Place;
use crate::diagnostic::Problems;
use crate::identity::Seen;
use crate::tree::Node;

/// A script larger than this is refused: it would be kept in the database.
const SCRIPT_BYTES_MAX: u64 = 4 << 20;

/// Reads scripts and keeps them.
pub(crate) struct Files<'a> {
    place: Place<'a>,
    hashes: BTreeMap<String, String>,
    contents: BTreeMap<String, Vec<u8>>,
    /// Also those that do not exist: when one appears, the DAG file is checked again.
    seen: Vec<Seen>,
    absent_plugins: Vec<(String, Range<usize>)>,
}

impl<'a> Files<'a> {
    pub fn new(place: Place<'a>) -> Self {
        Files {
            place,
            hashes: BTreeMap::new(),
            contents: BTreeMap::new(),
            seen: Vec::new(),
            absent_plugins: Vec::new(),
        }
    }

    /// Takes in a script by its path relative to the DAG file.
    pub fn add(&mut self, path: &str, node: &Node, problems: &mut Problems) {
        let Some(folder) = self.place.folder else { return };
        if self.hashes.contains_key(path) {
            return;
        }
        if !stays_inside(&self.place.parent(), Path::new(path)) {
            problems
                .add(node.span.clone(), format!("the script `{path}` is outside the DAG folder"))
                .hint("scripts are published with the DAG; keep them below the DAG folder, with a relative path");
            return;
        }
        let full = folder.join(self.place.parent()).join(path);
        self.seen.push(Seen::now(&full));
        let content = match std::fs::metadata(&full) {
            Ok(metadata) if !metadata.is_file() => Err(std::io::Error::other("it is not a file")),
            Ok(metadata) if metadata.len() > SCRIPT_BYTES_MAX => {
                let size = metadata.len();
                problems
                    .add(
                        node.span.clone(),
                        format!("the script `{path}` has {size} bytes, and may have {SCRIPT_BYTES_MAX}"),
                    )
                    .hint("install large programs on the workers, and call them");
                return;
            }
            Ok(_) => std::fs::read(&full),
            Err(error) => Err(error),
        };
        match content {
            Ok(content) => {
                let hash = hex(&Sha256::digest(&content));
                self.hashes.insert(path.to_owned(), hash.clone());
                self.contents.insert(hash, content);
            }
            Err(error) => {
                problems
                    .add(node.span.clone(), format!("cannot read the script `{path}`: {error}"))
                    .hint(format!("it is looked for beside the DAG file, at `{}`", full.display()));
            }
        }
    }

    /// Takes in a plugin's executable if it stands beside the DAG file; otherwise workers have to have it.
    pub fn add_plugin(&mut self, path: &str, node: &Node, problems: &mut Problems) {
        let Some(folder) = self.place.folder else { return };
        let full = folder.join(self.place.parent()).join(path);
        if full.exists() {
            self.add(path, node, problems);
            let content = self.hashes.get(path).and_then(|hash| self.contents.get(hash));
            if let Some((what, hint)) = content.and_then(|content| not_executable(content)) {
                problems.add(node.span.clone(), format!("`{path}` {what}")).hint(hint);
            }
        } else {
            self.seen.push(Seen::now(&full));
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

    /// The scripts' paths with the hashes of their contents.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        self.hashes.clone()
    }

    /// The contents by hash, and what was looked at.
    pub fn finish(self) -> (Vec<(String, Vec<u8>)>, Vec<Seen>) {
        (self.contents.into_iter().collect(), self.seen)
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

fn stays_inside(parent: &Path, path: &Path) -> bool {
    let mut depth = 0_usize;
    for component in PathBuf::from(parent).join(path).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    // The worker writes it below the attempt's folder under this very path.
    !path.components().any(|component| component == Component::ParentDir)
}
