//! Reading hints from streams through a consumer group.

use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use deadpool_redis::redis::{self, Client, RedisResult};

use super::{GROUP, Keys, connect, decode, is_connection_lost};
use crate::{Delivery, QueueError, Result};

/// Entries that are kept of what could not be understood.
const DEAD_LETTERS_MAX: usize = 1_000;

/// A blocking read waits at most this long on the server, so that a dead connection is noticed.
const BLOCK_MAX: Duration = Duration::from_secs(2);

/// Reads from Redis on a connection of its own, because a blocked read would hold up everybody else on it.
#[derive(Debug)]
pub struct RedisReader {
    client: Client,
    keys: Keys,
    queues: Vec<String>,
    consumer: String,
    connection: Option<MultiplexedConnection>,
    has_groups: bool,
}

impl RedisReader {
    pub(super) fn new(client: Client, keys: Keys, queues: &[String], consumer: &str) -> Self {
        RedisReader {
            client,
            keys,
            queues: queues.to_vec(),
            consumer: consumer.to_owned(),
            connection: None,
            has_groups: false,
        }
    }

    pub(crate) async fn take(&mut self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let streams: Vec<String> = self.queues.iter().map(|queue| self.keys.stream(queue)).collect();
        let mut command = redis::cmd("XREADGROUP");
        let block = u64::try_from(wait.min(BLOCK_MAX).as_millis()).unwrap_or(1).max(1);
        command.arg("GROUP").arg(GROUP).arg(&self.consumer).arg("COUNT").arg(max).arg("BLOCK").arg(block);
        command.arg("STREAMS").arg(&streams);
        for _ in &streams {
            command.arg(">");
        }
        let reply: Option<StreamReadReply> = self.run("read hints", &command).await?;
        let mut deliveries = Vec::new();
        for stream in reply.into_iter().flat_map(|reply| reply.keys) {
            let Some(position) = streams.iter().position(|name| *name == stream.key) else { continue };
            let queue = self.queues[position].clone();
            deliveries.extend(self.accept(&queue, stream.ids).await?);
        }
        Ok(deliveries)
    }

    pub(crate) async fn done(&mut self, deliveries: &[Delivery]) -> Result<()> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for delivery in deliveries {
            let stream = self.keys.stream(&delivery.queue);
            pipeline.cmd("XACK").arg(&stream).arg(GROUP).arg(&delivery.message).ignore();
            pipeline.cmd("XDEL").arg(&stream).arg(&delivery.message).ignore();
        }
        let mut connection = self.connected("acknowledge hints").await?;
        let result = pipeline.query_async::<()>(&mut connection).await;
        self.checked("acknowledge hints", result)
    }

    pub(crate) async fn reclaim(&mut self, idle: Duration, max: usize) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::new();
        for queue in self.queues.clone() {
            let mut command = redis::cmd("XAUTOCLAIM");
            command.arg(self.keys.stream(&queue)).arg(GROUP).arg(&self.consumer);
            command.arg(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)).arg("0").arg("COUNT").arg(max);
            let reply: StreamAutoClaimReply = self.run("reclaim hints", &command).await?;
            deliveries.extend(self.accept(&queue, reply.claimed).await?);
        }
        Ok(deliveries)
    }

    /// The hints among the entries. Garbage is moved to the dead letters, so that it is seen once and never again.
    async fn accept(&mut self, queue: &str, entries: Vec<StreamId>) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::with_capacity(entries.len());
        let mut garbage = Vec::new();
        for entry in entries {
            let delivery = |hint| Delivery { hint, queue: queue.to_owned(), message: entry.id.clone() };
            match decode(&entry.map) {
                Some(hint) => deliveries.push(delivery(hint)),
                None => garbage.push((entry.id, format!("{:?}", entry.map).chars().take(1_024).collect::<String>())),
            }
        }
        if !garbage.is_empty() {
            tracing::warn!(queue, count = garbage.len(), "dropped queue entries that are not hints");
            let stream = self.keys.stream(queue);
            let mut pipeline = redis::pipe();
            for (id, text) in garbage {
                pipeline.cmd("XADD").arg(self.keys.dead_letters()).arg("MAXLEN").arg("~").arg(DEAD_LETTERS_MAX);
                pipeline.arg("*").arg("queue").arg(queue).arg("entry").arg(text).ignore();
                pipeline.cmd("XACK").arg(&stream).arg(GROUP).arg(&id).ignore();
                pipeline.cmd("XDEL").arg(&stream).arg(&id).ignore();
            }
            let mut connection = self.connected("drop garbage").await?;
            let result = pipeline.query_async::<()>(&mut connection).await;
            self.checked("drop garbage", result)?;
        }
        Ok(deliveries)
    }

    /// Runs a command; where the consumer group is gone (Redis was flushed, or is new) it is made anew first.
    async fn run<T: redis::FromRedisValue>(&mut self, doing: &'static str, command: &redis::Cmd) -> Result<T> {
        for _ in 0..2 {
            let mut connection = self.connected(doing).await?;
            match command.query_async::<T>(&mut connection).await {
                Err(error) if error.code() == Some("NOGROUP") => self.has_groups = false,
                result => return self.checked(doing, result),
            }
        }
        let mut connection = self.connected(doing).await?;
        let result = command.query_async::<T>(&mut connection).await;
        self.checked(doing, result)
    }

    fn checked<T>(&mut self, doing: &'static str, result: RedisResult<T>) -> Result<T> {
        result.map_err(|source| {
            if is_connection_lost(&source) {
                self.connection = None;
                self.has_groups = false;
            }
            QueueError::Redis { doing, source }
        })
    }

    async fn connected(&mut self, doing: &'static str) -> Result<MultiplexedConnection> {
        let mut connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => self.connection.insert(connect(&self.client, None, doing).await?).clone(),
        };
        if !self.has_groups {
            for queue in &self.queues {
                let mut command = redis::cmd("XGROUP");
                command.arg("CREATE").arg(self.keys.stream(queue)).arg(GROUP).arg("0").arg("MKSTREAM");
                match command.query_async::<()>(&mut connection).await {
                    Err(error) if error.code() != Some("BUSYGROUP") => {
                        return self.checked(doing, Err(error)).map(|()| connection);
                    }
                    _ => {}
                }
            }
            self.has_groups = true;
        }
        Ok(connection)
    }
}
