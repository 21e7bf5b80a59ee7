//! T7 to T9: triggers, which wait for deferred task instances. A triggerer takes them, looks at them, and fires them.

use flow_model::deferral::OnTimeout;
use flow_model::moves::Actor;
use flow_model::{DagRunKey, Deferral, Epoch, ProcessId, TaskInstanceKey, TaskState, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::connect::Store;
use crate::error::Result;
use crate::outcome::NewXCom;
use crate::query::statement;
use crate::rows::{index, json, row_count};
use crate::suspended::{Settlement, Settler, Verdict, deferral};
use crate::transaction::{step, steps};

/// Triggers taken by one statement.
const TAKE_BATCH_MAX: usize = 5_000;
/// Overdue triggers ended in one transaction.
const EXPIRE_BATCH_MAX: i64 = 500;
/// Bytes of a note that are kept.
const NOTE_BYTES_MAX: usize = 500;

/// How many more triggers a triggerer can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerRoom {
    /// Those that fire at an instant.
    pub timers: usize,
    /// Those that somebody has to look at.
    pub pollers: usize,
}

/// A trigger that a triggerer carries.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldTrigger {
    /// The task instance that waits.
    pub task_instance: TaskInstanceKey,
    /// Its epoch while it waits.
    pub epoch: Epoch,
    /// What it waits for.
    pub deferral: Deferral,
    /// When it fires, or when it is looked at first.
    pub due_at: Timestamp,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// How often earlier owners have looked.
    pub checks: u32,
    /// The run.
    pub run: DagRunKey,
    /// The DAG.
    pub dag_id: String,
    /// The task.
    pub task_id: String,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The try.
    pub try_number: u32,
}

/// How a trigger fired.
#[derive(Debug, Clone, PartialEq)]
pub enum Fired {
    /// The task has succeeded, with its XComs.
    Success(Vec<NewXCom>),
    /// The task is skipped.
    Skipped(String),
    /// The task failed; it is tried again if tries are left.
    Failed(String),
    /// The task failed, and trying again would not help.
    FailedForGood(String),
    /// A worker goes on with it, and is told this.
    Resume(Value),
}

/// A trigger that has fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// Its epoch while it waited.
    pub epoch: Epoch,
    /// How.
    pub fired: Fired,
    /// Lines for the task's log.
    pub log: Vec<String>,
}

/// What looking at a trigger has found so far, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckNote {
    /// The task instance.
    #[serde(rename = "id")]
    pub task_instance: TaskInstanceKey,
    /// Its epoch while it waits.
    pub epoch: Epoch,
    /// How often it has been looked at.
    pub checks: u32,
    /// When last.
    #[serde(serialize_with = "micros")]
    pub checked_at: Timestamp,
    /// When next.
    #[serde(serialize_with = "micros")]
    pub next_check_at: Timestamp,
    /// What was found, in a few words.
    pub note: String,
}

fn micros<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.as_micros())
}

#[derive(sqlx::FromRow)]
struct TriggerRow {
    task_instance_id: i64,
    epoch: i64,
    args: String,
    due_at: i64,
    created_at: i64,
    checks: i64,
    dag_run_id: i64,
    dag_id: String,
    task_id: String,
    map_index: i64,
    try_number: i64,
}

impl Store {
    /// Takes triggers that nobody carries, those due first, for a triggerer that is live. Many triggerers may ask at once:
    /// each trigger goes to one of them.
    ///
    /// # Errors
    /// The database failed; what was taken is found with [`Store::held_triggers`].
    pub async fn take_triggers(&self, process: ProcessId, room: TriggerRoom) -> Result<Vec<HeldTrigger>> {
        let mut taken = Vec::new();
        for (is_timer, room) in [(true, room.timers), (false, room.pollers)] {
            let mut left = room;
            while left > 0 {
                let batch = left.min(TAKE_BATCH_MAX);
                let rows = self.take_batch(process, is_timer, batch).await?;
                left -= rows.len().min(left);
                let is_last = rows.len() < batch;
                taken.extend(rows);
                if is_last {
                    break;
                }
            }
        }
        Ok(taken)
    }

    async fn take_batch(&self, process: ProcessId, is_timer: bool, limit: usize) -> Result<Vec<HeldTrigger>> {
        // Most looks find nothing: they take one read, and neither a transaction nor SQLite's only writer.
        let is_any_free: bool = self
            .reading("look for free triggers", |tx| {
                steps(async move {
                    Ok(tx
                        .query("select cast(1 as bigint) from trigger where owner is null and is_timer = $1 limit 1")
                        .bind(is_timer)
                        .optional_scalar::<i64>()
                        .await?
                        .is_some())
                })
            })
            .await?;
        if !is_any_free {
            return Ok(Vec::new());
        }
        let rows: Vec<TriggerRow> = self
            .transaction("take triggers", |tx| {
                steps(async move {
                    let ids: Vec<i64> = tx
                        .query(statement!("take_triggers"))
                        .bind(process.0)
                        .bind(is_timer)
                        .bind(row_count(limit))
                        .scalars()
                        .await?;
                    Ok(tx.query(statement!("read_triggers")).bind(json(&ids)).all().await?)
                })
            })
            .await?;
        rows.into_iter().map(held_trigger).collect()
    }

    /// The triggers that the store counts as carried by a process.
    ///
    /// # Errors
    /// The database failed.
    pub async fn held_triggers(&self, process: ProcessId) -> Result<Vec<(TaskInstanceKey, Epoch)>> {
        self.reading("list a triggerer's triggers", |tx| {
            steps(async move {
                Ok(tx
                    .query("select task_instance_id, epoch from trigger where owner = $1")
                    .bind(process.0)
                    .all::<(i64, i64)>()
                    .await?
                    .into_iter()
                    .map(|(id, epoch)| (TaskInstanceKey(id), Epoch(epoch)))
                    .collect())
            })
        })
        .await
    }

