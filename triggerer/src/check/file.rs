//! Looks for files.

use std::path::Path;
use std::time::{Duration, SystemTime};

use flow_model::Timestamp;
use flow_model::limits::FILE_SENSOR_ENTRIES_MAX;
use serde_json::json;

use super::Found;
use crate::glob::{Walk, fixed_folder};
use crate::mounts::FileThreads;

/// What is waited for.
pub(super) struct Wanted {
    pub path: String,
    pub recursive: bool,
    pub min_size: u64,
    pub min_age: Option<Duration>,
    pub now: Timestamp,
}

/// Looks for files in a thread.
pub(super) async fn look(threads: &FileThreads, wanted: Wanted) -> Found {
    let path = wanted.path.clone();
    threads.run(&path, move || find(&wanted)).await.unwrap_or_else(Found::NotYet)
}

fn find(wanted: &Wanted) -> Found {
    if !wanted.path.starts_with('/') {
        let why = format!("`{}` is a relative path, and triggerers run anywhere", wanted.path);
        return Found::FailedForGood(format!("{why}\nhint: write the whole path, beginning with `/`"));
    }
    let mut walk = Walk::default();
    let mut why = None;
    let mut found = Vec::new();
    for path in walk.matching(&wanted.path) {
        match fits(&path, wanted, &mut walk) {
            Ok(()) => found.push(path.display().to_string()),
            Err(reason) => why = Some(reason),
        }
    }
    if !found.is_empty() {
        return Found::There(json!(found));
    }
    if walk.is_over() {
        return Found::NotYet(format!("gave up after {FILE_SENSOR_ENTRIES_MAX} entries of folders"));
    }
    // A folder that cannot be read tells more than that nothing was found in it.
    let why = why.or(walk.refused).unwrap_or_else(|| absent(&wanted.path));
    Found::NotYet(why)
}

/// What is missing: the folder is worth a word of its own, because no file will ever come there.
fn absent(pattern: &str) -> String {
    let folder = fixed_folder(pattern);
    match folder.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            format!("there is no `{pattern}`, because `{}` is no folder", folder.display())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            format!("there is no `{pattern}`, nor a folder `{}`", folder.display())
        }
        Err(error) => format!("cannot look at `{}`: {error}", folder.display()),
        Ok(_) => format!("there is no `{pattern}`"),
    }
}

/// Whether a path counts; if not, why.
fn fits(path: &Path, wanted: &Wanted, walk: &mut Walk) -> Result<(), String> {
    let shown = path.display();
    let metadata = path.metadata().map_err(|error| format!("cannot look at `{shown}`: {error}"))?;
    if metadata.is_dir() {
        return if !wanted.recursive || has_file(path, wanted, walk) {
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

fn has_file(folder: &Path, wanted: &Wanted, walk: &mut Walk) -> bool {
    walk.entries(folder).into_iter().any(|entry| {
        if entry.is_folder { has_file(&entry.path, wanted, walk) } else { fits(&entry.path, wanted, walk).is_ok() }
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
    fn all_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        (0..250).for_each(|n| std::fs::write(folder.path().join(format!("{n}.csv")), "").unwrap());
        let Found::There(found) = look(&folder.path().join("*.csv"), false, 0, None) else { panic!("they are there") };
        assert_eq!(found.as_array().unwrap().len(), 250);
    }

    #[test]
    fn files_folders_and_patterns_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(look(&path("x"), false, 0, None), Found::NotYet(format!("there is no `{}`", path("x").display())));
        assert!(matches!(look(Path::new("in/x"), false, 0, None), Found::FailedForGood(_)));
        let (file, its_folder) = (path("no/x"), path("no"));
        let expected = format!("there is no `{}`, nor a folder `{}`", file.display(), its_folder.display());
        assert_eq!(look(&file, false, 0, None), Found::NotYet(expected));
        std::fs::create_dir_all(path("in/deep")).unwrap();
        assert!(matches!(look(&path("in"), false, 0, None), Found::There(_)));
        assert!(matches!(look(&path("in"), true, 0, None), Found::NotYet(_)));
        assert!(matches!(look(&path("in/**/*.csv"), false, 0, None), Found::NotYet(_)));
        std::fs::write(path("in/deep/a.csv"), "12345").unwrap();
        assert!(matches!(look(&path("in"), true, 0, None), Found::There(_)));
        let Found::There(found) = look(&path("in/**/*.csv"), false, 0, None) else { panic!("it is there") };
        assert_eq!(found, json!([path("in/deep/a.csv")]));
        // Folders that lead in a circle are not followed, and what is found on two ways is told once.
        std::os::unix::fs::symlink(path("in"), path("in/deep/again")).unwrap();
        assert_eq!(look(&path("in/**/**/*.csv"), false, 0, None), Found::There(json!([path("in/deep/a.csv")])));
        let Found::There(all) = look(&path("in/**"), false, 0, None) else { panic!("it is there") };
        assert_eq!(all, json!([path("in/deep"), path("in/deep/a.csv"), path("in/deep/again")]));
        let expected = format!("`{}` has 5 of 6 bytes", path("in/deep/a.csv").display());
        assert_eq!(look(&path("in/*/?.csv"), false, 6, None), Found::NotYet(expected));
        let ages = Duration::from_secs(100 * 365 * 86_400);
        assert!(matches!(look(&path("in/deep/a.csv"), false, 0, Some(ages)), Found::NotYet(_)));
        assert!(matches!(look(&path("in/deep/a.csv"), false, 0, Some(Duration::from_secs(1))), Found::There(_)));
    }
}
