//! DAG runs as they are listed.

use flow_model::state::{RunType, TriggeredBy};
use flow_model::{DagRunKey, DagVersionKey, RunReason, RunState, Timestamp};
use serde_json::Value;

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::read::{COUNTED_MAX, Page, record, records};
use crate::rows::json;
use crate::transaction::{Transaction, steps};

record!(
    /// A DAG run.
    RunRecord from RunRow {
        /// Its key.
        id: DagRunKey,
        /// Its DAG.
        dag_id: String,
        /// What the DAG is called, where it has a name.
        dag_display_name: Option<String>,
        /// Its id.
        run_id: String,
        /// What kind of run.
        run_type: RunType,
        /// Through which door it came.
        triggered_by: TriggeredBy,
        /// Who asked.
        principal: Option<String>,
        /// A note for people.
        note: Option<String>,
        /// The version it is pinned to.
        version_id: DagVersionKey,
        /// The version's number.
        version_number: i64,
        /// When the version was published.
        version_created_at: Timestamp,
        /// Its state.
        state: RunState,
        /// Its logical date, if it has one.
        logical_date: Option<Timestamp>,
        /// Start of its data interval.
        data_interval_start: Option<Timestamp>,
        /// End of its data interval.
        data_interval_end: Option<Timestamp>,
        /// It does not start before this instant.
        run_after: Timestamp,
        /// What the trigger passed.
        conf: Value,
        /// When it was created, and so queued.
        created_at: Timestamp,
        /// When it started.
        started_at: Option<Timestamp>,
        /// When it ended.
        ended_at: Option<Timestamp>,
        /// Why it is in its state.
        reason: Option<String>,
    }
);

/// In which order runs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOrder {
    /// By creation, newest first.
    NewestFirst,
    /// By creation, oldest first.
    OldestFirst,
    /// By another instant, among the newest [`COUNTED_MAX`] runs.
    By {
        /// `run_after`, `logical_date`, `start_date` or `end_date`.
        field: &'static str,
        /// Latest first.
        descending: bool,
    },
}

/// Which runs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this DAG; `None`: of all.
    pub dag_id: Option<String>,
    /// In one of these states; empty: in any. Finished ones are looked for among the newest [`COUNTED_MAX`] runs.
    pub states: Vec<RunState>,
    /// For one of these reasons; empty: for any or none. Looked for like finished ones.
    pub reasons: Vec<RunReason>,
    /// The order.
    pub order: RunOrder,
}

const COLUMNS: &str = "select r.id, r.dag_id, d.display_name as dag_display_name, r.run_id, r.run_type, r.triggered_by,
    r.principal, r.note, r.version_id, v.number as version_number, v.created_at as version_created_at, r.state,
    r.logical_date, r.data_interval_start, r.data_interval_end, r.run_after, r.conf, r.created_at, r.started_at,
    r.ended_at, r.reason ";

const JOINS: &str = " join dag_version v on v.id = r.version_id left join dag d on d.dag_id = r.dag_id ";

impl RunFilter {
    /// The keys among which the page is cut out: `$1` is the DAG, `$2` the states as a JSON list.
    fn candidates(&self, states_in: &str, is_sqlite: bool) -> String {
        let of_dag = if self.dag_id.is_some() { "q.dag_id = $1" } else { "$1 is null" };
        let reasons: Vec<String> = self.reasons.iter().map(|reason| format!("'{reason}'")).collect();
        let reasons = reasons.join(", ");
        let is_live = !self.states.is_empty() && self.states.iter().all(|state| !state.is_finished());
        if is_live {
            // The partial indexes hold the live runs only; SQLite must be told to prefer them.
            let part = |state: &str, index: &str| {
                let by = if is_sqlite { format!("indexed by {index}") } else { String::new() };
                format!(
                    "select q.id from dag_run q {by} where {of_dag} and q.state = '{state}' and '{state}' in ({states_in}){}",
                    if reasons.is_empty() { String::new() } else { format!(" and q.reason in ({reasons})") }
                )
            };
            format!(
                "select id from ({} union all {}) live",
                part("queued", "dag_run_waiting"),
                part("running", "dag_run_live")
            )
        } else if self.states.is_empty() && self.reasons.is_empty() {
            let direction = if self.order == RunOrder::OldestFirst { "asc" } else { "desc" };
            format!("select q.id from dag_run q where {of_dag} order by q.id {direction} limit {COUNTED_MAX}")
        } else {
            let of_states =
                if self.states.is_empty() { String::new() } else { format!(" and newest.state in ({states_in})") };
            let for_reasons =
                if self.reasons.is_empty() { String::new() } else { format!(" and newest.reason in ({reasons})") };
            format!(
                "select id from (select q.id, q.state, q.reason from dag_run q where {of_dag} order by q.id desc \
                 limit {COUNTED_MAX}) newest where newest.id is not null{of_states}{for_reasons}"
            )
        }
    }

