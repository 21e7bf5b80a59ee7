//! Entries of Redis streams.

use std::time::{Duration, Instant};

use flow_model::error_chain;
use flow_model::outside::without_mark;
use flow_model::params::Params;
use flow_model::start::{Existing, RedisStream};
use flow_queue::{EventStream, QueueError, StreamEntry};
use flow_secrets::{Secrets, SecretsError};
use flow_store::StoreError;
use serde_json::{Map, Value};

use super::source::{Event, Source};

/// Entries that are read at once.
const BATCH_MAX: usize = 100;
/// Entries that were read and not acknowledged for so long are taken over.
const IDLE: Duration = Duration::from_secs(10);
/// How often it is looked for such entries.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(5);
/// How long a read waits for entries.
const WAIT: Duration = Duration::from_secs(2);
/// Pause after something failed, or while too many runs wait.
const PAUSE: Duration = Duration::from_secs(5);

/// Reads a stream.
pub(super) struct StreamWatch {
    source: Source,
    stream: RedisStream,
    secrets: Secrets,
    /// Its name within the consumer group.
    consumer: String,
    has_begun: bool,
    /// What people should know of a loss, for as long as it looks.
    loss: Option<String>,
}

/// Why it cannot be read at present.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StreamWatch {
    pub fn new(source: Source, stream: RedisStream, secrets: Secrets, consumer: String) -> Self {
        let has_begun = source.watched.has_begun;
        StreamWatch { source, stream, secrets, consumer, has_begun, loss: None }
    }

    /// Reads until it is dropped.
    pub async fn run(mut self) {
        loop {
            if let Err(failure) = self.read().await {
                let problem = format!("cannot read the stream: {}", error_chain(&failure));
                if let Err(error) = self.source.note(Some(problem)).await {
                    super::warn("noting a look at a stream", &error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Reads on one connection until something fails, or the consumer group is gone.
    async fn read(&mut self) -> Result<(), Failure> {
        let connection = self.secrets.connection(&self.stream.connection).await?;
        let group = self.stream.group_of(&self.source.watched.dag_id);
        let stream = EventStream::new(&connection, &self.stream.stream, &group, &self.consumer)?;
        let from_start = self.has_begun || self.stream.existing == Existing::Start;
        if stream.ensure_group(from_start).await? && self.has_begun {
            self.note_loss();
        }
        if !self.has_begun {
            self.source.begin(&[]).await?;
            self.has_begun = true;
        }
        let mut last_reclaim: Option<Instant> = None;
        loop {
            let is_time = last_reclaim.is_none_or(|at| at.elapsed() >= RECLAIM_INTERVAL);
            let entries = if is_time {
                last_reclaim = Some(Instant::now());
                stream.reclaim(IDLE, BATCH_MAX).await?
            } else {
                stream.read(BATCH_MAX, WAIT).await?
            };
            let Some(entries) = entries else {
                self.note_loss();
                return Ok(());
            };
            if entries.len() == BATCH_MAX {
                // There may be more of the same kind.
                last_reclaim = last_reclaim.filter(|_| !is_time);
            }
            self.take(&stream, entries).await?;
        }
    }

    /// Starts runs, and only then acknowledges.
    async fn take(&mut self, stream: &EventStream, entries: Vec<StreamEntry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(self.source.note(self.loss.clone()).await?);
        }
        let graph = self.source.store.dag_graph(self.source.watched.version).await?;
        let count = entries.len();
        let events: Vec<Event> = entries.into_iter().map(|entry| event(entry, &graph.dag.params)).collect();
        let taken = self.source.take(events).await?;
        flow_model::crash_point!("triggerer.before_acknowledge");
        let done: Vec<String> = taken.done.into_iter().collect();
        stream.acknowledge(&done).await?;
        self.source.note(taken.problem.or_else(|| self.loss.clone())).await?;
        if done.len() < count {
            // What has no room stays pending, and is taken over when it has been idle for long enough.
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn note_loss(&mut self) {
        self.loss = Some(format!(
            "at {} the consumer group was gone: the stream was deleted, or Redis has lost its data; entries that nobody had read are lost",
            self.source.store.now()
        ));
    }
}

/// Fields are text; where the DAG declares a param of their name, they are read as its type.
fn event(entry: StreamEntry, params: &Params) -> Event {
    let shown = format!("the entry {}", entry.id);
    let mut conf = Map::new();
    for (name, text) in entry.fields {
        let text = without_mark(&text).to_owned();
        let value = params.get(&name).and_then(|param| param.read_text(&text).ok());
        conf.insert(name, value.unwrap_or(Value::String(text)));
    }
    Event { id: entry.id, shown, conf }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_as_their_params_are_declared() {
        let params: Params = serde_json::from_value(json!({
            "rows": { "type": "integer" },
            "id": { "type": "string" },
            "tags": { "type": "array" },
        }))
        .unwrap();
        let fields = [("rows", "3"), ("id", "17"), ("tags", "[1]"), ("other", "5")];
        let fields = fields.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        let read = event(StreamEntry { id: "1-0".to_owned(), fields }, &params);
        assert_eq!(Value::Object(read.conf.clone()), json!({ "id": "17", "other": "5", "rows": 3, "tags": [1] }));
        let fields = [("rows", "\u{feff}3"), ("id", "\u{feff}17"), ("tags", "\u{feff}[1]"), ("other", "\u{feff}5")];
        let fields = fields.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        assert_eq!(
            event(StreamEntry { id: "1-2".to_owned(), fields }, &params).conf,
            read.conf,
            "a mark is no content"
        );
        let fields = [("rows".to_owned(), "many".to_owned())].into_iter().collect();
        let read = event(StreamEntry { id: "1-1".to_owned(), fields }, &params);
        assert_eq!(Value::Object(read.conf), json!({ "rows": "many" }), "left for the check to refuse");
    }
}
