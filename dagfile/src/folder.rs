//! The DAG folder: what has changed since the last look.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::check::{CheckedFile, check_file};
use crate::diagnostic::Problems;
use crate::find::find;
use crate::identity::Seen;

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
    /// The file and its scripts, as they were before they were read.
    seen: Vec<Seen>,
    /// The path of the file that has the same id and comes first.
    duplicate_of: Option<String>,
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
        let mut found = find(&self.path)?;
        // What stands in a folder that cannot be read just now has not gone: it is read again, and says why it fails.
        let hidden = |path: &&String| found.unreadable.iter().any(|folder| Path::new(path).starts_with(folder));
        found.files.extend(self.known.keys().filter(hidden).cloned().collect::<Vec<_>>());
        let mut present = found.files;
        present.sort();
        present.dedup();
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
        self.known.get(path).is_some_and(|known| known.seen.iter().all(Seen::is_current))
    }

    fn remember(&mut self, file: &CheckedFile) {
        let known = Known { dag_id: file.dag_id.clone(), seen: file.seen.clone(), duplicate_of: None };
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
            let mut problems = match std::mem::replace(&mut file.result, Err(Vec::new())) {
                Ok(_) => Problems::default(),
                Err(diagnostics) => Problems::from(diagnostics),
            };
            problems
                .add(file.dag_id_span.clone(), format!("the DAG `{}` is already defined in `{holder}`", file.dag_id))
                .hint("give one of them another `dag_id`, or rename the file");
            file.result = Err(problems.finish(&file.source));
        }
    }
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
