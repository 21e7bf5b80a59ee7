//! One look at what a trigger waits for.

mod external;
#[cfg(debug_assertions)]
mod fault;
mod file;
mod http;
mod redis;
mod sql;

use std::time::Duration;

use flow_model::Deferral;
use flow_model::deferral::Trigger;
use flow_secrets::{Masker, Secrets};
use flow_store::Store;
use serde_json::Value;

use crate::lane::Lane;
use crate::mounts::FileThreads;

/// How long one look may take at most.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of an event that are kept.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found {
    /// What was waited for is there.
    There(Value),
    /// It is not there yet; why not.
    NotYet(String),
    /// It will never come, and another try may help.
    Failed(String),
    /// It will never come.
    FailedForGood(String),
    /// The task is to be skipped.
    Skip(String),
}

impl Found {
    /// The same without what is secret of the connection that was asked over: an answer may hold it.
    fn masked(self, masker: &Masker) -> Found {
        let text = |why: String| masker.mask(&why).into_owned();
        match self {
            Found::There(event) if masker.finds_in(&event) => Found::There(masker.mask_json(event)),
            Found::There(event) => Found::There(event),
            Found::NotYet(why) => Found::NotYet(text(why)),
            Found::Failed(why) => Found::Failed(text(why)),
            Found::FailedForGood(why) => Found::FailedForGood(text(why)),
            Found::Skip(why) => Found::Skip(text(why)),
        }
    }
}

/// A look: what it found, and what was said beside that to those who asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    pub found: Found,
    pub said: Vec<String>,
}

impl From<Found> for Look {
    fn from(found: Found) -> Look {
        Look { found, said: Vec::new() }
    }
}

/// What looks need, shared by all of them.
pub struct Checks {
    store: Store,
    secrets: Secrets,
    sql: sql::SqlLooks,
    http: http::HttpLooks,
    redis: redis::RedisLooks,
    files: FileThreads,
}

impl Checks {
    /// Looks that ask a store about other DAGs, and reach other systems over connections.
    pub fn new(store: Store, secrets: Secrets) -> Self {
        Checks {
            store,
            secrets,
            sql: sql::SqlLooks::default(),
            http: http::HttpLooks::default(),
            redis: redis::RedisLooks::default(),
            files: FileThreads::default(),
        }
    }

    /// Who is asked about a trigger.
    pub(crate) fn lane(&self, trigger: &Trigger) -> Lane {
        Lane::of(trigger, |path| self.files.file_system(path))
    }

    /// One look. Never takes longer than a minute.
    pub(crate) async fn look(&self, deferral: &Deferral) -> Look {
        let looking = async {
            #[cfg(debug_assertions)]
            fault::pass(&deferral.trigger).await;
            let found = match &deferral.trigger {
                // Timers fire by themselves.
                Trigger::Time { at } => Found::NotYet(format!("it is not {at} yet")),
                Trigger::File { path, recursive, min_size, min_age } => {
                    let wanted = file::Wanted {
                        path: path.clone(),
                        recursive: *recursive,
                        min_size: *min_size,
                        min_age: *min_age,
                        now: self.store.now(),
                    };
                    file::look(&self.files, wanted).await
                }
                Trigger::Http {
                    url,
                    connection,
                    method,
                    headers,
                    query,
                    body,
                    expected_status,
                    check,
                    failure_check,
                    timeout,
                } => {
                    let request = http::Wanted {
                        url,
                        connection: connection.as_deref(),
                        method,
                        headers,
                        query,
                        body: body.as_deref(),
                        expected_status,
                        check: check.as_deref(),
                        failure_check: failure_check.as_deref(),
                        timeout: *timeout,
                    };
                    self.http.look(&self.secrets, request).await
                }
                Trigger::Sql { connection, query, parameters, fail_on_empty, timeout } => {
                    let wanted = sql::Wanted { connection, query, parameters, fail_on_empty: *fail_on_empty };
                    return self.sql.look(&self.secrets, wanted, *timeout).await;
                }
                Trigger::RedisKey { connection, key } => self.redis.key(&self.secrets, connection, key).await,
                Trigger::RedisStream { connection, stream, after, count } => {
                    self.redis.entries(&self.secrets, connection, stream, after, *count).await
                }
                Trigger::DagRun { dag_id, run_id, allowed_states, failed_states } => {
                    external::look_at_run(&self.store, dag_id, run_id, allowed_states, failed_states).await
                }
                Trigger::ExternalTask { .. } => external::look(&self.store, &deferral.trigger).await,
                Trigger::Unknown {} => {
                    Found::NotYet("this triggerer is older than the worker that deferred it: update it".to_owned())
                }
            };
            Look::from(found)
        };
        match tokio::time::timeout(LOOK_TIME_MAX, looking).await {
            Ok(Look { found: Found::There(event), said }) => Look { found: Found::There(bounded(event)), said },
            Ok(look) => look,
            Err(_) => Found::NotYet(format!("the look took longer than {} s", LOOK_TIME_MAX.as_secs())).into(),
        }
    }
}

/// An event that is too large for an XCom is left out.
fn bounded(event: Value) -> Value {
    if event.to_string().len() > EVENT_BYTES_MAX { Value::Null } else { event }
}
