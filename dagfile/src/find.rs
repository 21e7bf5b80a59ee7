//! Finds the DAG files of a folder.

use std::collections::{HashSet, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a folder holds; paths are relative to it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// DAG files, in no order.
    pub files: Vec<String>,
    /// Folders inside that could not be read.
    pub unreadable: Vec<PathBuf>,
}

/// Looks through a folder and everything below it. Hidden files and those whose names begin with `_` are passed over.
///
/// # Errors
/// The folder itself cannot be read.
pub(crate) fn find(root: &Path) -> std::io::Result<Found> {
    let mut found = Found::default();
    let mut folders = VecDeque::from([PathBuf::new()]);
    // Links may lead round in circles: every folder is entered once, by its own name if it has one here.
    let mut links = VecDeque::new();
    let mut entered = HashSet::new();
    while let Some(folder) = folders.pop_front().or_else(|| links.pop_front()) {
        let is_root = folder.as_os_str().is_empty();
        match std::fs::metadata(root.join(&folder)) {
            Ok(metadata) if !entered.insert((metadata.dev(), metadata.ino())) => continue,
            Ok(_) => {}
            Err(error) if is_root => return Err(error),
            Err(_) => {}
        }
        if let Err(error) = look_into(root, &folder, &mut found, &mut folders, &mut links) {
            if is_root {
                return Err(error);
            }
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(folder = %folder.display(), error = &error as &dyn std::error::Error, "cannot read a folder inside the DAG folder");
                found.unreadable.push(folder);
            }
        }
    }
    Ok(found)
}

fn look_into(
    root: &Path,
    folder: &Path,
    found: &mut Found,
    folders: &mut VecDeque<PathBuf>,
    links: &mut VecDeque<PathBuf>,
) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(root.join(folder))?.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(['.', '_']) {
            continue;
        }
        let path = folder.join(name);
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
            folders.push_back(path);
        } else if kind.is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir() {
            links.push_back(path);
        } else if is_dag_file(name) {
            found.files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Some systems write names in capitals.
pub(crate) fn is_dag_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}
