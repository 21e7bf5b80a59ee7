//! Streams that others write to: their entries are events, read through a consumer group.

use std::time::Duration;

use deadpool_redis::redis;
use deadpool_redis::redis::streams::{StreamAutoClaimReply, StreamReadReply};
use flow_model::Connection;

use super::remote::{RemoteRedis, StreamEntry, entry};
use crate::{QueueError, Result};

/// A blocking read waits at most this long on the server, so that a dead connection is noticed.
const BLOCK_MAX: Duration = Duration::from_secs(2);

/// A stream read through a consumer group, on a connection of its own, because a blocked read holds it up.
pub struct EventStream {
    redis: RemoteRedis,
    stream: String,
    group: String,
    consumer: String,
}

impl EventStream {
    /// A stream of the Redis that a connection leads to.
    ///
    /// # Errors
    /// The connection does not say how to reach one.
    pub fn new(connection: &Connection, stream: &str, group: &str, consumer: &str) -> Result<Self> {
        Ok(EventStream {
            redis: RemoteRedis::blocking(connection)?,
            stream: stream.to_owned(),
            group: group.to_owned(),
            consumer: consumer.to_owned(),
        })
    }

    /// Makes the consumer group where there is none, and the stream with it. With `from_start` it begins with the entries
    /// that are there already. Returns whether there was none.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn ensure_group(&self, from_start: bool) -> Result<bool> {
        let mut command = redis::cmd("XGROUP");
        command
            .arg("CREATE")
            .arg(&self.stream)
            .arg(&self.group)
            .arg(if from_start { "0" } else { "$" })
            .arg("MKSTREAM");
        match self.redis.run("make a consumer group", &command).await {
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
    pub async fn read(&self, max: usize, wait: Duration) -> Result<Option<Vec<StreamEntry>>> {
        let block = u64::try_from(wait.min(BLOCK_MAX).as_millis()).unwrap_or(1).max(1);
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.group).arg(&self.consumer).arg("COUNT").arg(max).arg("BLOCK").arg(block);
        command.arg("STREAMS").arg(&self.stream).arg(">");
        let reply: Option<Option<StreamReadReply>> = gone(self.redis.run("read a stream", &command).await)?;
        let entries = |reply: StreamReadReply| reply.keys.into_iter().flat_map(|key| key.ids).map(entry).collect();
        Ok(reply.map(|reply| reply.map(entries).unwrap_or_default()))
    }

    /// Entries that somebody has read and not acknowledged for so long; `None` as for [`EventStream::read`].
    ///
    /// # Errors
    /// Redis failed.
    pub async fn reclaim(&self, idle: Duration, max: usize) -> Result<Option<Vec<StreamEntry>>> {
        let mut command = redis::cmd("XAUTOCLAIM");
        command.arg(&self.stream).arg(&self.group).arg(&self.consumer);
        command.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)).arg("0").arg("COUNT").arg(max);
        let reply: Option<StreamAutoClaimReply> = gone(self.redis.run("reclaim entries of a stream", &command).await)?;
        Ok(reply.map(|reply| reply.claimed.into_iter().map(entry).collect()))
    }

    /// Says that entries are done with. They stay in the stream, for whoever else reads it.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn acknowledge(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("XACK");
        command.arg(&self.stream).arg(&self.group).arg(ids);
        self.redis.run::<i64>("acknowledge entries of a stream", &command).await.map(|_| ())
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
