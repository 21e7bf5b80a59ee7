//! The files that a task leaves in `$FLOW_ARTIFACTS`: found and kept when its process has ended, whatever its end was.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_model::limits::{ARTIFACT_DEPTH_MAX, ARTIFACT_ENTRIES_MAX};
use flow_store::{NewArtifact, Store, WorkOrder, is_artifact_name};
use rustix::fs::OFlags;

use crate::attempt::{Stop, StopSignal, stopped};
use crate::log::AttemptLog;

/// Lines in the log about what was not kept.
const COMPLAINTS_MAX: usize = 20;
/// Between tries while the database is away.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How much a try may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// Files.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// What was found, and what of it cannot be kept and why.
#[derive(Debug, Default)]
struct Found {
    files: Vec<(String, PathBuf)>,
    complaints: Vec<String>,
    entries: usize,
}

/// Keeps what is in the folder. What is not kept is told in the log; the task's end stays what it was.
///
/// # Errors
/// The attempt must stop.
pub(crate) async fn keep(
    store: &Store,
    limits: ArtifactLimits,
    order: &WorkOrder,
    (folder, owner): (&Path, Option<u32>),
    log: &AttemptLog,
    stop: &mut StopSignal,
) -> Result<(), Stop> {
    let mut found = find(folder, limits.files);
    let (mut count, mut bytes) = (0_usize, 0_u64);
    for (name, path) in &found.files {
        let content = match read(path, owner, limits.file_bytes) {
            Ok(content) if bytes + content.len() as u64 > limits.total_bytes => {
                let limit = size(limits.total_bytes);
                found.complaints.push(format!("`{name}`: all files together are larger than {limit}"));
                continue;
            }
            Ok(content) => content,
            Err(why) => {
                found.complaints.push(format!("`{name}`: {why}"));
                continue;
            }
        };
        tokio::select! {
            result = keep_one(store, order, name, &content) => match result {
                Ok(true) => {}
                // Whoever took the right to act will say so; nothing more is written.
                Ok(false) => return Err(stopped(stop).await),
                Err(why) => {
                    found.complaints.push(format!("`{name}`: {why}"));
                    continue;
                }
            },
            stop = stopped(stop) => return Err(stop),
        }
        count += 1;
        bytes += content.len() as u64;
    }
    tell(store, log, &found.complaints, count, bytes);
    Ok(())
}

fn tell(store: &Store, log: &AttemptLog, complaints: &[String], count: usize, bytes: u64) {
    for complaint in complaints.iter().take(COMPLAINTS_MAX) {
        log.system(store.now(), &format!("artifact not kept: {complaint}"));
    }
    if complaints.len() > COMPLAINTS_MAX {
        log.system(store.now(), &format!("{} more artifacts were not kept", complaints.len() - COMPLAINTS_MAX));
    }
    if count > 0 {
        let noun = if count == 1 { "artifact" } else { "artifacts" };
        log.system(store.now(), &format!("kept {count} {noun}, {}", size(bytes)));
    }
}

async fn keep_one(store: &Store, order: &WorkOrder, name: &str, content: &[u8]) -> Result<bool, String> {
    let new = NewArtifact { task_instance: order.task_instance, epoch: order.epoch, claim: order.claim, name, content };
    loop {
        match store.keep_artifact(store.now(), &new).await {
            Ok(kept) => return Ok(kept),
            Err(error) if error.is_transient() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not keep an artifact; trying again");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Regular files in the folder and below it, by name. Symbolic links are not followed, neither to files nor to folders.
fn find(folder: &Path, files_max: usize) -> Found {
    let mut found = Found::default();
    walk(folder, "", 0, &mut found);
    found.files.sort();
    for (name, _) in found.files.drain(files_max.min(found.files.len())..) {
        found.complaints.push(format!("`{name}`: a task keeps at most {files_max} files"));
    }
    found
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Found) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        found.entries += 1;
        if found.entries > ARTIFACT_ENTRIES_MAX {
            return;
        }
        let name = match entry.file_name().into_string() {
            Ok(name) => format!("{prefix}{name}"),
            Err(name) => {
                found.complaints.push(format!("`{prefix}{}`: its name is not UTF-8", name.to_string_lossy()));
                continue;
            }
        };
        // The entry itself, never what a link points to.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            found.complaints.push(format!("`{name}`: it is a symbolic link"));
        } else if kind.is_dir() && depth < ARTIFACT_DEPTH_MAX {
            walk(&entry.path(), &format!("{name}/"), depth + 1, found);
        } else if !kind.is_file() {
            found.complaints.push(format!("`{name}`: it is no regular file, or too deep"));
        } else if !is_artifact_name(&name) {
            found.complaints.push(format!("`{}`: its name is too long or has control characters", name.escape_debug()));
        } else {
            found.files.push((name, entry.path()));
        }
    }
}

