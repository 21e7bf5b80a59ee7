//! Publishing DAGs, pausing and retiring them.

use std::collections::HashMap;
use std::sync::Arc;

use flow_model::dag::hex;
use flow_model::schedule::Schedule;
use flow_model::{Dag, DagVersionKey, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::audit_log::{self, Deed};
use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::query::statement;
use crate::transaction::{step, steps};

/// DAGs published in one transaction.
const PUBLISH_BATCH_MAX: usize = 500;

/// A DAG as it was read from its file.
#[derive(Debug, Clone)]
pub struct NewDagVersion {
    /// The DAG.
    pub dag: Arc<Dag>,
    /// The file's text.
    pub source: String,
    /// The file, relative to the DAG folder.
    pub file_path: String,
    /// Files that its tasks use: SHA-256 in hex, and content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What publishing a DAG did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedDag {
    /// The DAG.
    pub dag_id: String,
    /// Its version now.
    pub version: DagVersionKey,
    /// The version's number within the DAG: 1, 2 ...
    pub number: i64,
}

#[derive(Serialize)]
struct DagRow<'a> {
    dag_id: &'a str,
    hash: String,
    definition: String,
    callbacks: i64,
    source: &'a str,
    file_path: &'a str,
    display_name: Option<&'a str>,
    description: Option<&'a str>,
    owner: &'a str,
    tags: String,
    schedule: String,
    schedule_summary: String,
    catchup_all: bool,
    max_active_runs: u32,
    max_active_tasks: u32,
    is_paused: bool,
}

impl Store {
    /// Publishes DAGs: each gets a new version if its content is new, and becomes active. A changed schedule is planned
    /// anew from now on. Import errors of the same files are cleared.
    ///
    /// # Errors
    /// A DAG occurs twice (conflict; nothing is published), or the database failed; then nothing of the batch that failed
    /// is published.
    pub async fn publish_dags(
        &self,
        now: Timestamp,
        dags: &[NewDagVersion],
        paused_upon_creation: bool,
    ) -> Result<Vec<PublishedDag>> {
        let mut seen = HashMap::with_capacity(dags.len());
        for new in dags {
            if let Some(other) = seen.insert(&new.dag.dag_id, &new.file_path) {
                return Err(StoreError::Conflict(format!(
                    "dag `{}` is defined by `{other}` and by `{}`; hint: give one of them another id",
                    new.dag.dag_id, new.file_path
                )));
            }
        }
        let mut published = Vec::with_capacity(dags.len());
        for batch in dags.chunks(PUBLISH_BATCH_MAX) {
            published.extend(self.publish_batch(now, batch, paused_upon_creation).await?);
        }
        Ok(published)
    }

    async fn publish_batch(
        &self,
        now: Timestamp,
        dags: &[NewDagVersion],
        paused_upon_creation: bool,
    ) -> Result<Vec<PublishedDag>> {
        let rows: Vec<DagRow<'_>> = dags.iter().map(|new| dag_row(new, paused_upon_creation)).collect();
        let rows = &serde_json::to_string(&rows).expect("rows have only string keys");
        let starts = &crate::start::rows_of(dags);
        self.transaction("publish DAGs", |tx| {
            steps(async move {
                // One row each: DAGs with files are few, and their content does not belong in JSON.
                for (hash, content) in dags.iter().flat_map(|new| &new.files) {
                    tx.query("insert into dag_file (hash, content) values ($1, $2) on conflict (hash) do nothing")
                        .bind(hash)
                        .bind(content)
                        .execute()
                        .await?;
                }
                tx.query(statement!("publish_versions")).bind(rows).bind(now.as_micros()).execute().await?;
                tx.query(statement!("publish_dags")).bind(rows).bind(now.as_micros()).execute().await?;
                tx.query(statement!("forget_starts")).bind(rows).bind(starts).execute().await?;
                tx.query(statement!("publish_starts")).bind(starts).execute().await?;
                tx.query(statement!("clear_import_errors")).bind(rows).execute().await?;
                Ok(tx
                    .query(statement!("published_dags"))
                    .bind(rows)
                    .all::<(String, i64, i64)>()
                    .await?
                    .into_iter()
                    .map(|(dag_id, version, number)| PublishedDag { dag_id, version: DagVersionKey(version), number })
                    .collect())
            })
        })
        .await
    }

