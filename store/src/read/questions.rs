//! Questions that tasks ask people, open and answered.

use flow_model::question::Question;
use flow_model::{DagRunKey, TaskInstanceKey, Timestamp};
use serde_json::Value;

use super::{Column, Page, record, records};
use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::transaction::{step, steps};

/// Open questions are counted up to this many.
const OPEN_MAX: i64 = 1_000;

/// Which questions are listed; `None`: all.
#[derive(Debug, Clone, Default)]
pub struct QuestionFilter {
    /// Of this DAG.
    pub dag_id: Option<String>,
    /// Of this run.
    pub run: Option<DagRunKey>,
    /// Of this task.
    pub task_id: Option<String>,
    /// Of the instance with this map index.
    pub map_index: Option<i64>,
    /// Whether they have been answered; false: those that are open.
    pub is_answered: Option<bool>,
    /// Answered by this person.
    pub responded_by: Option<String>,
    /// Whose subject contains this text.
    pub subject: Option<String>,
}

impl Column for Question {
    type Raw = String;
    fn read(raw: String) -> Result<Self, StoreError> {
        crate::question::parse(&raw)
    }
}

record!(
    /// A question, and its answer once there is one.
    QuestionRecord from QuestionRow {
        /// The task instance.
        task_instance_id: TaskInstanceKey,
        /// Its run.
        dag_run_id: DagRunKey,
        /// Its DAG.
        dag_id: String,
        /// The run's id.
        run_id: String,
        /// The task.
        task_id: String,
        /// -1 for a task that is not mapped.
        map_index: i64,
        /// The try that asks.
        try_number: i64,
        /// The question.
        question: Question,
        /// When it was asked.
        created_at: Timestamp,
        /// When it stopped being open.
        closed_at: Option<Timestamp>,
        /// What was chosen; `None`: it has no answer.
        chosen_options: Option<Value>,
        /// What was filled in.
        params_input: Option<Value>,
        /// Who answered; `None` beside an answer: nobody in time, so the default counts.
        responded_by: Option<String>,
        /// When.
        responded_at: Option<Timestamp>,
    }
);

const COLUMNS_FROM: &str = "select h.task_instance_id, h.dag_run_id, t.dag_id, r.run_id, t.task_id, t.map_index,
    h.try_number, h.question, h.created_at, h.closed_at, h.chosen_options, h.params_input, h.responded_by,
    h.responded_at from human_task h join task_instance t on t.id = h.task_instance_id
    join dag_run r on r.id = h.dag_run_id";

const FITTING: &str =
    "(cast($1 as text) is null or t.dag_id = $1) and (cast($2 as bigint) is null or h.dag_run_id = $2)
    and (cast($3 as text) is null or t.task_id = $3) and (cast($4 as bigint) is null or t.map_index = $4)
    and (cast($5 as bigint) is null or ($5 = 1 and h.responded_at is not null) or ($5 = 0 and h.closed_at is null))
    and (cast($6 as text) is null or h.responded_by = $6)
    and (cast($7 as text) is null or lower(h.subject) like $7 escape '!')";

impl Store {
    /// Questions that fit, the newest first, and how many there are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_questions(&self, filter: &QuestionFilter, page: Page) -> Result<(Vec<QuestionRecord>, i64)> {
        let pattern = &filter.subject.as_deref().map(containing);
        let (rows, total): (Vec<QuestionRow>, i64) = self
            .reading("list questions", |tx| {
                steps(async move {
                    let count = format!(
                        "select count(*) from human_task h join task_instance t on t.id = h.task_instance_id
                         where {FITTING}"
                    );
                    let total = tx
                        .query(sqlx::AssertSqlSafe(count))
                        .bind(&filter.dag_id)
                        .bind(filter.run.map(|run| run.0))
                        .bind(&filter.task_id)
                        .bind(filter.map_index)
                        .bind(filter.is_answered.map(i64::from))
                        .bind(&filter.responded_by)
                        .bind(pattern)
                        .scalar()
                        .await?;
                    let rows = tx
                        .query(sqlx::AssertSqlSafe(format!(
                            "{COLUMNS_FROM} where {FITTING} order by h.id desc limit $8 offset $9"
                        )))
                        .bind(&filter.dag_id)
                        .bind(filter.run.map(|run| run.0))
                        .bind(&filter.task_id)
                        .bind(filter.map_index)
                        .bind(filter.is_answered.map(i64::from))
                        .bind(&filter.responded_by)
                        .bind(pattern)
                        .bind(page.limit())
                        .bind(page.offset())
                        .all()
                        .await?;
                    Ok((rows, total))
                })
            })
            .await?;
        Ok((records(rows)?, total))
    }

    /// The newest question of a task instance.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find_question(&self, task_instance: TaskInstanceKey) -> Result<Option<QuestionRecord>> {
        let row: Option<QuestionRow> = self
            .reading("read a question", |tx| {
                step(
                    tx.query(sqlx::AssertSqlSafe(format!(
                        "{COLUMNS_FROM} where h.task_instance_id = $1 order by h.id desc limit 1"
                    )))
                    .bind(task_instance.0)
                    .optional(),
                )
            })
            .await?;
        row.map(QuestionRecord::try_from).transpose()
    }

    /// How many questions are open, counted up to 1,000.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_open_questions(&self) -> Result<i64> {
        self.reading("count open questions", |tx| {
            step(
                tx.query(
                    "select count(*) from
                        (select 1 as one from human_task where closed_at is null limit $1) open_questions",
                )
                .bind(OPEN_MAX)
                .scalar(),
            )
        })
        .await
    }
}

/// A pattern for `like`; `!` escapes.
fn containing(text: &str) -> String {
    let escaped = text.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