    /// Those of the triggers that the process still carries.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read_triggers(&self, process: ProcessId, keys: &[TaskInstanceKey]) -> Result<Vec<HeldTrigger>> {
        let held: std::collections::HashSet<TaskInstanceKey> =
            self.held_triggers(process).await?.into_iter().map(|(key, _)| key).collect();
        let keys: Vec<TaskInstanceKey> = keys.iter().copied().filter(|key| held.contains(key)).collect();
        let rows: Vec<TriggerRow> = self
            .reading("read triggers", |tx| step(tx.query(statement!("read_triggers")).bind(json(&keys)).all()))
            .await?;
        rows.into_iter().map(held_trigger).collect()
    }

    /// T8: triggers of this triggerer have fired. All in one transaction: the trigger goes, and its task instance goes to
    /// its end, or back to a worker. Says of each whether it counted: one that had ended otherwise does not.
    ///
    /// # Errors
    /// The database failed; firing the same again is safe.
    pub async fn fire_triggers(&self, now: Timestamp, process: ProcessId, firings: &[Firing]) -> Result<Vec<bool>> {
        if firings.is_empty() {
            return Ok(Vec::new());
        }
        let settlements: Vec<Settlement> = firings.iter().map(|firing| settlement(process, firing)).collect();
        let actor_id = process.to_string();
        let settler = Settler { actor: Actor::Triggerer, actor_id: &actor_id };
        let settled = self.settle(now, settler, &settlements).await?;
        Ok(firings.iter().map(|firing| settled.contains(&firing.task_instance)).collect())
    }

    /// T9: ends the waiting of task instances whose time has run out. Returns how many there were; there may be more.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn expire_triggers(&self, now: Timestamp, actor_id: &str) -> Result<usize> {
        let overdue: Vec<(i64, i64, String)> = self.reading("look for overdue triggers", |tx| step(tx.query(
                "select task_instance_id, epoch, args from trigger where deadline_at <= $1 order by deadline_at limit $2",
            )
            .bind(now.as_micros())
            .bind(EXPIRE_BATCH_MAX).all())).await?;
        if overdue.is_empty() {
            return Ok(0);
        }
        let settlements =
            overdue.iter().map(|(id, epoch, args)| expiry(*id, *epoch, args)).collect::<Result<Vec<_>>>()?;
        Ok(self.settle(now, Settler { actor: Actor::Scheduler, actor_id }, &settlements).await?.len())
    }

    /// Notes what looking at triggers has found. Notes about triggers that are gone, or carried by others, are dropped.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_checks(&self, process: ProcessId, notes: &[CheckNote]) -> Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let notes = &json(&notes.iter().map(shortened).collect::<Vec<_>>());
        self.transaction("note what triggers have found", |tx| {
            steps(async move {
                tx.query(statement!("note_checks")).bind(process.0).bind(notes).execute().await?;
                Ok(())
            })
        })
        .await
    }
}

fn held_trigger(row: TriggerRow) -> Result<HeldTrigger> {
    Ok(HeldTrigger {
        task_instance: TaskInstanceKey(row.task_instance_id),
        epoch: Epoch(row.epoch),
        deferral: deferral(&row.args)?,
        due_at: Timestamp::from_micros(row.due_at),
        created_at: Timestamp::from_micros(row.created_at),
        checks: index(row.checks),
        run: DagRunKey(row.dag_run_id),
        dag_id: row.dag_id,
        task_id: row.task_id,
        map_index: row.map_index,
        try_number: index(row.try_number),
    })
}

fn settlement(process: ProcessId, firing: &Firing) -> Settlement {
    let (verdict, reason) = match &firing.fired {
        Fired::Success(xcoms) => (Verdict::Success(xcoms.clone()), None),
        Fired::Skipped(reason) => (Verdict::Skipped, Some(reason)),
        Fired::Failed(reason) => (Verdict::Failed, Some(reason)),
        Fired::FailedForGood(reason) => (Verdict::FailedForGood, Some(reason)),
        Fired::Resume(told) => (Verdict::Resume(told.clone()), None),
    };
    Settlement {
        task_instance: firing.task_instance,
        epoch: firing.epoch,
        from: TaskState::Deferred,
        owner: Some(process),
        verdict,
        // The reason is one line in lists; hints and details are in the log.
        reason: reason.map(|reason| reason.lines().next().unwrap_or_default().to_owned()),
        log: firing.log.iter().chain(reason).cloned().collect(),
        tells_last_look: false,
        answer: None,
    }
}

fn expiry(id: i64, epoch: i64, args: &str) -> Result<Settlement> {
    let deferral = deferral(args)?;
    let verdict = match deferral.on_timeout {
        OnTimeout::Fail => Verdict::FailedForGood,
        OnTimeout::Retry => Verdict::Failed,
        OnTimeout::Skip => Verdict::Skipped,
        OnTimeout::Resume => Verdict::Resume(deferral.resumed_by_timeout()),
    };
    let reason = "timed out: what it waits for did not come in time".to_owned();
    Ok(Settlement {
        task_instance: TaskInstanceKey(id),
        epoch: Epoch(epoch),
        from: TaskState::Deferred,
        owner: None,
        verdict,
        log: vec![reason.clone()],
        reason: Some(reason),
        tells_last_look: true,
        answer: None,
    })
}

fn shortened(note: &CheckNote) -> CheckNote {
    let mut end = note.note.len().min(NOTE_BYTES_MAX);
    while !note.note.is_char_boundary(end) {
        end -= 1;
    }
    CheckNote { note: note.note[..end].to_owned(), ..note.clone() }
}
