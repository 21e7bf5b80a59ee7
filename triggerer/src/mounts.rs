//! Work on file systems, any of which may hang: in threads, and so many for each file system at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Threads on one file system at once. One that hangs takes no more of them.
const THREADS_MAX: usize = 16;

/// How long the list of mounts counts.
const KEPT: Duration = Duration::from_secs(10);

/// Works on files in threads of their own.
#[derive(Default)]
pub(crate) struct FileThreads {
    mounts: Mounts,
    rooms: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl FileThreads {
    /// The file system on which a path lies, by its mount point.
    pub fn file_system(&self, path: &str) -> String {
        self.mounts.of(path)
    }

    /// Works at a path in a thread.
    ///
    /// # Errors
    /// The work broke down.
    pub async fn run<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let permit = self.room(path).acquire_owned().await.map_err(|_| "the triggerer stops".to_owned())?;
        // The permit stays with the thread: one that hangs keeps it, even when nobody waits for it any more.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        working.await.map_err(|error| format!("the look failed: {error}"))
    }

    fn room(&self, path: &str) -> Arc<Semaphore> {
        let file_system = self.file_system(path);
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rooms.entry(file_system).or_insert_with(|| Arc::new(Semaphore::new(THREADS_MAX))))
    }
}

/// The mounts of this machine.
#[derive(Default)]
struct Mounts(Mutex<Option<(Instant, Vec<String>)>>);

impl Mounts {
    /// The mount point below which a path lies. Asks the kernel's list, and never the file system itself, which may hang.
    pub fn of(&self, path: &str) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = kept.as_ref().is_some_and(|(at, _)| at.elapsed() < KEPT);
        if !is_fresh {
            let listed = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
            *kept = Some((Instant::now(), mount_points(&listed)));
        }
        let points = kept.as_ref().map(|(_, points)| points.as_slice()).unwrap_or_default();
        longest_above(points, path).to_owned()
    }
}

/// The second column. Blanks in it are written `\040`, backslashes `\134`.
fn mount_points(listed: &str) -> Vec<String> {
    let points = listed.lines().filter_map(|line| line.split(' ').nth(1));
    points.map(|point| point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")).collect()
}

fn longest_above<'a>(points: &'a [String], path: &str) -> &'a str {
    let is_above = |point: &&String| {
        let rest = path.strip_prefix(point.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    points.iter().filter(is_above).max_by_key(|point| point.len()).map_or("/", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        let listed = "/dev/vda / ext4 rw 0 0\nnas:/in /data/in nfs4 rw 0 0\nnas:/b /my\\040files nfs4 rw 0 0\n";
        let points = mount_points(listed);
        for (path, mount) in [
            ("/data/in/a.csv", "/data/in"),
            ("/data/in", "/data/in"),
            ("/data/inbox/a.csv", "/"),
            ("/data/*/a.csv", "/"),
            ("/my files/x", "/my files"),
            ("relative", "/"),
        ] {
            assert_eq!(longest_above(&points, path), mount, "{path}");
        }
        assert_eq!(Mounts::default().of("/proc/self/mounts"), "/proc");
    }
}
