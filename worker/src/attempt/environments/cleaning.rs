//! Removes environments that nobody has used for long, and the oldest where there are too many.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flow_model::Timestamp;
use rustix::fs::{FlockOperation, flock};

use super::{EnvironmentOptions, USED, WHOLE, is_whole, lock_file};

/// An environment that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    folder: PathBuf,
    bytes: u64,
    unused_for: Duration,
}

/// Removes what has to go. Whatever a task uses or builds at the moment stays, and so does `spared`.
pub(crate) fn clean(options: &EnvironmentOptions, now: Timestamp, spared: Option<&Path>) {
    let kept: Vec<Kept> =
        environments(&options.folder, now).into_iter().filter(|kept| Some(kept.folder.as_path()) != spared).collect();
    let spared = spared.map_or(0, bytes_of);
    for kept in to_remove(kept, options, spared) {
        match remove(&kept.folder) {
            Ok(true) => {
                tracing::info!(folder = %kept.folder.display(), bytes = kept.bytes, "removed a Python environment");
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(folder = %kept.folder.display(), error = &error as &dyn std::error::Error, "could not remove a Python environment");
            }
        }
    }
}

fn environments(root: &Path, now: Timestamp) -> Vec<Kept> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
    let kept = |folder: PathBuf| {
        // One that is not whole was left by a worker that died, or is being built: the lock tells.
        let file = if is_whole(&folder) { folder.with_extension(USED) } else { folder.clone() };
        let used = std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()?;
        let unused_for = now.duration_since(used).unwrap_or_default();
        Some(Kept { bytes: bytes_of(&folder), folder, unused_for })
    };
    folders.filter_map(kept).collect()
}

fn bytes_of(folder: &Path) -> u64 {
    std::fs::read_to_string(folder.with_extension(WHOLE)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Those that are too old; then those that were not used for the longest time, until the rest fits.
fn to_remove(mut kept: Vec<Kept>, options: &EnvironmentOptions, spared: u64) -> Vec<Kept> {
    kept.sort_by_key(|kept| kept.unused_for);
    let mut total = spared;
    kept.into_iter()
        .filter(|kept| {
            total = total.saturating_add(kept.bytes);
            kept.unused_for > options.max_age || total > options.bytes_max
        })
        .collect()
}

/// Removes an environment unless somebody holds its lock. Returns whether it is gone.
fn remove(folder: &Path) -> std::io::Result<bool> {
    let lock = lock_file(folder)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    // First what makes it count: half of one is none.
    let _ = std::fs::remove_file(folder.with_extension(WHOLE));
    let _ = std::fs::remove_file(folder.with_extension(USED));
    std::fs::remove_dir_all(folder)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(folder: &Path) -> EnvironmentOptions {
        EnvironmentOptions {
            folder: folder.to_owned(),
            max_age: Duration::from_secs(100),
            bytes_max: 50,
            build_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn the_old_go_and_then_those_that_were_not_used_for_long() {
        let kept = |name: &str, bytes, unused_for| Kept {
            folder: PathBuf::from(name),
            bytes,
            unused_for: Duration::from_secs(unused_for),
        };
        let all = vec![kept("old", 1, 101), kept("new", 30, 1), kept("middle", 20, 50), kept("last", 1, 60)];
        let removed = |spared| -> Vec<String> {
            let removed = to_remove(all.clone(), &options(Path::new("/")), spared);
            removed.into_iter().map(|kept| kept.folder.display().to_string()).collect()
        };
        assert_eq!(removed(0), ["last", "old"]);
        assert_eq!(removed(10), ["middle", "last", "old"]);
        assert_eq!(removed(40), ["new", "middle", "last", "old"]);
    }

    #[test]
    fn what_is_in_use_or_was_just_built_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["used", "unused", "spared", "half"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            if name != "half" {
                std::fs::write(folder.path().join(name).with_extension(WHOLE), "100").unwrap();
                std::fs::write(folder.path().join(name).with_extension(USED), "").unwrap();
            }
        }
        let lock = lock_file(&folder.path().join("used")).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockShared).unwrap();
        // Far later than the files were written.
        let now = Timestamp::from_micros(8_000_000_000_000_000);
        clean(&options(folder.path()), now, Some(&folder.path().join("spared")));
        let left = |name: &str| folder.path().join(name).exists();
        assert!(left("used") && left("spared") && !left("unused") && !left("half"));
        drop(lock);
        clean(&options(folder.path()), now, None);
        assert!(!left("used") && !left("spared"));
    }
}
