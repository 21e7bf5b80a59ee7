//! What starts runs from outside: every triggerer looks at all of it, and the store counts each event once.
//!
//! There is no owner to lose and nothing to hand over: a triggerer that dies is only one that looks no more.

mod files;
mod source;
mod stream;

use std::collections::HashMap;
use std::time::Duration;

use flow_model::start::Start;
use flow_queue::Queue;
use flow_secrets::Secrets;
use flow_store::{Store, StoreError, Watched};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use files::FileWatch;
use source::Source;
use stream::StreamWatch;

/// How often it is looked at which DAGs there are.
const LIST_INTERVAL: Duration = Duration::from_secs(2);

/// Looks at files and streams that start runs.
pub struct StartWatch {
    store: Store,
    queue: Queue,
    secrets: Secrets,
    /// Its name among those who read a stream.
    consumer: String,
    watching: HashMap<Place, Watching>,
}

/// DAG, kind and name: the key of a row.
type Place = (String, &'static str, String);

/// A task that looks at one place, until it is dropped.
struct Watching {
    watched: Watched,
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Whatever it does can be cut off: what is not committed is done again by whoever looks next.
        self.task.abort();
    }
}

impl StartWatch {
    /// A watch on a store; the queue is for its bells. `consumer` is its name among those who read a stream, and stays the
    /// same over restarts.
    pub fn new(store: Store, queue: Queue, secrets: Secrets, consumer: String) -> Self {
        StartWatch { store, queue, secrets, consumer, watching: HashMap::new() }
    }

    /// Looks until `shutdown`. Database outages are waited out.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.follow().await {
                warn("listing what starts runs", &error);
            }
            tokio::select! {
                () = tokio::time::sleep(LIST_INTERVAL) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Looks at what the DAGs name now, and at nothing else.
    async fn follow(&mut self) -> Result<(), StoreError> {
        let mut wanted: HashMap<Place, Watched> =
            self.store.watched_starts().await?.into_iter().map(|watched| (place(&watched), watched)).collect();
        self.watching.retain(|place, watching| {
            let goes_on = !watching.task.is_finished()
                && wanted.get(place).is_some_and(|watched| is_same(watched, &watching.watched));
            if goes_on {
                wanted.remove(place);
            }
            goes_on
        });
        for (place, watched) in wanted {
            let source = Source::new(self.store.clone(), self.queue.clone(), watched.clone());
            if let Some(task) = self.watch(source) {
                self.watching.insert(place, Watching { watched, task });
            }
        }
        metrics::gauge!("flow_triggerer_starts").set(self.watching.len() as f64);
        Ok(())
    }

    fn watch(&self, source: Source) -> Option<JoinHandle<()>> {
        match source.watched.start.clone() {
            Start::Files(files) => Some(tokio::spawn(FileWatch::new(source, files).run())),
            Start::Stream(stream) => {
                let watch = StreamWatch::new(source, stream, self.secrets.clone(), self.consumer.clone());
                Some(tokio::spawn(watch.run()))
            }
            // The web role takes these in.
            Start::Webhook(_) => None,
        }
    }
}

fn place(watched: &Watched) -> Place {
    (watched.dag_id.clone(), watched.start.kind(), watched.start.name())
}

/// That it has begun does not make it another one.
fn is_same(one: &Watched, other: &Watched) -> bool {
    one.version == other.version && one.start == other.start
}

fn warn(doing: &str, error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "{doing} failed; trying again");
}
