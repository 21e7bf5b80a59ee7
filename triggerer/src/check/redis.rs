//! Looks into a Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use flow_model::Connection;
use flow_model::limits::XCOM_BYTES_MAX;
use flow_queue::{QueueError, RemoteRedis};
use flow_secrets::{Masker, Secrets};
use serde_json::json;

use super::{Found, too_much};

/// Connections that are kept open; beyond it all are made anew.
const CONNECTIONS_MAX: usize = 100;

/// Looks, which share one network connection per connection of people.
#[derive(Default)]
pub(super) struct RedisLooks {
    open: Mutex<HashMap<String, (Connection, Arc<RemoteRedis>)>>,
}

impl RedisLooks {
    /// Whether there is a key.
    pub async fn key(&self, secrets: &Secrets, connection: &str, key: &str) -> Found {
        self.look(secrets, connection, async |redis| {
            let Some(kind) = redis.key_type(key).await? else {
                return Ok(Found::NotYet(format!("there is no key `{key}`")));
            };
            let value = match kind.as_str() {
                "string" => match redis.text(key, XCOM_BYTES_MAX).await? {
                    Some(text) => Some(text),
                    None => return Ok(too_much(&format!("the text of `{key}`"))),
                },
                _ => None,
            };
            Ok(Found::There(json!({ "key": key, "type": kind, "value": value })))
        })
        .await
    }

    /// Whether there are so many entries after one.
    pub async fn entries(&self, secrets: &Secrets, connection: &str, stream: &str, after: &str, count: u32) -> Found {
        self.look(secrets, connection, async |redis| {
            let wanted = count as usize;
            let entries = redis.entries_after(stream, after, wanted).await?;
            if entries.len() < wanted {
                return Ok(Found::NotYet(format!("`{stream}` has {} of {count} entries after {after}", entries.len())));
            }
            let entries: Vec<_> =
                entries.into_iter().map(|entry| json!({ "id": entry.id, "fields": entry.fields })).collect();
            Ok(Found::There(json!(entries)))
        })
        .await
    }

    async fn look(
        &self,
        secrets: &Secrets,
        name: &str,
        look: impl AsyncFnOnce(&RemoteRedis) -> Result<Found, QueueError>,
    ) -> Found {
        let connection = match secrets.connection(name).await {
            Ok(connection) => connection,
            Err(error) if error.is_missing() => return Found::FailedForGood(error.to_string()),
            Err(error) => return Found::NotYet(error.to_string()),
        };
        let masker = Masker::default();
        masker.learn_connection(&connection);
        let looking = async { look(self.redis(name, connection)?.as_ref()).await };
        looking.await.unwrap_or_else(|error: QueueError| refused(&error)).masked(&masker)
    }

    /// The open connection; another one where people have changed what the name means.
    fn redis(&self, name: &str, connection: Connection) -> Result<Arc<RemoteRedis>, QueueError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, redis)) = open.get(name)
            && *known == connection
        {
            return Ok(Arc::clone(redis));
        }
        let redis = Arc::new(RemoteRedis::new(&connection)?);
        if open.len() >= CONNECTIONS_MAX {
            open.clear();
        }
        open.insert(name.to_owned(), (connection, Arc::clone(&redis)));
        Ok(redis)
    }
}

/// A Redis that is away may come back; a connection that is wrong, or a key of another type, does not by itself.
fn refused(error: &QueueError) -> Found {
    let why = error.to_string();
    match error {
        QueueError::BadUrl { .. } | QueueError::BadConnection { .. } => Found::FailedForGood(why),
        QueueError::Redis { source, .. } if source.code() == Some("WRONGTYPE") => Found::FailedForGood(why),
        QueueError::Redis { .. } | QueueError::Connect { .. } => Found::NotYet(why),
    }
}
