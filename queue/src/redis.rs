//! The queue on Redis Streams: one stream and one consumer group per queue, pub/sub for the bells.

mod bells;
mod events;
mod reader;
mod remote;

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{self, AsyncConnectionConfig, Client};
use flow_model::{Epoch, TaskInstanceKey};
use tokio::sync::Mutex;

use crate::{Bell, Hint, Listener, QueueError, Result, Standing};

pub use events::EventStream;
pub use reader::RedisReader;
pub use remote::{RemoteRedis, StreamEntry};

/// The consumer group of every queue.
const GROUP: &str = "workers";

/// How long a command may take before the connection counts as lost.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the key stays that a probe writes.
const PROBE_KEPT_MS: u32 = 1_000;

/// How the queue uses Redis.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Start of every key, so that several installations can share a server.
    pub prefix: String,
}

impl Default for RedisOptions {
    fn default() -> Self {
        RedisOptions { prefix: "flow".to_owned() }
    }
}

/// Hints and bells on Redis.
#[derive(Debug, Clone)]
pub struct RedisQueue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    keys: Keys,
    /// For commands that answer at once; readers have connections of their own.
    connection: Mutex<Option<MultiplexedConnection>>,
    bells: bells::Bells,
}

/// Names of keys and channels.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    fn stream(&self, queue: &str) -> String {
        format!("{}:queue:{queue}", self.prefix)
    }

    fn high_water_mark(&self) -> String {
        format!("{}:high_water_mark", self.prefix)
    }

    fn dead_letters(&self) -> String {
        format!("{}:dead_letters", self.prefix)
    }

    fn probe(&self) -> String {
        format!("{}:probe", self.prefix)
    }

    fn bell(&self, bell: Bell) -> String {
        format!("{}:bell:{}", self.prefix, bell.as_str())
    }
}

impl RedisQueue {
    pub(crate) fn new(url: &str, options: RedisOptions) -> Result<Self> {
        let client = Client::open(url).map_err(|error| QueueError::BadUrl { why: error.to_string() })?;
        let keys = Keys { prefix: options.prefix };
        let bells = bells::Bells::new(client.clone(), keys.clone());
        Ok(RedisQueue { inner: Arc::new(Inner { client, keys, connection: Mutex::new(None), bells }) })
    }

    pub(crate) async fn publish(&self, hints: &[(String, Hint)], high_water_mark: i64) -> Result<()> {
        if hints.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for (queue, hint) in hints {
            pipeline
                .cmd("XADD")
                .arg(self.inner.keys.stream(queue))
                .arg("*")
                .arg("ti")
                .arg(hint.task_instance.0)
                .arg("epoch")
                .arg(hint.epoch.0)
                .ignore();
        }
        pipeline.cmd("SET").arg(self.inner.keys.high_water_mark()).arg(high_water_mark).ignore();
        let pipeline = &pipeline;
        let publish = |mut connection| async move { pipeline.query_async::<()>(&mut connection).await };
        self.run("publish hints", publish).await
    }

    pub(crate) fn reader(&self, queues: &[String], consumer: &str) -> RedisReader {
        RedisReader::new(self.inner.client.clone(), self.inner.keys.clone(), queues, consumer)
    }

    pub(crate) async fn ring(&self, bell: Bell) -> Result<()> {
        let channel = &self.inner.keys.bell(bell);
        let ring = |mut connection| async move {
            redis::cmd("PUBLISH").arg(channel).arg("").query_async::<()>(&mut connection).await
        };
        self.run("ring a bell", ring).await
    }

    pub(crate) fn listen(&self, bell: Bell) -> Listener {
        self.inner.bells.listen(bell)
    }

    /// Asks by writing: a Redis that is full or read-only answers to PING as if nothing were.
    pub(crate) async fn ping(&self) -> Result<()> {
        let key = &self.inner.keys.probe();
        let write = |mut connection| async move {
            let mut write = redis::cmd("SET");
            write.arg(key).arg("").arg("PX").arg(PROBE_KEPT_MS).query_async::<()>(&mut connection).await
        };
        self.run("write to Redis", write).await
    }

    pub(crate) async fn standing(&self, queue: &str) -> Result<Standing> {
        let (stream, mark) = (&self.inner.keys.stream(queue), &self.inner.keys.high_water_mark());
        let look = |mut connection| async move {
            let mut look = redis::pipe();
            look.cmd("XLEN").arg(stream).cmd("GET").arg(mark);
            look.query_async::<(u64, Option<i64>)>(&mut connection).await
        };
        let (outstanding, high_water_mark) = self.run("look at a queue", look).await?;
        Ok(Standing { outstanding, high_water_mark })
    }

    /// Runs a command on the shared connection. One that fails is thrown away; if it was not made for this command, it may
    /// have died while nobody used it (Redis was restarted), and the command is sent once more: to do it twice is harmless.
    async fn run<T, F: Future<Output = redis::RedisResult<T>> + Send>(
        &self,
        doing: &'static str,
        command: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T> {
        let mut may_repeat = true;
        loop {
            let (connection, is_new) = self.connection(doing).await?;
            let source = match command(connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_lost = is_connection_lost(&source);
            if is_lost {
                *self.inner.connection.lock().await = None;
            }
            if is_lost && may_repeat && !is_new && !source.is_timeout() {
                may_repeat = false;
            } else {
                return Err(QueueError::Redis { doing, source });
            }
        }
    }

    /// The shared connection, and whether it is a new one.
    async fn connection(&self, doing: &'static str) -> Result<(MultiplexedConnection, bool)> {
        let mut shared = self.inner.connection.lock().await;
        if let Some(connection) = &*shared {
            return Ok((connection.clone(), false));
        }
        let connection = connect(&self.inner.client, Some(COMMAND_TIMEOUT), doing).await?;
        Ok((shared.insert(connection).clone(), true))
    }
}

/// A new connection. Without a response timeout it may be used for commands that block.
async fn connect(
    client: &Client,
    response_timeout: Option<Duration>,
    doing: &'static str,
) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(COMMAND_TIMEOUT))
        .set_response_timeout(response_timeout);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|source| QueueError::Connect { doing, source: Box::new(source) })
}

fn is_connection_lost(error: &redis::RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// A hint from the fields of a stream entry; `None` for anything that is not one.
fn decode(fields: &std::collections::HashMap<String, redis::Value>) -> Option<Hint> {
    let number = |name: &str| match fields.get(name)? {
        redis::Value::BulkString(bytes) if bytes.len() <= 20 => std::str::from_utf8(bytes).ok()?.parse::<i64>().ok(),
        _ => None,
    };
    Some(Hint { task_instance: TaskInstanceKey(number("ti")?), epoch: Epoch(number("epoch")?) })
}
