//! I9: scheduled runs are the ticks of their schedule.

use std::sync::Arc;
use std::time::Duration;

use super::Violation;
use crate::dag::Catchup;
use crate::schedule::Schedule;
use crate::{DagGraph, Timestamp};

/// A run that the schedule created.
#[derive(Debug, Clone)]
pub struct ScheduledRun {
    /// Its id.
    pub run_id: String,
    /// The version it is pinned to, which was the newest when it was created.
    pub graph: Arc<DagGraph>,
    /// When it was due.
    pub tick: Timestamp,
    /// Its logical date.
    pub logical_date: Timestamp,
}

/// Takes in scheduled runs, those of a DAG one after another in the order of their ticks.
#[derive(Debug, Default)]
pub struct Schedules {
    last: Option<ScheduledRun>,
    violations: Vec<Violation>,
}

impl Schedules {
    /// Checks the next run.
    pub fn run(&mut self, run: ScheduledRun) {
        let dag = &run.graph.dag;
        let bounds = dag.bounds();
        let mut details = Vec::new();
        if let Schedule::Times { .. } = dag.schedule {
            if dag.schedule.next_after(run.tick - Duration::from_micros(1), bounds) != Some(run.tick) {
                details.push(format!("{} is no tick of its schedule", run.tick));
            }
            let (start, _) = dag.schedule.data_interval(run.tick, bounds);
            if start != run.logical_date {
                details.push(format!("its logical date is {}, not {start}", run.logical_date));
            }
        }
        if let Some(last) = &self.last
            && last.graph.dag.dag_id == dag.dag_id
        {
            if last.logical_date == run.logical_date {
                details.push(format!("`{}` is for the same tick", last.run_id));
            }
            let is_same_plan = last.graph.version == run.graph.version && dag.catchup == Catchup::All;
            if is_same_plan && let Schedule::Times { .. } = dag.schedule {
                let next = dag.schedule.next_after(last.tick, bounds);
                if next.is_some_and(|next| next < run.tick) {
                    details.push(format!("the tick after `{}` is missing", last.run_id));
                }
            }
        }
        let subject = format!("{} {}", dag.dag_id, run.run_id);
        self.violations.extend(details.into_iter().map(|detail| Violation {
            invariant: "I9",
            subject: subject.clone(),
            detail,
        }));
        self.last = Some(run);
    }

    /// What was found.
    pub fn finish(self) -> Vec<Violation> {
        self.violations
    }
}
