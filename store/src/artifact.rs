//! Artifacts: files that tries leave for people. They are written before the end of their try is reported, fenced like
//! it, and seen once that end has been recorded: a try that lost the right to act leaves nothing to see.

use flow_model::dag::hex;
use flow_model::limits::ARTIFACT_NAME_BYTES_MAX;
use flow_model::{ClaimId, DagRunKey, Epoch, TaskInstanceKey, Timestamp};
use sha2::{Digest, Sha256};

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::query::statement;
use crate::rows::row_count;
use crate::transaction::{step, steps};

/// Bytes of one piece.
const PIECE_BYTES: usize = 256 * 1024;

/// A file that a try leaves.
#[derive(Debug, Clone)]
pub struct NewArtifact<'a> {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// The attempt's epoch.
    pub epoch: Epoch,
    /// The attempt's claim.
    pub claim: ClaimId,
    /// Its relative path, with `/` between its parts.
    pub name: &'a str,
    /// All of it.
    pub content: &'a [u8],
}

/// A file that a try has left.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Artifact {
    /// Its key.
    pub id: i64,
    /// Its task.
    pub task_id: String,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The try that left it.
    pub try_number: i64,
    /// Its relative path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256 of the content in lower-case hex.
    pub sha256: String,
    /// Microseconds since 1970.
    created_at: i64,
}

impl Artifact {
    /// When it was stored.
    pub fn created_at(&self) -> Timestamp {
        Timestamp::from_micros(self.created_at)
    }
}

impl Store {
    /// Keeps a file of an attempt that still has the right to act; one of the same name is replaced. False: the attempt
    /// has been fenced, and nothing was written.
    ///
    /// # Errors
    /// The name is not usable; or the database failed, then writing it again is safe.
    pub async fn keep_artifact(&self, now: Timestamp, new: &NewArtifact<'_>) -> Result<bool> {
        if !is_artifact_name(new.name) {
            return Err(StoreError::Conflict(format!(
                "`{}` is no usable name of an artifact",
                new.name.escape_debug()
            )));
        }
        let sha256 = &hex(&Sha256::digest(new.content));
        self.transaction("keep an artifact", |tx| {
            steps(async move {
                let holder: Option<i64> = tx
                    .query(statement!("lock_attempt"))
                    .bind(new.task_instance.0)
                    .bind(new.epoch.0)
                    .bind(new.claim.0)
                    .optional_scalar()
                    .await?;
                if let Some(try_number) = holder {
                    // Besides a file of the same name: what tries have left whose end was never recorded.
                    for forgotten in [
                        "delete from artifact_piece where artifact_id in (select a.id from artifact a
                         where a.task_instance_id = $1 and (a.try_number = $2 and a.name = $3 or a.try_number < $2
                             and not exists (select 1 from attempt t where t.task_instance_id = a.task_instance_id
                                 and t.try_number = a.try_number)))",
                        "delete from artifact
                         where task_instance_id = $1 and (try_number = $2 and name = $3 or try_number < $2
                             and not exists (select 1 from attempt t where t.task_instance_id = artifact.task_instance_id
                                 and t.try_number = artifact.try_number))",
                    ] {
                        tx.query(forgotten).bind(new.task_instance.0).bind(try_number).bind(new.name).execute().await?;
                    }
                    let id: i64 = tx
                        .query(
                            "insert into artifact (task_instance_id, try_number, name, size, sha256, created_at)
                             values ($1, $2, $3, $4, $5, $6) returning id",
                        )
                        .bind(new.task_instance.0)
                        .bind(try_number)
                        .bind(new.name)
                        .bind(row_count(new.content.len()))
                        .bind(sha256)
                        .bind(now.as_micros())
                        .scalar()
                        .await?;
                    for (seq, piece) in new.content.chunks(PIECE_BYTES).enumerate() {
                        tx.query("insert into artifact_piece (artifact_id, seq, content) values ($1, $2, $3)")
                            .bind(id)
                            .bind(row_count(seq))
                            .bind(piece)
                            .execute()
                            .await?;
                    }
                }
                Ok(holder.is_some())
            })
        })
        .await
    }

    /// The files that the tries of a run have left, at most 10,000, in order of task, map index, try and name; of one task
    /// instance only, or of all.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_artifacts(&self, run: DagRunKey, of: Option<TaskInstanceKey>) -> Result<Vec<Artifact>> {
        self.reading("list artifacts", |tx| {
            step(
                tx.query(
                    "select a.id, t.task_id, t.map_index, a.try_number, a.name, a.size, a.sha256, a.created_at
                     from task_instance t join artifact a on a.task_instance_id = t.id
                     where t.dag_run_id = $1 and (cast($2 as bigint) is null or t.id = $2) and exists (
                        select 1 from attempt e where e.task_instance_id = a.task_instance_id
                            and e.try_number = a.try_number)
                     order by t.task_index, t.map_index, a.try_number, a.name limit 10000",
                )
                .bind(run.0)
                .bind(of.map(|key| key.0))
                .all(),
            )
        })
        .await
    }

    /// A piece of a file; pieces are numbered from 0, and `None` is its end.
    ///
    /// # Errors
    /// The database failed.
    pub async fn artifact_piece(&self, id: i64, seq: i64) -> Result<Option<Vec<u8>>> {
        self.reading("read an artifact", |tx| {
            step(
                tx.query("select content from artifact_piece where artifact_id = $1 and seq = $2")
                    .bind(id)
                    .bind(seq)
                    .optional_scalar(),
            )
        })
        .await
    }
}

/// Whether a name is a relative path that leads nowhere else, without control characters.
pub fn is_artifact_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    name.len() <= ARTIFACT_NAME_BYTES_MAX
        && name.split('/').all(is_part)
        && !name.contains(|character: char| character.is_control() || character == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_paths() {
        for good in ["a", "a.txt", "plots/May 1.png", "..a", "a..", "é/ß"] {
            assert!(is_artifact_name(good), "{good}");
        }
        let long = "x".repeat(ARTIFACT_NAME_BYTES_MAX + 1);
        for bad in ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\0", "a\nb", "a\\b", &long] {
            assert!(!is_artifact_name(bad), "{bad}");
        }
    }
}
