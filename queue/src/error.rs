//! What can go wrong in the queue.

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
    #[error("could not {doing}")]
    Redis {
        /// The operation.
        doing: &'static str,
        /// What Redis or its driver said.
        source: deadpool_redis::redis::RedisError,
    },
    /// No connection to Redis could be had.
    #[error("could not connect to Redis to {doing}")]
    Connect {
        /// The operation.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
