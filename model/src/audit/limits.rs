//! I12: how full pools and DAGs were, event by event.

use std::collections::HashMap;

use super::Violation;
use crate::TaskState;
use crate::state::RunState;

/// The largest limits that a DAG has ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DagLimits {
    /// Task instances that may be queued or running at once.
    pub max_active_tasks: i64,
    /// Runs that may be running at once.
    pub max_active_runs: i64,
}

/// Replays moves in the order in which they were appended and counts what is held. Memory follows the number of pools
/// and DAGs, not that of events.
#[derive(Debug, Default)]
pub struct Occupancy {
    pools: HashMap<String, (i64, i64)>,
    dags: HashMap<String, DagOccupancy>,
    violations: Vec<Violation>,
}

#[derive(Debug)]
struct DagOccupancy {
    limits: DagLimits,
    tasks: i64,
    runs: i64,
}

impl Occupancy {
    /// An empty installation. Pools with the largest number of slots that they have ever had (-1: unlimited).
    pub fn new(pools: HashMap<String, i64>, dags: HashMap<String, DagLimits>) -> Self {
        Occupancy {
            pools: pools.into_iter().map(|(name, slots)| (name, (slots, 0))).collect(),
            dags: dags.into_iter().map(|(dag, limits)| (dag, DagOccupancy { limits, tasks: 0, runs: 0 })).collect(),
            violations: Vec::new(),
        }
    }

    /// Takes in a move of a task instance.
    pub fn task_moved(&mut self, dag_id: &str, pool: &str, slots: i64, from: Option<TaskState>, to: TaskState) {
        let change = i64::from(to.holds_slots()) - i64::from(from.is_some_and(TaskState::holds_slots));
        if change == 0 {
            return;
        }
        if let Some((limit, held)) = self.pools.get_mut(pool) {
            *held += change * slots;
            if change > 0 && *limit >= 0 && *held > *limit {
                self.violations.push(overfull(format!("pool {pool}"), format!("{held} of {limit} slots were held")));
            }
        }
        if let Some(dag) = self.dags.get_mut(dag_id) {
            dag.tasks += change;
            if change > 0 && dag.tasks > dag.limits.max_active_tasks {
                let detail = format!("{} of {} task instances were active", dag.tasks, dag.limits.max_active_tasks);
                self.violations.push(overfull(format!("dag {dag_id}"), detail));
            }
        }
    }

    /// Takes in a move of a run.
    pub fn run_moved(&mut self, dag_id: &str, from: Option<RunState>, to: RunState) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let change = i64::from(to == RunState::Running) - i64::from(from == Some(RunState::Running));
        dag.runs += change;
        if change > 0 && dag.runs > dag.limits.max_active_runs {
            let detail = format!("{} of {} runs were active", dag.runs, dag.limits.max_active_runs);
            self.violations.push(overfull(format!("dag {dag_id}"), detail));
        }
    }

    /// What was found.
    pub fn finish(self) -> Vec<Violation> {
        self.violations
    }
}

fn overfull(subject: String, detail: String) -> Violation {
    Violation { invariant: "I12", subject, detail }
}
