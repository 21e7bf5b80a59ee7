//! Notices changes in the DAG folder.

use std::path::Path;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;

/// Editors write a file in several steps: they count as one change.
const SETTLE: Duration = Duration::from_millis(50);

/// Watches a folder and everything below it.
pub struct Watcher {
    changes: watch::Receiver<u64>,
    _watcher: RecommendedWatcher,
}

impl Watcher {
    /// Begins to watch.
    ///
    /// # Errors
    /// The folder cannot be watched.
    pub fn new(folder: &Path) -> Result<Self, notify::Error> {
        let (changed, changes) = watch::channel(0);
        let mut watcher = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
            // Reading a file is an event, too, and a scan reads files.
            if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
                changed.send_modify(|count| *count += 1);
            }
        })?;
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(Watcher { changes, _watcher: watcher })
    }

    /// Returns when something has changed since the last call, or since the watching began.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SETTLE).await;
        self.changes.mark_unchanged();
    }
}
