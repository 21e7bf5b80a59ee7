//! How many instances of each task are in which state: what pages show of mapped tasks and of groups.

use flow_model::{DagRunKey, TaskState, Timestamp};

use crate::connect::Store;
use crate::error::Result;
use crate::read::{record, records};
use crate::rows::json;
use crate::transaction::{step, steps};

record!(
    /// The instances of one task of a run that are in one state.
    TaskTally from TaskTallyRow {
        /// The task's position in the DAG.
        task_index: i64,
        /// Their state.
        state: TaskState,
        /// How many they are.
        instances: i64,
        /// The greatest map index; -1 for a task that is not mapped, or not expanded yet.
        last_map_index: i64,
        /// The newest try among them.
        try_number: i64,
        /// When the first of them started.
        started_at: Option<Timestamp>,
        /// When the last of them ended.
        ended_at: Option<Timestamp>,
    }
);

impl Store {
    /// How many task instances a run has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_task_instances(&self, run: DagRunKey) -> Result<i64> {
        self.reading("count task instances", |tx| {
            step(tx.query("select count(*) from task_instance where dag_run_id = $1").bind(run.0).scalar())
        })
        .await
    }

    /// The instances of these tasks of a run, counted by state.
    ///
    /// # Errors
    /// The database failed.
    pub async fn task_tallies(&self, run: DagRunKey, tasks: &[u32]) -> Result<Vec<TaskTally>> {
        const COUNTED: &str = "select task_index, state, count(*) as instances, max(map_index) as last_map_index,
                max(try_number) as try_number, min(started_at) as started_at, max(ended_at) as ended_at
             from task_instance where dag_run_id = $1 and task_index in";
        let rows: Vec<TaskTallyRow> = self
            .reading("count task instances", |tx| {
                steps(async move {
                    let listed = tx.choose(
                        "(select value::bigint from json_array_elements_text($2::json))",
                        "(select value from json_each($2))",
                    );
                    let text = format!("{COUNTED} {listed} group by task_index, state order by task_index, state");
                    Ok(tx.query(sqlx::AssertSqlSafe(text)).bind(run.0).bind(json(tasks)).all().await?)
                })
            })
            .await?;
        records(rows)
    }
}
