//! Events from outside, which start runs: brought by several roles, again and again.

use anyhow::ensure;
use flow_model::{RunType, TriggeredBy};
use flow_store::{NewRun, NewStart, Started, StoreError};
use rand::prelude::*;

use crate::world::World;

/// Different events of a DAG.
const EVENTS: u32 = 12;

impl World {
    /// One role or two bring some events, of which some have been there before.
    pub async fn events_arrive(&mut self) -> anyhow::Result<()> {
        let which = self.rng.random_range(0..self.dags.len());
        let dag_id = self.dags[which].dag_id.clone();
        let numbers: Vec<u32> = (0..self.rng.random_range(1..=3)).map(|_| self.rng.random_range(0..EVENTS)).collect();
        let events: Vec<NewStart> = numbers.iter().map(|number| self.event(&dag_id, *number)).collect();
        let now = self.now();
        let (ours, theirs) = if self.rng.random_bool(0.3) {
            let (ours, theirs) = tokio::join!(self.store.start_runs(now, &events), self.store.start_runs(now, &events));
            (ours, Some(theirs))
        } else {
            (self.store.start_runs(now, &events).await, None)
        };
        let mut started = self.accepted(ours)?;
        let mut brought = numbers.clone();
        if let Some(theirs) = theirs {
            started.extend(self.accepted(theirs)?);
            brought.extend(&numbers);
        }
        self.tell("outside", &format!("brings events {brought:?} of {dag_id}"));
        self.count_events(&dag_id, &brought, &started)
    }

    fn accepted(&self, answer: Result<Vec<Started>, StoreError>) -> anyhow::Result<Vec<Started>> {
        Ok(answer?)
    }

    fn event(&self, dag_id: &str, number: u32) -> NewStart {
        let now = self.now();
        let run = NewRun {
            dag_id: dag_id.to_owned(),
            run_id: None,
            run_type: RunType::AssetTriggered,
            triggered_by: TriggeredBy::Asset,
            principal: "webhook orders".to_owned(),
            logical_date: None,
            data_interval: None,
            run_after: now,
            conf: Default::default(),
            note: None,
        };
        NewStart { source: "webhook:orders".to_owned(), event_id: format!("order-{number}"), run }
    }

    /// Each event starts one run, and whoever brings it again is told which.
    fn count_events(&mut self, dag_id: &str, brought: &[u32], started: &[Started]) -> anyhow::Result<()> {
        for (number, started) in brought.iter().zip(started) {
            if let Started::Created(run) = started {
                let before = self.events.insert((dag_id.to_owned(), *number), run.run_id.clone());
                ensure!(before.is_none(), "event {number} of {dag_id} started {} after {before:?}", run.run_id);
            }
        }
        for (number, started) in brought.iter().zip(started) {
            if let Started::Repeated(run) = started {
                let first = self.events.get(&(dag_id.to_owned(), *number));
                ensure!(
                    first == run.as_ref(),
                    "event {number} of {dag_id} is said to have started {run:?}, not {first:?}"
                );
            }
        }
        ensure!(!started.contains(&Started::TooManyWait), "nobody sends so many");
        Ok(())
    }
}
