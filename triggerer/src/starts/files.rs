//! Files that arrive.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use flow_model::Timestamp;
use flow_model::dag::hex;
use flow_model::limits::FILE_SENSOR_ENTRIES_MAX;
use flow_model::start::{Existing, FileArrival};
use flow_store::StoreError;
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use super::source::{Event, Source};
use super::warn;
use crate::glob::{Walk, fixed_folder};
use crate::mounts::FileThreads;

/// Runs that one look starts at most; the others follow with the next.
const RUNS_PER_LOOK: usize = 100;
/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Where the looks work, apart from those of sensors.
static THREADS: LazyLock<FileThreads> = LazyLock::new(FileThreads::default);

/// Looks at the files of a pattern.
pub(super) struct FileWatch {
    source: Source,
    files: FileArrival,
    has_begun: bool,
    observed: Observed,
    /// Events that the store knows, of files that are still there.
    counted: HashSet<String>,
}

/// A file as it is now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// First, so that the oldest come first.
    modified: Timestamp,
    path: String,
    size: u64,
}

impl Seen {
    /// What makes it an event: another content is another event, and so is the same content written again.
    fn event_id(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.modified.as_micros().to_be_bytes());
        digest.update(self.size.to_be_bytes());
        digest.update(self.path.as_bytes());
        hex(&digest.finalize())
    }

    fn event(&self) -> Event {
        let values = [json!(self.path), json!(self.size), json!(self.modified)];
        let conf = FileArrival::CONF_KEYS.map(str::to_owned).into_iter().zip(values);
        Event { id: self.event_id(), shown: format!("the file `{}`", self.path), conf: Map::from_iter(conf) }
    }
}

/// What one look found.
#[derive(Debug, Default)]
struct Look {
    files: Vec<Seen>,
    problem: Option<String>,
}

impl FileWatch {
    pub fn new(source: Source, files: FileArrival) -> Self {
        let has_begun = source.watched.has_begun;
        FileWatch { source, files, has_begun, observed: Observed::default(), counted: HashSet::new() }
    }