    /// The statements that list a page and that count: `$1` is the DAG, `$2` the states as a JSON list.
    fn statements(&self, tx: &Transaction) -> (String, String) {
        let states_in = tx.choose("select json_array_elements_text($2::json)", "select value from json_each($2)");
        let unused = tx.choose("$2::text is not null", "$2 is not null");
        let any_dag = tx.choose("$1::text is null", "$1 is null");
        let candidates = self.candidates(states_in, tx.choose("", "sqlite") == "sqlite").replace("$1 is null", any_dag);
        let order = self.order_by();
        // By creation and in any state, the page itself is cut out of the index.
        let is_plain = self.states.is_empty() && self.reasons.is_empty() && !matches!(self.order, RunOrder::By { .. });
        let list = if is_plain {
            let of_dag = if self.dag_id.is_some() { "r.dag_id = $1" } else { any_dag };
            format!("{COLUMNS} from dag_run r {JOINS} where {of_dag} and {unused} order by {order} limit $3 offset $4")
        } else {
            format!(
                "{COLUMNS} from ({candidates}) c join dag_run r on r.id = c.id {JOINS} where {unused}
                 order by {order} limit $3 offset $4"
            )
        };
        (list, format!("select count(*) from ({candidates}) c where {unused}"))
    }

    fn order_by(&self) -> String {
        match self.order {
            RunOrder::NewestFirst => "r.id desc".to_owned(),
            RunOrder::OldestFirst => "r.id asc".to_owned(),
            RunOrder::By { field, descending } => {
                let column = match field {
                    "run_after" => "r.run_after",
                    "logical_date" => "r.logical_date",
                    "start_date" => "r.started_at",
                    _ => "r.ended_at",
                };
                let direction = if descending { "desc" } else { "asc" };
                format!("{column} {direction} nulls last, r.id {direction}")
            }
        }
    }
}

impl Store {
    /// Runs, and how many there are in all (at most [`COUNTED_MAX`] are counted).
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_runs(&self, filter: &RunFilter, page: Page) -> Result<(Vec<RunRecord>, i64)> {
        let states = &json(&filter.states);
        let (rows, total): (Vec<RunRow>, i64) = self
            .reading("list DAG runs", |tx| {
                steps(async move {
                    let (list, count) = filter.statements(tx);
                    let rows = tx
                        .query(sqlx::AssertSqlSafe(list))
                        .bind(&filter.dag_id)
                        .bind(states)
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    let total = tx.query(sqlx::AssertSqlSafe(count)).bind(&filter.dag_id).bind(states).scalar().await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// One run.
    ///
    /// # Errors
    /// There is no such run, or the database failed.
    pub async fn find_run(&self, dag_id: &str, run_id: &str) -> Result<RunRecord> {
        let row: Option<RunRow> = self
            .reading("read a DAG run", |tx| {
                steps(async move {
                    let text = format!("{COLUMNS} from dag_run r {JOINS} where r.dag_id = $1 and r.run_id = $2");
                    Ok(tx.query(sqlx::AssertSqlSafe(text)).bind(dag_id).bind(run_id).optional().await?)
                })
            })
            .await?;
        row.ok_or_else(|| StoreError::NotFound { what: "dag run", name: format!("{dag_id} {run_id}") })?.try_into()
    }

    /// Writes a note for people at a run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_run_note(&self, run: DagRunKey, note: Option<&str>) -> Result<()> {
        self.transaction("write a note at a run", |tx| {
            steps(async move {
                tx.query("update dag_run set note = $2 where id = $1").bind(run.0).bind(note).execute().await?;
                Ok(())
            })
        })
        .await
    }
}
