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
        self.run("publish hints", async |mut connection| pipeline.query_async::<()>(&mut connection).await).await
    }

    pub(crate) fn reader(&self, queues: &[String], consumer: &str) -> RedisReader {
        RedisReader::new(self.inner.client.clone(), self.inner.keys.clone(), queues, consumer)
    }

    pub(crate) async fn ring(&self, bell: Bell) -> Result<()> {
        let channel = self.inner.keys.bell(bell);
        self.run("ring a bell", async |mut connection| {
            redis::cmd("PUBLISH").arg(&channel).arg("").query_async::<()>(&mut connection).await
        })
        .await
    }

    pub(crate) fn listen(&self, bell: Bell) -> Listener {
        self.inner.bells.listen(bell)
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.run("reach Redis", async |mut connection| redis::cmd("PING").query_async::<()>(&mut connection).await)
            .await
    }

    pub(crate) async fn standing(&self, queue: &str) -> Result<Standing> {
        let (stream, mark) = (self.inner.keys.stream(queue), self.inner.keys.high_water_mark());
        let (outstanding, high_water_mark) = self
            .run("look at a queue", async |mut connection| {
                redis::pipe()
                    .cmd("XLEN")
                    .arg(&stream)
                    .cmd("GET")
                    .arg(&mark)
                    .query_async::<(u64, Option<i64>)>(&mut connection)
                    .await
            })
            .await?;
        Ok(Standing { outstanding, high_water_mark })
    }

    /// Runs a command on the shared connection; a connection that fails is thrown away, and the next call makes a new one.
    async fn run<T>(
        &self,
        doing: &'static str,
        command: impl AsyncFnOnce(MultiplexedConnection) -> redis::RedisResult<T>,
    ) -> Result<T> {
        let connection = {
            let mut shared = self.inner.connection.lock().await;
            match &*shared {
                Some(connection) => connection.clone(),
                None => {
                    let connection = connect(&self.inner.client, Some(COMMAND_TIMEOUT), doing).await?;
                    shared.insert(connection).clone()
                }
            }
        };
        let result = command(connection).await;
        if result.as_ref().is_err_and(is_connection_lost) {
            *self.inner.connection.lock().await = None;
        }
        result.map_err(|source| QueueError::Redis { doing, source })
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