    /// Looks until it is dropped.
    pub async fn run(mut self) {
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                Err(error) => {
                    warn("starting runs for files", &error);
                    self.files.poke_interval
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One look; returns the pause before the next.
    async fn look(&mut self) -> Result<Duration, StoreError> {
        let Look { files, mut problem } = look(self.files.path.clone()).await;
        let now = self.source.store.now();
        if !self.has_begun {
            let there: Vec<String> = match self.files.existing {
                Existing::Ignore => files.iter().map(Seen::event_id).collect(),
                Existing::Start => Vec::new(),
            };
            self.source.begin(&there).await?;
            self.has_begun = true;
        }
        let settled = self.observed.settled(&files, now, self.files.stable_for);
        let present: HashSet<String> = files.iter().map(Seen::event_id).collect();
        self.counted.retain(|id| present.contains(id));
        let mut waiting: Vec<(String, Seen)> = settled
            .into_iter()
            .map(|file| (file.event_id(), file))
            .filter(|(id, _)| !self.counted.contains(id))
            .collect();
        let ids: Vec<String> = waiting.iter().map(|(id, _)| id.clone()).collect();
        if !ids.is_empty() {
            let (dag_id, source) = (&self.source.watched.dag_id, self.source.watched.start.source());
            self.counted.extend(self.source.store.known_events(dag_id, &source, &ids).await?);
            waiting.retain(|(id, _)| !self.counted.contains(id));
        }
        waiting.sort_by(|(_, one), (_, other)| one.cmp(other));
        let is_more = waiting.len() > RUNS_PER_LOOK;
        if !waiting.is_empty() {
            let events = waiting.iter().take(RUNS_PER_LOOK).map(|(_, file)| file.event()).collect();
            let taken = self.source.take(events).await?;
            problem = taken.problem.or(problem);
            self.counted.extend(taken.done);
        }
        let is_blocked = problem.is_some();
        self.source.note(problem).await?;
        if is_more && !is_blocked {
            return Ok(PAUSE_MIN);
        }
        let settles_in = self.observed.next_settled(now, self.files.stable_for).unwrap_or(Duration::MAX);
        Ok(self.files.poke_interval.min(settles_in.max(PAUSE_MIN)))
    }
}

/// Since when files have been as they are.
#[derive(Debug, Default)]
struct Observed(HashMap<String, (Seen, Timestamp)>);

impl Observed {
    /// Takes in a look; the files that have stayed the same for long enough.
    fn settled(&mut self, files: &[Seen], now: Timestamp, stable_for: Duration) -> Vec<Seen> {
        let mut before = std::mem::take(&mut self.0);
        for file in files {
            let since = before.remove(&file.path).filter(|(known, _)| known == file).map_or(now, |(_, since)| since);
            self.0.insert(file.path.clone(), (file.clone(), since));
        }
        let is_settled = |since: &Timestamp| now.since(*since) >= stable_for;
        self.0.values().filter(|(_, since)| is_settled(since)).map(|(file, _)| file.clone()).collect()
    }

    /// In how long the next file has been the same for long enough.
    fn next_settled(&self, now: Timestamp, stable_for: Duration) -> Option<Duration> {
        let left = |since: &Timestamp| stable_for.saturating_sub(now.since(*since));
        self.0.values().map(|(_, since)| left(since)).filter(|left| !left.is_zero()).min()
    }
}

/// Looks in a thread.
async fn look(pattern: String) -> Look {
    let path = pattern.clone();
    let looking = THREADS.run(&path, move || look_at(&pattern)).await;
    looking.unwrap_or_else(|problem| Look { problem: Some(problem), ..Look::default() })
}

fn look_at(pattern: &str) -> Look {
    let folder = fixed_folder(pattern);
    if let Err(error) = std::fs::read_dir(&folder) {
        let problem = format!("cannot look into the folder `{}`: {error}", folder.display());
        return Look { problem: Some(problem), ..Look::default() };
    }
    let mut walk = Walk::default();
    let mut found = Look::default();
    for path in walk.matching(pattern) {
        match seen(&path) {
            Ok(file) => found.files.extend(file),
            Err(problem) => found.problem = Some(problem),
        }
    }
    if walk.is_over() {
        found.problem = Some(format!(
            "the pattern leads through more than {FILE_SENSOR_ENTRIES_MAX} entries of folders: the rest is not seen"
        ));
    }
    found.problem = found.problem.or(walk.refused);
    found
}

/// A file; `None` for what is no file, or has gone meanwhile.
fn seen(path: &Path) -> Result<Option<Seen>, String> {
    let Ok(metadata) = path.metadata() else { return Ok(None) };
    if !metadata.is_file() {
        return Ok(None);
    }
    let Some(shown) = path.to_str() else {
        return Err(format!("the name of `{}` is not UTF-8: it starts no run", path.display()));
    };
    let modified = metadata.modified().map_err(|error| format!("cannot tell when `{shown}` was changed: {error}"))?;
    let modified = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(Some(Seen { modified: Timestamp::UNIX_EPOCH + modified, path: shown.to_owned(), size: metadata.len() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn file(path: &str, size: u64, modified: u64) -> Seen {
        Seen { modified: at(modified), path: path.to_owned(), size }
    }

    #[test]
    fn a_file_counts_once_it_has_stayed_the_same() {
        let stable = Duration::from_secs(10);
        let mut observed = Observed::default();
        let (half, whole) = (file("/in/a", 5, 1), file("/in/a", 9, 1));
        assert_eq!(observed.settled(std::slice::from_ref(&half), at(100), stable), []);
        // An old time of change says nothing: copies keep it while they grow.
        assert_eq!(observed.settled(std::slice::from_ref(&whole), at(109), stable), []);
        assert_eq!(observed.next_settled(at(112), stable), Some(Duration::from_secs(7)));
        assert_eq!(observed.settled(std::slice::from_ref(&whole), at(118), stable), []);
        assert_eq!(observed.settled(std::slice::from_ref(&whole), at(119), stable), std::slice::from_ref(&whole));
        assert_eq!(observed.next_settled(at(119), stable), None);
        // Gone and back: seen anew.
        assert_eq!(observed.settled(&[], at(120), stable), []);
        assert_eq!(observed.settled(std::slice::from_ref(&whole), at(130), stable), []);
        assert_eq!(observed.settled(std::slice::from_ref(&half), at(131), Duration::ZERO), [half]);
    }

    #[test]
    fn an_event_is_path_time_and_size() {
        let one = file("/in/a", 5, 1).event_id();
        assert_eq!(one, file("/in/a", 5, 1).event_id());
        for other in [file("/in/b", 5, 1), file("/in/a", 6, 1), file("/in/a", 5, 2)] {
            assert_ne!(one, other.event_id());
        }
        let conf = serde_json::Value::Object(file("/in/a", 5, 1).event().conf);
        assert_eq!(conf, json!({ "path": "/in/a", "size": 5, "modified": "1970-01-01T00:00:01+00:00" }));
    }

    #[test]
    fn only_files_are_seen_and_a_missing_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let pattern = format!("{}/in/*.csv", folder.path().display());
        let nothing = look_at(&pattern);
        assert!(nothing.problem.unwrap().contains("cannot look into the folder"));
        std::fs::create_dir_all(folder.path().join("in/folder.csv")).unwrap();
        std::fs::write(folder.path().join("in/a.csv"), "12345").unwrap();
        std::fs::write(folder.path().join("in/.hidden.csv"), "1").unwrap();
        let found = look_at(&pattern);
        assert_eq!((found.files.len(), found.files[0].size, found.problem), (1, 5, None));
    }
}
