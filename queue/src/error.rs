//! What can go wrong in the queue. What an error says holds its causes: wherever only its text is kept, they are told.

use deadpool_redis::redis::{ErrorKind, RedisError};
use flow_model::error_chain;

/// Shorthand for results of queue operations.
pub type Result<T, E = QueueError> = std::result::Result<T, E>;

/// A queue operation failed. Nothing is lost by it: the store is the truth.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The URL cannot be used.
    #[error("cannot use the queue URL: {why}")]
    BadUrl {
        /// What is wrong with it.
        why: String,
    },
    /// A connection of people does not say how to reach a Redis.
    #[error("connection `{conn_id}` cannot be used for Redis: {why}")]
    BadConnection {
        /// Its name.
        conn_id: String,
        /// What is wrong with it.
        why: String,
    },
    /// Redis could not be reached, or refused.
    #[error("could not {doing}: {}", error_chain(.source))]
    Redis {
        /// The operation.
        doing: &'static str,
        /// What Redis or its driver said.
        source: RedisError,
    },
    /// No connection to Redis could be had.
    #[error("could not connect to Redis to {doing}: {}", error_chain(.source.as_ref()))]
    Connect {
        /// The operation.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl QueueError {
    /// What to do about it, where Redis has said what is wrong.
    pub fn hint(&self) -> Option<&'static str> {
        const PASSWORD: &str = "give name and password in `queue.url`, as in redis://user:password@host:6379";
        let source = match self {
            QueueError::Redis { source, .. } => source,
            QueueError::Connect { source, .. } => source.downcast_ref::<RedisError>()?,
            QueueError::BadUrl { .. } | QueueError::BadConnection { .. } => return None,
        };
        if source.kind() == ErrorKind::AuthenticationFailed {
            return Some(PASSWORD);
        }
        match source.code()? {
            "OOM" => Some("Redis is full: raise its `maxmemory`, or give Flow a Redis of its own"),
            "READONLY" => Some("this Redis is a replica: set `queue.url` to the primary"),
            "MISCONF" => Some("Redis cannot save to its disk: make room there, or look into its log"),
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Some(PASSWORD),
            _ => None,
        }
    }
}
