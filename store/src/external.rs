//! What a sensor asks about another DAG.

use flow_model::{DagRunKey, DagVersionKey, RunState, TaskState, Timestamp};

use crate::connect::Store;
use crate::error::Result;
use crate::rows::{run_state, task_state};
use crate::transaction::step;

/// A run of another DAG, as a sensor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRun {
    /// Its state.
    pub state: RunState,
    /// Its task instances: task, map index, state. Empty where nobody asked for them.
    pub tasks: Vec<(String, i64, TaskState)>,
}

/// A DAG, as a sensor sees it that waits for a run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalDag {
    /// It starts no runs at present.
    pub is_paused: bool,
    /// The newest logical date of its runs.
    pub newest_logical_date: Option<Timestamp>,
}

impl Store {
    /// The newest run of a DAG with this logical date, with its task instances if they matter; `None` where there is none
    /// yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn external_run(
        &self,
        dag_id: &str,
        logical_date: Timestamp,
        with_tasks: bool,
    ) -> Result<Option<ExternalRun>> {
        let found: Option<(i64, String)> = self
            .reading("look for another DAG's run", |tx| {
                step(tx.query(
                "select id, state from dag_run where dag_id = $1 and logical_date = $2 order by id desc limit 1",
            )
            .bind(dag_id)
            .bind(logical_date.as_micros()).optional())
            })
            .await?;
        let Some((run, state)) = found else { return Ok(None) };
        let tasks = if with_tasks { self.external_tasks(DagRunKey(run)).await? } else { Vec::new() };
        Ok(Some(ExternalRun { state: run_state(&state)?, tasks }))
    }

    /// How a DAG stands that has no run of the wanted logical date; `None` where there is no such DAG.
    ///
    /// # Errors
    /// The database failed.
    pub async fn external_dag(&self, dag_id: &str) -> Result<Option<ExternalDag>> {
        let found: Option<(bool, bool, Option<i64>)> = self
            .reading("look for another DAG", |tx| {
                step(
                    tx.query(
                        "select is_paused, is_active,
                            (select max(r.logical_date) from dag_run r where r.dag_id = dag.dag_id) as newest
                         from dag where dag_id = $1",
                    )
                    .bind(dag_id)
                    .optional(),
                )
            })
            .await?;
        Ok(found.filter(|(_, is_active, _)| *is_active).map(|(is_paused, _, newest)| ExternalDag {
            is_paused,
            newest_logical_date: newest.map(Timestamp::from_micros),
        }))
    }

    /// The state of a run; `None` where there is no such run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn external_run_state(&self, dag_id: &str, run_id: &str) -> Result<Option<RunState>> {
        let state: Option<String> = self
            .reading("look at another DAG's run", |tx| {
                step(
                    tx.query("select state from dag_run where dag_id = $1 and run_id = $2")
                        .bind(dag_id)
                        .bind(run_id)
                        .optional_scalar(),
                )
            })
            .await?;
        state.as_deref().map(run_state).transpose()
    }

    async fn external_tasks(&self, run: DagRunKey) -> Result<Vec<(String, i64, TaskState)>> {
        let rows: Vec<(String, i64, String)> = self
            .reading("look at another DAG's tasks", |tx| {
                step(
                    tx.query("select task_id, map_index, state from task_instance where dag_run_id = $1")
                        .bind(run.0)
                        .all(),
                )
            })
            .await?;
        rows.into_iter().map(|(task, map_index, state)| Ok((task, map_index, task_state(&state)?))).collect()
    }

    /// The tasks of the newest version of a DAG that has a file; `None` where there is no such DAG.
    ///
    /// # Errors
    /// The database failed.
    pub async fn external_dag_tasks(&self, dag_id: &str) -> Result<Option<Vec<String>>> {
        let version: Option<Option<i64>> = self
            .reading("look for another DAG", |tx| {
                step(
                    tx.query("select version_id from dag where dag_id = $1 and is_active")
                        .bind(dag_id)
                        .optional_scalar(),
                )
            })
            .await?;
        let Some(version) = version.flatten() else { return Ok(None) };
        let graph = self.dag_graph(DagVersionKey(version)).await?;
        Ok(Some(graph.dag.tasks.iter().map(|task| task.task_id.clone()).collect()))
    }
}
