//! Streams that others write to: their entries are events, read through a consumer group.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use deadpool_redis::redis::{self, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult};
use flow_model::Connection;

use super::{connect, is_connection_lost};
use crate::{QueueError, Result};

/// A blocking read waits at most this long on the server, so that a dead connection is noticed.
const BLOCK_MAX: Duration = Duration::from_secs(2);

const PORT: u16 = 6379;

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Redis's id: unique in the stream, for as long as the stream lives.
    pub id: String,
    /// Its fields. What is not UTF-8 is replaced.
    pub fields: BTreeMap<String, String>,
}

/// A stream read through a consumer group, on a connection of its own, because a blocked read holds it up.
pub struct EventStream {
    client: Client,
    stream: String,
    group: String,
    consumer: String,
    connection: Option<MultiplexedConnection>,
}

impl EventStream {
    /// A stream of the Redis that a connection leads to.
    ///
    /// # Errors
    /// The connection does not say how to reach one.
    pub fn new(connection: &Connection, stream: &str, group: &str, consumer: &str) -> Result<Self> {
        Ok(EventStream {
            client: client(connection)?,
            stream: stream.to_owned(),
            group: group.to_owned(),
            consumer: consumer.to_owned(),
            connection: None,
        })
    }

    /// Makes the consumer group where there is none, and the stream with it. With `from_start` it begins with the entries
    /// that are there already. Returns whether there was none.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn ensure_group(&mut self, from_start: bool) -> Result<bool> {
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(&self.stream)
            .arg(&self.group)
            .arg(if from_start { "0" } else { "$" })
            .arg("MKSTREAM");
        match self.run("make a consumer group", &command).await {
            Ok(()) => Ok(true),
            Err(QueueError::Redis { source, .. }) if source.code() == Some("BUSYGROUP") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next entries, after waiting for at most `wait` (and no more than two seconds); `None` if the consumer group is
    /// gone, and with it the stream.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn read(&mut self, max: usize, wait: Duration) -> Result<Option<Vec<StreamEntry>>> {
        let block = u64::try_from(wait.min(BLOCK_MAX).as_millis()).unwrap_or(1).max(1);
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.group).arg(&self.consumer).arg("COUNT").arg(max).arg("BLOCK").arg(block);
        command.arg("STREAMS").arg(&self.stream).arg(">");
        let reply: Option<Option<StreamReadReply>> = gone(self.run("read a stream", &command).await)?;
        let entries = |reply: StreamReadReply| reply.keys.into_iter().flat_map(|key| key.ids).map(entry).collect();
        Ok(reply.map(|reply| reply.map(entries).unwrap_or_default()))
    }

    /// Entries that somebody has read and not acknowledged for so long; `None` as for [`EventStream::read`].
    ///
    /// # Errors
    /// Redis failed.
    pub async fn reclaim(&mut self, idle: Duration, max: usize) -> Result<Option<Vec<StreamEntry>>> {
        let mut command = redis::cmd("XAUTOCLAIM");
        command.arg(&self.stream).arg(&self.group).arg(&self.consumer);
        command.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)).arg("0").arg("COUNT").arg(max);
        let reply: Option<StreamAutoClaimReply> = gone(self.run("reclaim entries of a stream", &command).await)?;
        Ok(reply.map(|reply| reply.claimed.into_iter().map(entry).collect()))
    }

    /// Says that entries are done with. They stay in the stream, for whoever else reads it.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn acknowledge(&mut self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("XACK");
        command.arg(&self.stream).arg(&self.group).arg(ids);
        self.run::<i64>("acknowledge entries of a stream", &command).await.map(|_| ())
    }

    async fn run<T: redis::FromRedisValue>(&mut self, doing: &'static str, command: &redis::Cmd) -> Result<T> {
        let mut connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => self.connection.insert(connect(&self.client, None, doing).await?).clone(),
        };
        let result: RedisResult<T> = command.query_async(&mut connection).await;
        result.map_err(|source| {
            if is_connection_lost(&source) {
                self.connection = None;
            }
            QueueError::Redis { doing, source }
        })
    }
}

/// `None` for the answers that there is no such group, and that the stream went while a read was waiting for it.
fn gone<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(reply) => Ok(Some(reply)),
        Err(QueueError::Redis { source, .. }) if matches!(source.code(), Some("NOGROUP" | "UNBLOCKED")) => Ok(None),
        Err(error) => Err(error),
    }
}

fn entry(entry: StreamId) -> StreamEntry {
    let text = |value: &redis::Value| match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        other => format!("{other:?}"),
    };
    StreamEntry { fields: entry.map.iter().map(|(name, value)| (name.clone(), text(value))).collect(), id: entry.id }
}

/// `host` is a name or, beginning with `/`, a socket; `schema` is the number of the database.
fn client(connection: &Connection) -> Result<Client> {
    let bad = |why: String| QueueError::BadUrl { why: format!("connection `{}`: {why}", connection.conn_id) };
    if connection.conn_type != "redis" {
        return Err(bad(format!("its type is `{}`, not `redis`", connection.conn_type)));
    }
    let host = connection.host.clone().ok_or_else(|| bad("it has no host".to_owned()))?;
    let address = if host.starts_with('/') {
        ConnectionAddr::Unix(host.into())
    } else {
        ConnectionAddr::Tcp(host, connection.port.unwrap_or(PORT))
    };
    let mut settings = RedisConnectionInfo::default();
    if let Some(database) = &connection.schema {
        settings =
            settings.set_db(database.parse().map_err(|_| bad("its schema is no number of a database".to_owned()))?);
    }
    if let Some(login) = &connection.login {
        settings = settings.set_username(login);
    }
    if let Some(password) = &connection.password {
        settings = settings.set_password(password.expose());
    }
    let info = address.into_connection_info().map_err(|error| bad(error.to_string()))?;
    Client::open(info.set_redis_settings(settings)).map_err(|error| bad(error.to_string()))
}
