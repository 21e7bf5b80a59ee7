//! What people do while all that goes on.

use std::time::Duration;

use flow_model::{Dag, RunState, RunType, TriggeredBy};
use flow_store::read::RunRecord;
use flow_store::{ClearRequest, Mark, MarkRequest, NewRun, Selection, StoreError};
use rand::prelude::*;
use serde_json::{Map, Value};

use crate::attempt::random_value;
use crate::dags::{POOLS, new_version, reshape};
use crate::shape::ITEMS;
use crate::world::{PRINCIPAL, World};

impl World {
    pub async fn person_acts(&mut self) -> anyhow::Result<()> {
        let told = match self.rng.random_range(0..100) {
            0..=24 => self.trigger().await?,
            25..=39 => self.clear().await?,
            40..=51 => self.answer().await?,
            52..=63 => self.mark().await?,
            64..=71 => self.end_run().await?,
            72..=85 => self.pause_or_unpause().await?,
            86..=93 => self.set_some_pool().await?,
            _ => self.edit_file().await?,
        };
        self.tell("person", &told);
        Ok(())
    }

    async fn trigger(&mut self) -> anyhow::Result<String> {
        let now = self.now();
        let which = self.rng.random_range(0..self.dags.len());
        let new = NewRun {
            dag_id: self.dags[which].dag_id.clone(),
            run_id: Some(format!("manual-{}", self.steps)),
            run_type: RunType::Manual,
            triggered_by: TriggeredBy::Cli,
            principal: PRINCIPAL.to_owned(),
            logical_date: self.rng.random_bool(0.5).then_some(now),
            data_interval: None,
            run_after: now + Duration::from_secs(self.rng.random_range(0..4)),
            conf: self.some_conf(),
            note: None,
        };
        let created = self.store.create_run(now, &new).await?;
        Ok(format!("triggers {} {}", new.dag_id, created.run_id))
    }

    /// Now and then somebody says over what to map.
    fn some_conf(&mut self) -> Map<String, Value> {
        let mut conf = Map::new();
        if self.rng.random_bool(0.3) {
            let items = random_value(&mut self.rng).filter(Value::is_array);
            conf.extend(items.map(|items| (ITEMS.to_owned(), items)));
        }
        conf
    }

    async fn some_run(&mut self) -> anyhow::Result<Option<RunRecord>> {
        let runs = self.runs(None, &[]).await?;
        Ok(runs.choose(&mut self.rng).cloned())
    }

    fn some_tasks(&mut self, dag_id: &str) -> Selection {
        let dag: &Dag = self.dags.iter().find(|dag| dag.dag_id == dag_id).expect("only these DAGs are there");
        let task = dag.tasks.choose(&mut self.rng).map(|task| task.task_id.clone());
        let mut task_ids = if self.rng.random_bool(0.2) { Vec::new() } else { task.into_iter().collect() };
        // Of a mapped task sometimes one instance only.
        let mut instances = Vec::new();
        if self.rng.random_bool(0.3) {
            let index = self.rng.random_range(0..3);
            instances.extend(task_ids.pop().map(|task: String| (task, index)));
        }
        Selection { task_ids, instances, upstream: self.rng.random_bool(0.2), downstream: self.rng.random_bool(0.5) }
    }

    async fn clear(&mut self) -> anyhow::Result<String> {
        let Some(run) = self.some_run().await? else { return Ok("has nothing to clear".to_owned()) };
        let tasks = self.some_tasks(&run.dag_id);
        let only_failed = self.rng.random_bool(0.3);
        let told = format!("clears {} {} {:?} {:?}", run.dag_id, run.run_id, tasks.task_ids, tasks.instances);
        let request = ClearRequest { run: run.id, tasks, only_failed, principal: PRINCIPAL.to_owned() };
        let result = self.store.clear_tasks(self.now(), &request, self.rng.random_bool(0.1)).await;
        Ok(format!("{told}: {}", said(result.map(|affected| affected.tasks.len()))?))
    }

    async fn mark(&mut self) -> anyhow::Result<String> {
        let Some(run) = self.some_run().await? else { return Ok("has nothing to mark".to_owned()) };
        let tasks = self.some_tasks(&run.dag_id);
        let to = *[Mark::Success, Mark::Failed, Mark::Skipped].choose(&mut self.rng).expect("there are some");
        let told = format!("marks {} {} {:?} {:?} {to:?}", run.dag_id, run.run_id, tasks.task_ids, tasks.instances);
        let request = MarkRequest { run: run.id, tasks, to, principal: PRINCIPAL.to_owned() };
        let result = self.store.mark_tasks(self.now(), &request, self.rng.random_bool(0.1)).await;
        Ok(format!("{told}: {}", said(result.map(|affected| affected.tasks.len()))?))
    }

    async fn end_run(&mut self) -> anyhow::Result<String> {
        let Some(run) = self.some_run().await? else { return Ok("has nothing to end".to_owned()) };
        let (what, result) = match self.rng.random_range(0..3) {
            0 => ("cancels", self.store.cancel_run(self.now(), run.id, PRINCIPAL).await),
            1 => ("fails", self.store.mark_run(self.now(), run.id, RunState::Failed, PRINCIPAL).await),
            _ => ("passes", self.store.mark_run(self.now(), run.id, RunState::Success, PRINCIPAL).await),
        };
        let said = said(result.map(|affected| affected.tasks.len()))?;
        Ok(format!("{what} {} {}: {said}", run.dag_id, run.run_id))
    }

    async fn pause_or_unpause(&mut self) -> anyhow::Result<String> {
        let which = self.rng.random_range(0..self.dags.len());
        let dag_id = self.dags[which].dag_id.clone();
        let paused = self.rng.random_bool(0.4);
        self.set_paused(&dag_id, paused).await?;
        Ok(format!("{} {dag_id}", if paused { "pauses" } else { "unpauses" }))
    }

    pub async fn set_paused(&mut self, dag_id: &str, paused: bool) -> anyhow::Result<()> {
        self.store.set_dag_paused(self.now(), dag_id, paused, PRINCIPAL).await?;
        if paused {
            self.paused.insert(dag_id.to_owned());
        } else {
            self.paused.remove(dag_id);
        }
        Ok(())
    }

    async fn set_some_pool(&mut self) -> anyhow::Result<String> {
        let pool = *POOLS.choose(&mut self.rng).expect("there are some");
        let slots = self.rng.random_range(-1..=5);
        self.store.set_pool(self.now(), pool, slots, None, PRINCIPAL).await?;
        Ok(format!("gives {pool} {slots} slots"))
    }

    async fn edit_file(&mut self) -> anyhow::Result<String> {
        let which = self.rng.random_range(0..self.dags.len());
        let text = reshape(&mut self.rng, &mut self.dags[which]);
        let dag = &self.dags[which];
        self.store.publish_dags(self.now(), &[new_version(dag)], false).await?;
        Ok(format!("edits {}: {} tasks\n{text}", dag.dag_id, dag.tasks.len()))
    }
}

/// What came of a request; requests that contradict the state of things are refused, and that is fine.
fn said(result: Result<usize, StoreError>) -> anyhow::Result<String> {
    match result {
        Ok(affected) => Ok(format!("{affected} affected")),
        Err(StoreError::NotFound { what, .. }) => Ok(format!("there is no such {what}")),
        Err(StoreError::Conflict(why)) => Ok(why),
        Err(other) => Err(other.into()),
    }
}
