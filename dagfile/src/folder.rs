//! The DAG folder: what has changed since the last look.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::check::{CheckedFile, check_file};
use crate::diagnostic::Problems;

/// Folders within folders are followed this deep.
const DEPTH_MAX: usize = 16;

/// A DAG folder and what is known of it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    known: BTreeMap<String, Known>,
}

/// What a scan has found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Files that are new or have changed (or whose scripts have), good or bad. On the first scan: all.
    pub changed: Vec<CheckedFile>,
    /// Paths of files that are gone.
    pub removed: Vec<String>,
    /// DAG files in the folder.
    pub total: usize,
}

#[derive(Debug)]
struct Known {
    dag_id: String,
    /// The file and its scripts, as they were when they were read.
    seen: Vec<(PathBuf, Option<Identity>)>,
    /// The path of the file that has the same id and comes first.
    duplicate_of: Option<String>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Folder {
    /// A folder that has not been looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Folder { path: path.into(), known: BTreeMap::new() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for changes. Costs one `stat` per file when there are none. Hidden files, those whose names begin with `_`,
    /// and editors' leftovers are passed over.
    ///
    /// # Errors
    /// The folder itself cannot be read. What cannot be read inside it becomes a diagnostic of that file.
    pub fn scan(&mut self) -> std::io::Result<Scan> {
        let mut present = Vec::new();
        collect(&self.path, Path::new(""), DEPTH_MAX, &mut present)?;
        present.sort();
        let mut scan = Scan { total: present.len(), ..Scan::default() };
        scan.removed = self.known.keys().filter(|known| present.binary_search(*known).is_err()).cloned().collect();
        for gone in &scan.removed {
            self.known.remove(gone);
        }
        let changed: Vec<&String> = present.iter().filter(|path| !self.is_unchanged(path)).collect();
        let mut checked = check_all(&self.path, &changed);
        for file in &checked {
            self.remember(file);
        }
        self.mark_duplicates(&mut checked);
        scan.changed = checked;
        Ok(scan)
    }

    fn is_unchanged(&self, path: &str) -> bool {
        self.known.get(path).is_some_and(|known| known.seen.iter().all(|(file, seen)| identity(file) == *seen))
    }

    fn remember(&mut self, file: &CheckedFile) {
        let path = self.path.join(&file.path);
        let parent = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut seen = vec![(path.clone(), identity(&path))];
        if let Ok(parsed) = &file.result {
            seen.extend(parsed.dag.files.keys().map(|script| {
                let script = parent.join(script);
                let identity = identity(&script);
                (script, identity)
            }));
        }
        let known = Known { dag_id: file.dag_id.clone(), seen, duplicate_of: None };
        self.known.insert(file.path.clone(), known);
    }

    /// Of several files with the same id the first by path has it. One whose rival has come or gone is checked again.
    fn mark_duplicates(&mut self, checked: &mut Vec<CheckedFile>) {
        let mut first: HashMap<String, String> = HashMap::new();
        let mut again = Vec::new();
        for (path, known) in &mut self.known {
            let holder = first.get(&known.dag_id).cloned();
            if holder.is_none() {
                first.insert(known.dag_id.clone(), path.clone());
            }
            if known.duplicate_of != holder {
                known.duplicate_of = holder;
                again.push(path.clone());
            }
        }
        for path in again {
            if !checked.iter().any(|file| file.path == path) {
                checked.push(check_file(&self.path, Path::new(&path)));
            }
        }
        for file in checked {
            let Some(holder) = self.known.get(&file.path).and_then(|known| known.duplicate_of.clone()) else {
                continue;
            };
            let mut problems = Problems::default();
            problems
                .add(0..0, format!("the DAG `{}` is already defined in `{holder}`", file.dag_id))
                .hint("give one of them another `dag_id`, or rename the file");
            file.result = Err(problems.finish(&file.source));
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Identity { modified: (metadata.mtime(), metadata.mtime_nsec()), size: metadata.len(), inode: metadata.ino() })
}

/// Paths of the DAG files below a folder, relative to the root.
fn collect(root: &Path, relative: &Path, depth: usize, found: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root.join(relative))? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(['.', '_']) {
            continue;
        }
        let path = relative.join(name);
        let is_folder =
            entry.file_type().is_ok_and(|kind| kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()));
        if is_folder && depth > 0 {
            // A folder inside that cannot be read hides only itself.
            let _ = collect(root, &path, depth - 1, found);
        } else if !is_folder && name.ends_with(".toml") {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Checks files on all cores.
fn check_all(root: &Path, paths: &[&String]) -> Vec<CheckedFile> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if paths.len() < 16 || threads == 1 {
        return paths.iter().map(|path| check_file(root, Path::new(path))).collect();
    }
    let share = paths.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(share)
            .map(|part| {
                scope.spawn(move || part.iter().map(|path| check_file(root, Path::new(path))).collect::<Vec<_>>())
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}
