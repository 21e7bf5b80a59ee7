//! Callbacks: workers take what is due, carry it out, and say what became of it. The rows are made by the database itself,
//! in the transaction of the move that they are about (see `migrations/*/0007_callbacks.sql`).

use flow_model::callback::{CallbackEvent, Delivery};
use flow_model::{DagRunKey, DagVersionKey, ProcessId, TaskInstanceKey, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use crate::claim::{OrderRow, WorkOrder, work_order};
use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::query::statement;
use crate::rows::{index, json};
use crate::transaction::{Transaction, step, steps};

/// A callback that a worker has taken.
#[derive(Debug, Clone)]
pub struct CallbackOrder {
    /// Its row.
    pub id: i64,
    /// What it is called for.
    pub event: CallbackEvent,
    /// Whether the event is the run's; then the order's task means nothing.
    pub is_of_run: bool,
    /// Why it happened.
    pub reason: Option<String>,
    /// This try; 1 is the first.
    pub tries: u32,
    /// Positions of the notifiers that earlier tries have reached, as bits.
    pub delivered: i64,
    /// What templates know.
    pub order: WorkOrder,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackOutcome {
    /// The row.
    pub id: i64,
    /// Positions of the notifiers that have been reached by now, as bits.
    pub delivered: i64,
    /// What each notifier has said.
    pub results: Vec<CallbackResult>,
    /// What follows.
    pub delivery: Delivery,
}

/// What a notifier has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct CallbackResult {
    /// Its kind.
    pub kind: String,
    /// Whether it was reached.
    pub ok: bool,
    /// In a few words.
    pub message: String,
}

/// A callback as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallbackRecord {
    /// The task; none for the run's own.
    pub task_id: Option<String>,
    /// -1 for a task that is not mapped.
    pub map_index: i64,
    /// The try.
    pub try_number: i64,
    /// What it was called for.
    pub event: String,
    /// `pending`, `running`, `delivered` or `failed`.
    pub state: String,
    /// How often it has been tried.
    pub tries: i64,
    /// What each notifier has said last.
    pub results: Vec<CallbackResult>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct CallbackRow {
    callback_id: i64,
    event: String,
    reason: Option<String>,
    tries: i64,
    delivered: i64,
    is_of_run: bool,
    #[sqlx(flatten)]
    order: OrderRow,
}

#[derive(FromRow)]
struct RecordRow {
    task_id: Option<String>,
    map_index: i64,
    try_number: i64,
    event: String,
    state: String,
    tries: i64,
    results: Option<String>,
    created_at: i64,
    ended_at: Option<i64>,
}

impl Store {
    /// Takes callbacks that are due, the oldest first, for a worker that is live. Each goes to one of those who ask.
    ///
    /// # Errors
    /// The database failed; what was taken is free again when the process is declared dead.
    pub async fn take_callbacks(&self, now: Timestamp, process: ProcessId, limit: usize) -> Result<Vec<CallbackOrder>> {
        // Most looks find nothing: they take one read, and neither a transaction nor SQLite's only writer.
        let is_any_due: bool = self
            .reading("look for due callbacks", |tx| {
                steps(async move {
                    Ok(tx
                        .query(
                            "select cast(1 as bigint) from callback where state = 'pending' and due_at <= $1 limit 1",
                        )
                        .bind(now.as_micros())
                        .optional_scalar::<i64>()
                        .await?
                        .is_some())
                })
            })
            .await?;
        if !is_any_due {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<CallbackRow> = self
            .transaction("take callbacks", |tx| {
                steps(async move {
                    let taken: Vec<i64> = tx
                        .query(statement!("take_callbacks"))
                        .bind(process.0)
                        .bind(now.as_micros())
                        .bind(limit)
                        .scalars()
                        .await?;
                    let mut rows = Vec::new();
                    if !taken.is_empty() {
                        rows = tx.query(statement!("callback_orders")).bind(json(&taken)).all().await?;
                    }
                    Ok(rows)
                })
            })
            .await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in rows {
            let graph = self.dag_graph(DagVersionKey(row.order.version_id)).await?;
            let corrupt = |why| StoreError::Corrupt { what: "callback's event", why };
            orders.push(CallbackOrder {
                id: row.callback_id,
                event: row.event.parse().map_err(corrupt)?,
                is_of_run: row.is_of_run,
                reason: row.reason,
                tries: index(row.tries),
                delivered: row.delivered,
                order: work_order(row.order, graph)?,
            });
        }
        Ok(orders)
    }

    /// Says what became of a callback; `false`: it is not this process's any more.
    ///
    /// # Errors
    /// The database failed; saying it again is safe.
    pub async fn finish_callback(&self, now: Timestamp, process: ProcessId, outcome: &CallbackOutcome) -> Result<bool> {
        let (state, due_at) = match outcome.delivery {
            Delivery::Delivered => ("delivered", None),
            Delivery::GivenUp => ("failed", None),
            Delivery::Again(pause) => ("pending", Some((now + pause).as_micros())),
        };
        let results = &json(&outcome.results);
        let finished = self
            .transaction("finish a callback", |tx| {
                step(
                    tx.query(
                        "update callback set state = $3, due_at = coalesce($4, due_at), owner = null, delivered = $5,
                            results = $6, ended_at = case when $4 is null then $7 end
                         where id = $1 and owner = $2 and state = 'running'",
                    )
                    .bind(outcome.id)
                    .bind(process.0)
                    .bind(state)
                    .bind(due_at)
                    .bind(outcome.delivered)
                    .bind(results)
                    .bind(now.as_micros())
                    .execute(),
                )
            })
            .await?;
        Ok(finished > 0)
    }

    /// The newest callbacks of a run; with a task instance only those of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_callbacks(
        &self,
        run: DagRunKey,
        task_instance: Option<TaskInstanceKey>,
        limit: i64,
    ) -> Result<Vec<CallbackRecord>> {
        let rows: Vec<RecordRow> = self.reading("list callbacks", |tx| step(tx.query(
                "select t.task_id, coalesce(t.map_index, -1) as map_index, c.try_number, c.event, c.state, c.tries, c.results,
                    c.created_at, c.ended_at
                 from callback c left join task_instance t on t.id = c.task_instance_id
                 where c.dag_run_id = $1 and (cast($3 as bigint) is null or c.task_instance_id = $3)
                 order by c.id desc limit $2",
            )
            .bind(run.0)
            .bind(limit)
            .bind(task_instance.map(|key| key.0)).all())).await?;
        Ok(rows.into_iter().map(record).collect())
    }
}

fn record(row: RecordRow) -> CallbackRecord {
    let results = row.results.and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or_default();
    CallbackRecord {
        task_id: row.task_id,
        map_index: row.map_index,
        try_number: row.try_number,
        event: row.event,
        state: row.state,
        tries: row.tries,
        results: serde_json::from_value(results).unwrap_or_default(),
        created_at: Timestamp::from_micros(row.created_at),
        ended_at: row.ended_at.map(Timestamp::from_micros),
    }
}

/// Leaves what dead processes were carrying out to others.
pub(crate) async fn free_callbacks(tx: &mut Transaction, now: Timestamp, processes: &[i64]) -> Result<(), Abort> {
    tx.query(statement!("free_callbacks"))
        .bind(json(processes))
        .bind(i64::from(flow_model::limits::CALLBACK_TRIES_MAX))
        .bind(now.as_micros())
        .execute()
        .await?;
    Ok(())
}