    /// Retires the DAGs of files that are gone: no new scheduled runs; running ones go on. Returns how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn retire_dags(&self, now: Timestamp, file_paths: &[String]) -> Result<u64> {
        let paths = &serde_json::to_string(file_paths).expect("strings serialise");
        self.transaction("retire DAGs", |tx| {
            steps(async move {
                tx.query(statement!("forget_import_errors")).bind(paths).execute().await?;
                Ok(tx.query(statement!("retire_dags")).bind(paths).bind(now.as_micros()).execute().await?)
            })
        })
        .await
    }

    /// Records that a file could not be read. Its DAG's last good version stays.
    ///
    /// # Errors
    /// The database failed.
    pub async fn record_import_error(
        &self,
        now: Timestamp,
        file_path: &str,
        dag_id: Option<&str>,
        rendered: &str,
        diagnostics: &serde_json::Value,
    ) -> Result<()> {
        let diagnostics = &diagnostics.to_string();
        self.transaction("record an import error", |tx| {
            steps(async move {
                tx.query(
                    "insert into import_error (file_path, dag_id, rendered, diagnostics, seen_at)
                     values ($1, $2, $3, $4, $5)
                     on conflict (file_path) do update set dag_id = excluded.dag_id, rendered = excluded.rendered,
                        diagnostics = excluded.diagnostics, seen_at = excluded.seen_at",
                )
                .bind(file_path)
                .bind(dag_id)
                .bind(rendered)
                .bind(diagnostics)
                .bind(now.as_micros())
                .execute()
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Paths of the files that active DAGs and import errors stand for: what a folder scan is compared with at start.
    ///
    /// # Errors
    /// The database failed.
    pub async fn known_files(&self) -> Result<Vec<String>> {
        self.reading("list known DAG files", |tx| {
            step(
                tx.query(
                    "select file_path from dag where is_active union select file_path from import_error order by 1",
                )
                .scalars(),
            )
        })
        .await
    }

    /// Pauses or unpauses a DAG. Unpausing plans the schedule from now on unless the DAG catches up on all its ticks.
    ///
    /// # Errors
    /// There is no such DAG, or the database failed.
    pub async fn set_dag_paused(&self, now: Timestamp, dag_id: &str, paused: bool, principal: &str) -> Result<()> {
        let affected = self
            .transaction("pause a DAG", |tx| {
                steps(async move {
                    let affected = tx
                        .query(
                            "update dag set is_paused = $2, check_at = $3,
                                next_tick = case when $2 or not is_paused or catchup_all then next_tick else null end
                             where dag_id = $1",
                        )
                        .bind(dag_id)
                        .bind(paused)
                        .bind(now.as_micros())
                        .execute()
                        .await?;
                    if affected > 0 {
                        let action = if paused { "pause" } else { "unpause" };
                        audit_log::record(tx, now, Deed { principal, action, object: dag_id, detail: None }).await?;
                    }
                    Ok(affected)
                })
            })
            .await?;
        if affected == 0 { Err(StoreError::NotFound { what: "dag", name: dag_id.to_owned() }) } else { Ok(()) }
    }

    /// A published file by the SHA-256 of its content.
    ///
    /// # Errors
    /// There is no such file, or the database failed.
    pub async fn dag_file(&self, hash: &str) -> Result<Vec<u8>> {
        let content: Option<Vec<u8>> = self
            .reading("read a published file", |tx| {
                step(tx.query("select content from dag_file where hash = $1").bind(hash).optional_scalar())
            })
            .await?;
        content.ok_or_else(|| StoreError::NotFound { what: "published file", name: hash.to_owned() })
    }
}

impl Store {
    /// Published files by the SHA-256 of their contents. Those that do not exist are left out.
    ///
    /// # Errors
    /// The database failed.
    pub async fn dag_files(&self, hashes: &[&str]) -> Result<HashMap<String, Vec<u8>>> {
        let hashes = &serde_json::to_string(hashes).expect("strings serialise");
        self.reading("read published files", |tx| {
            steps(async move {
                Ok(tx
                    .query(statement!("dag_files"))
                    .bind(hashes)
                    .all::<(String, Vec<u8>)>()
                    .await?
                    .into_iter()
                    .collect())
            })
        })
        .await
    }
}

fn dag_row(new: &NewDagVersion, paused_upon_creation: bool) -> DagRow<'_> {
    let dag = &*new.dag;
    let definition = serde_json::to_string(dag).expect("a DAG has only string keys");
    DagRow {
        dag_id: &dag.dag_id,
        hash: hex(&Sha256::digest(definition.as_bytes())),
        definition,
        callbacks: dag.callbacks.mask(),
        source: &new.source,
        file_path: &new.file_path,
        display_name: dag.display_name.as_deref(),
        description: dag.description.as_deref(),
        owner: &dag.owner,
        tags: serde_json::to_string(&dag.tags).expect("strings serialise"),
        schedule: planning_key(dag),
        schedule_summary: dag.schedule_summary(),
        catchup_all: dag.catchup == flow_model::dag::Catchup::All,
        max_active_runs: dag.max_active_runs,
        max_active_tasks: dag.max_active_tasks,
        is_paused: dag.is_paused_upon_creation.unwrap_or(paused_upon_creation),
    }
}

/// Everything that a planned tick depends on: when it changes, the plan is made anew.
fn planning_key(dag: &Dag) -> String {
    #[derive(Serialize)]
    struct Key<'a> {
        schedule: &'a Schedule,
        start_date: Option<Timestamp>,
        end_date: Option<Timestamp>,
        catchup: flow_model::dag::Catchup,
    }
    let key = Key { schedule: &dag.schedule, start_date: dag.start_date, end_date: dag.end_date, catchup: dag.catchup };
    serde_json::to_string(&key).expect("a schedule has only string keys")
}
