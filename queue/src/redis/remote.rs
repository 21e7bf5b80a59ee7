//! A Redis that belongs to others, reached over a connection: what sensors look at, and what starts DAGs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::streams::{StreamId, StreamRangeReply};
use deadpool_redis::redis::{self, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use flow_model::Connection;

use super::{COMMAND_TIMEOUT, connect, is_connection_lost};
use crate::{QueueError, Result};

const PORT: u16 = 6379;

/// An entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// Redis's id: unique in the stream, for as long as the stream lives.
    pub id: String,
    /// Its fields. What is not UTF-8 is replaced.
    pub fields: BTreeMap<String, String>,
}

/// A Redis of others. Commands share one network connection, which is made when it is needed and again when it is lost.
pub struct RemoteRedis {
    client: Client,
    /// `None`: for commands that block, whose answers may take any time.
    response_timeout: Option<Duration>,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl RemoteRedis {
    /// The Redis that a connection leads to, for commands that answer at once.
    ///
    /// # Errors
    /// The connection does not say how to reach one.
    pub fn new(connection: &Connection) -> Result<Self> {
        Ok(RemoteRedis { client: client(connection)?, response_timeout: Some(COMMAND_TIMEOUT), open: Mutex::default() })
    }

    /// The same for commands that block.
    pub(super) fn blocking(connection: &Connection) -> Result<Self> {
        Ok(RemoteRedis { response_timeout: None, ..RemoteRedis::new(connection)? })
    }

    /// The type of what a key holds (`string`, `list`, `stream`, ...); `None` where there is no such key.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn key_type(&self, key: &str) -> Result<Option<String>> {
        let mut command = redis::cmd("TYPE");
        command.arg(key);
        let name: String = self.run("look for a key", &command).await?;
        Ok((name != "none").then_some(name))
    }

    /// A whole text (what is not UTF-8 is replaced); `None` if it has more than `bytes_max`.
    ///
    /// # Errors
    /// Redis failed, or the key holds something else.
    pub async fn text(&self, key: &str, bytes_max: usize) -> Result<Option<String>> {
        let mut command = redis::cmd("GETRANGE");
        // One byte more than may be tells that there are more.
        command.arg(key).arg(0).arg(bytes_max);
        let bytes: Vec<u8> = self.run("read a key", &command).await?;
        Ok((bytes.len() <= bytes_max).then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The first entries of a stream after an id, at most `max`; none where there is no stream.
    ///
    /// # Errors
    /// Redis failed, the key holds something else, or the id is none.
    pub async fn entries_after(&self, stream: &str, id: &str, max: usize) -> Result<Vec<StreamEntry>> {
        let mut command = redis::cmd("XRANGE");
        // The bracket excludes the id itself.
        command.arg(stream).arg(format!("({id}")).arg("+").arg("COUNT").arg(max);
        let reply: StreamRangeReply = self.run("read a stream", &command).await?;
        Ok(reply.ids.into_iter().map(entry).collect())
    }

    pub(super) async fn run<T: redis::FromRedisValue>(&self, doing: &'static str, command: &redis::Cmd) -> Result<T> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut connection = match open {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.client, self.response_timeout, doing).await?;
                *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
                connection
            }
        };
        command.query_async(&mut connection).await.map_err(|source| {
            if is_connection_lost(&source) {
                *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            QueueError::Redis { doing, source }
        })
    }
}

pub(super) fn entry(entry: StreamId) -> StreamEntry {
    let text = |value: &redis::Value| match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::SimpleString(text) => text.clone(),
        other => format!("{other:?}"),
    };
    StreamEntry { fields: entry.map.iter().map(|(name, value)| (name.clone(), text(value))).collect(), id: entry.id }
}

/// `host` is a name or, beginning with `/`, a socket; `schema` is the number of the database.
fn client(connection: &Connection) -> Result<Client> {
    let bad = |why: String| QueueError::BadConnection { conn_id: connection.conn_id.clone(), why };
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