/// A regular file of limited size. It may have been exchanged since it was found: what is opened is looked at again.
fn read(path: &Path, owner: Option<u32>, bytes_max: u64) -> Result<Vec<u8>, String> {
    let file = open_left(path, owner).map_err(|error| format!("it cannot be read: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("it cannot be read: {error}"))?;
    if metadata.len() > bytes_max {
        return Err(format!("it has {}, and a file may have {}", size(metadata.len()), size(bytes_max)));
    }
    let mut content = Vec::new();
    file.take(bytes_max).read_to_end(&mut content).map_err(|error| format!("it cannot be read: {error}"))?;
    Ok(content)
}

/// Opens a file that a task may have left: a regular one, never what a link points to, and only its owner's where there is one.
pub(crate) fn open_left(path: &Path, owner: Option<u32>) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    if owner.is_some_and(|owner| owner != metadata.uid()) {
        return Err(std::io::Error::other("it is not a file of the user that the task ran as"));
    }
    Ok(file)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found) -> Vec<&str> {
        found.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn regular_files_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("plots/deep")).unwrap();
        for name in ["b.txt", "a.txt", "plots/deep/c.svg", "line\nbreak"] {
            fs::write(at(name), name).unwrap();
        }
        std::os::unix::fs::symlink(outside.path().join("secret"), at("link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), at("plots/out")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let mut found = find(folder.path(), 100);
        assert_eq!(names(&found), ["a.txt", "b.txt", "plots/deep/c.svg"]);
        found.complaints.sort();
        let expected = [
            "`line\\nbreak`: its name is too long or has control characters",
            "`link`: it is a symbolic link",
            "`pipe`: it is no regular file, or too deep",
            "`plots/out`: it is a symbolic link",
        ];
        assert_eq!(found.complaints, expected);
        let few = find(folder.path(), 2);
        assert_eq!(names(&few), ["a.txt", "b.txt"]);
        assert!(few.complaints.contains(&"`plots/deep/c.svg`: a task keeps at most 2 files".to_owned()));
    }

    #[test]
    fn what_is_read_is_a_regular_file_of_limited_size() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "12345").unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read(&at("a"), None, 5).unwrap(), b"12345");
        assert_eq!(read(&at("a"), None, 4).unwrap_err(), "it has 5 bytes, and a file may have 4 bytes");
        assert!(read(&at("link"), None, 100).unwrap_err().contains("cannot be read"));
        // Opening a pipe that nobody writes to must not wait.
        assert_eq!(read(&at("pipe"), None, 100).unwrap_err(), "it cannot be read: it is no regular file");
        let owner = fs::metadata(at("a")).unwrap().uid();
        assert_eq!(read(&at("a"), Some(owner), 5).unwrap(), b"12345");
        assert!(read(&at("a"), Some(owner + 1), 5).unwrap_err().contains("not a file of the user"));
    }

    #[test]
    fn a_folder_that_is_not_there_has_nothing() {
        let found = find(Path::new("/does/not/exist"), 10);
        assert!(found.files.is_empty() && found.complaints.is_empty());
    }
}
