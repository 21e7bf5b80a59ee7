//! Who should look now: hints about queued task instances, and bells.
//!
//! The queue carries ids only; the store is the truth. Losing or doubling everything in it is legal and loses nothing,
//! because every hint is checked against the store and every loop is also correct on its timer alone.

mod error;
mod in_process;
mod redis;

use std::time::Duration;

use flow_model::{Epoch, TaskInstanceKey};

pub use error::{QueueError, Result};
pub use redis::{EventStream, RedisOptions, RemoteRedis, StreamEntry};

/// "This task instance is queued at this epoch."
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hint {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// Its epoch; a claim at another one is refused by the store.
    pub epoch: Epoch,
}

/// Something worth a look has happened. Carries no instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bell {
    /// For schedulers: a task ended, a run was created, a DAG changed.
    Scheduler,
    /// For workers: somebody took the right to act from running attempts.
    Workers,
    /// For triggerers: a trigger was created or cancelled.
    Triggerers,
    /// For pages and waiting clients: something visible changed.
    Runs,
}

impl Bell {
    pub(crate) const ALL: [Bell; 4] = [Bell::Scheduler, Bell::Workers, Bell::Triggerers, Bell::Runs];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Bell::Scheduler => "scheduler",
            Bell::Workers => "workers",
            Bell::Triggerers => "triggerers",
            Bell::Runs => "runs",
        }
    }
}

/// How a queue stands, for the auditor that compares it with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Hints that nobody has dealt with.
    pub outstanding: u64,
    /// The highest mark published; `None` when the broker has forgotten it.
    pub high_water_mark: Option<i64>,
}

/// The queue. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Queue {
    /// Within this process.
    InProcess(in_process::InProcess),
    /// On Redis Streams.
    Redis(redis::RedisQueue),
}

impl Queue {
    /// A queue within this process.
    pub fn in_process() -> Queue {
        Queue::InProcess(in_process::InProcess::default())
    }

    /// A queue on Redis 7. Connects when needed: a Redis that is down makes calls fail, and works again when it is back.
    ///
    /// # Errors
    /// The URL is not usable.
    pub fn redis(url: &str, options: RedisOptions) -> Result<Queue> {
        Ok(Queue::Redis(redis::RedisQueue::new(url, options)?))
    }

    /// Whether it lives outside this process, so that what is published must survive a crash in between.
    pub fn is_external(&self) -> bool {
        matches!(self, Queue::Redis(_))
    }

    /// Publishes hints, each to the queue of that name, and notes the high-water mark.
    ///
    /// # Errors
    /// The broker cannot be reached; some or all hints may have been published.
    pub async fn publish(&self, hints: &[(String, Hint)], high_water_mark: i64) -> Result<()> {
        match self {
            Queue::InProcess(queue) => {
                queue.publish(hints);
                Ok(())
            }
            Queue::Redis(queue) => queue.publish(hints, high_water_mark).await,
        }
    }

    /// A reader of the given queues. `consumer` names it; two readers never get the same hint at the same time.
    pub fn reader(&self, queues: &[String], consumer: &str) -> Reader {
        match self {
            Queue::InProcess(queue) => Reader::InProcess(queue.reader(queues)),
            Queue::Redis(queue) => Reader::Redis(Box::new(queue.reader(queues, consumer))),
        }
    }

    /// Rings a bell.
    ///
    /// # Errors
    /// The broker cannot be reached: listeners find out on their timers.
    pub async fn ring(&self, bell: Bell) -> Result<()> {
        match self {
            Queue::InProcess(queue) => {
                queue.ring(bell);
                Ok(())
            }
            Queue::Redis(queue) => queue.ring(bell).await,
        }
    }

    /// Listens to a bell. A ring after this call is never missed by a later [`Listener::rang`]; many count as one.
    pub fn listen(&self, bell: Bell) -> Listener {
        match self {
            Queue::InProcess(queue) => queue.listen(bell),
            Queue::Redis(queue) => queue.listen(bell),
        }
    }

    /// Answers when the broker does.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub async fn ping(&self) -> Result<()> {
        match self {
            Queue::InProcess(_) => Ok(()),
            Queue::Redis(queue) => queue.ping().await,
        }
    }

    /// How a queue stands.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub async fn standing(&self, queue_name: &str) -> Result<Standing> {
        match self {
            Queue::InProcess(queue) => Ok(queue.standing(queue_name)),
            Queue::Redis(queue) => queue.standing(queue_name).await,
        }
    }
}

/// Waits for a bell.
#[derive(Debug)]
pub struct Listener {
    rings: tokio::sync::watch::Receiver<u64>,
}

impl Listener {
    pub(crate) fn new(mut rings: tokio::sync::watch::Receiver<u64>) -> Self {
        rings.mark_unchanged();
        Listener { rings }
    }

    /// Returns when the bell has rung since the last call (or since listening began).
    pub async fn rang(&mut self) {
        if self.rings.changed().await.is_err() {
            // The queue is gone, and with it everybody who could ring.
            std::future::pending::<()>().await;
        }
    }
}

/// A hint that was handed to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The hint.
    pub hint: Hint,
    /// The queue it came from.
    pub queue: String,
    /// The broker's id of the message.
    pub(crate) message: String,
}

/// Reads hints.
#[derive(Debug)]
pub enum Reader {
    /// Within this process.
    InProcess(in_process::InProcessReader),
    /// On Redis Streams.
    Redis(Box<redis::RedisReader>),
}

impl Reader {
    /// Up to `max` hints; waits for the first one at most `wait`, and returns none after that.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub async fn take(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        match self {
            Reader::InProcess(reader) => Ok(reader.take(max, wait).await),
            Reader::Redis(reader) => reader.take(max, wait).await,
        }
    }

    /// The hints have been dealt with, whatever came of them.
    ///
    /// # Errors
    /// The broker cannot be reached; the hints will be handed out again, which is harmless.
    pub async fn done(&mut self, deliveries: &[Delivery]) -> Result<()> {
        match self {
            Reader::InProcess(_) => Ok(()),
            Reader::Redis(reader) => reader.done(deliveries).await,
        }
    }

    /// Hints that were handed to readers at least `idle` ago and never dealt with: their readers have died.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub async fn reclaim(&mut self, idle: Duration, max: usize) -> Result<Vec<Delivery>> {
        match self {
            Reader::InProcess(_) => Ok(Vec::new()),
            Reader::Redis(reader) => reader.reclaim(idle, max).await,
        }
    }
}
