//! Looks for files.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flow_model::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Found;
use crate::glob::{ENTRIES_MAX, entries, matching};

/// Looks at once; a file system that hangs takes no more threads than this.
const LOOKS_MAX: usize = 32;
/// Paths that are remembered.
const PATHS_MAX: usize = 100;

/// What is waited for.
pub(super) struct Wanted {
    pub path: String,
    pub recursive: bool,
    pub min_size: u64,
    pub min_age: Option<Duration>,
    pub now: Timestamp,
}

/// Looks for files in threads of their own.
pub(super) struct FileLooks(Arc<Semaphore>);

impl Default for FileLooks {
    fn default() -> Self {
        FileLooks(Arc::new(Semaphore::new(LOOKS_MAX)))
    }
}

impl FileLooks {
    pub async fn look(&self, wanted: Wanted) -> Found {
        let Ok(permit) = Arc::clone(&self.0).acquire_owned().await else {
            return Found::NotYet("the triggerer stops".to_owned());
        };
        // The permit stays with the thread: one that hangs keeps it, even when nobody waits for it any more.
        let looking = tokio::task::spawn_blocking(move || {
            let found = find(&wanted);
            drop(permit);
            found
        });
        looking.await.unwrap_or_else(|error| Found::NotYet(format!("the look failed: {error}")))
    }
}

fn find(wanted: &Wanted) -> Found {
    let mut budget = ENTRIES_MAX;
    let mut why = None;
    let mut found = Vec::new();
    for path in matching(&wanted.path, &mut budget) {
        match fits(&path, wanted, &mut budget) {
            Ok(()) if found.len() < PATHS_MAX => found.push(path.display().to_string()),
            Ok(()) => {}
            Err(reason) => why = Some(reason),
        }
    }
    if !found.is_empty() {
        return Found::There(json!(found));
    }
    if budget == 0 {
        return Found::NotYet(format!("gave up after {ENTRIES_MAX} entries of folders"));
    }
    Found::NotYet(why.unwrap_or_else(|| format!("there is no `{}`", wanted.path)))
}

/// Whether a path counts; if not, why.
fn fits(path: &Path, wanted: &Wanted, budget: &mut usize) -> Result<(), String> {
    let shown = path.display();
    let metadata = path.metadata().map_err(|error| format!("cannot look at `{shown}`: {error}"))?;
    if metadata.is_dir() {
        return if !wanted.recursive || has_file(path, wanted, budget) {
            Ok(())
        } else {
            Err(format!("there is no file in `{shown}` yet"))
        };
    }
    if metadata.len() < wanted.min_size {
        return Err(format!("`{shown}` has {} of {} bytes", metadata.len(), wanted.min_size));
    }
    let Some(min_age) = wanted.min_age else { return Ok(()) };
    let changed = metadata.modified().map_err(|error| format!("cannot tell the age of `{shown}`: {error}"))?;
    if age(changed, wanted.now) < min_age { Err(format!("`{shown}` has only just been changed")) } else { Ok(()) }
}

/// Files carry the wall clock's time; the store's clock is the same one, told exactly.
fn age(changed: SystemTime, now: Timestamp) -> Duration {
    let since_epoch = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.since(Timestamp::UNIX_EPOCH + since_epoch)
}

fn has_file(folder: &Path, wanted: &Wanted, budget: &mut usize) -> bool {
    entries(folder, budget).into_iter().any(|path| {
        let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_folder { has_file(&path, wanted, budget) } else { fits(&path, wanted, budget).is_ok() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(path: &Path, recursive: bool, min_size: u64, min_age: Option<Duration>) -> Found {
        let now = Timestamp::from_micros(4_102_444_800_000_000);
        find(&Wanted { path: path.display().to_string(), recursive, min_size, min_age, now })
    }

    #[test]
    fn files_folders_and_patterns_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(look(&path("x"), false, 0, None), Found::NotYet(format!("there is no `{}`", path("x").display())));
        std::fs::create_dir_all(path("in/deep")).unwrap();
        assert!(matches!(look(&path("in"), false, 0, None), Found::There(_)));
        assert!(matches!(look(&path("in"), true, 0, None), Found::NotYet(_)));
        assert!(matches!(look(&path("in/**/*.csv"), false, 0, None), Found::NotYet(_)));
        std::fs::write(path("in/deep/a.csv"), "12345").unwrap();
        assert!(matches!(look(&path("in"), true, 0, None), Found::There(_)));
        let Found::There(found) = look(&path("in/**/*.csv"), false, 0, None) else { panic!("it is there") };
        assert_eq!(found, json!([path("in/deep/a.csv")]));
        let expected = format!("`{}` has 5 of 6 bytes", path("in/deep/a.csv").display());
        assert_eq!(look(&path("in/*/?.csv"), false, 6, None), Found::NotYet(expected));
        let ages = Duration::from_secs(100 * 365 * 86_400);
        assert!(matches!(look(&path("in/deep/a.csv"), false, 0, Some(ages)), Found::NotYet(_)));
        assert!(matches!(look(&path("in/deep/a.csv"), false, 0, Some(Duration::from_secs(1))), Found::There(_)));
    }
}
