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
use flow_model::limits::XCOM_BYTES_MAX;
use flow_secrets::{Masker, Secrets};
use flow_store::Store;
use serde_json::Value;

use crate::lane::Lane;
use crate::mounts::FileThreads;

/// How long one look may take at most.
const LOOK_TIME_MAX: Duration = Duration::from_secs(60);

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
    /// The same, failed if what was found is larger than an XCom may be: nothing is cut or left out.
    fn bounded(self) -> Found {
        match self {
            Found::There(event) if event.to_string().len() > XCOM_BYTES_MAX => too_much("what it found"),
            found => found,
        }
    }

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
            Ok(Look { found, said }) => Look { found: found.bounded(), said },
            Err(_) => Found::NotYet(format!("the look took longer than {} s", LOOK_TIME_MAX.as_secs())).into(),
        }
    }
}

/// Why a look fails that has found more than an XCom may hold.
fn too_much(what: &str) -> Found {
    Found::Failed(format!(
        "{what} is larger than an XCom may be ({} MiB)\nhint: wait for something smaller, such as a mark that it is there, and let a task read the rest",
        XCOM_BYTES_MAX >> 20
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_whole_or_fails() {
        let fits = Value::String("x".repeat(XCOM_BYTES_MAX - 2));
        assert_eq!(Found::There(fits.clone()).bounded(), Found::There(fits));
        // As JSON it is larger than as text.
        for large in ["x".repeat(XCOM_BYTES_MAX - 1), "\"".repeat(XCOM_BYTES_MAX / 2)] {
            let Found::Failed(why) = Found::There(Value::String(large)).bounded() else { panic!("it is too large") };
            assert!(why.starts_with("what it found is larger than an XCom may be (1 MiB)\nhint: "), "{why}");
        }
    }
}
