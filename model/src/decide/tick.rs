//! What a tick does with the tasks whose upstream has moved, and with the free slots.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::decide::plan::{Expansion, ReadyTask, RunSnapshot, TickPlan, TickSnapshot, TouchedTask};
use crate::decide::task::{Decision, Ending, Guard};
use crate::retry::DEFAULT_RETRY_DELAY;
use crate::{DagRunKey, RunState};

/// Decides about everything in the snapshot: trigger rules first, then ended runs, then free slots, best task first.
pub fn decide_tick(snapshot: &TickSnapshot) -> TickPlan {
    let mut plan = TickPlan::default();
    let mut ready: Vec<&ReadyTask> = snapshot.ready.iter().collect();
    for run in &snapshot.runs {
        if run.state == RunState::Running {
            decide_run(run, &mut plan, &mut ready);
        }
    }
    if snapshot.may_admit {
        let admission = admit(snapshot, ready);
        plan.admit = admission.admitted;
        plan.has_passed_over = admission.has_passed_over;
    }
    plan
}

/// Applies the trigger rules of a running run's touched tasks, and ends the run if nothing is left to do in it.
fn decide_run<'a>(run: &'a RunSnapshot, plan: &mut TickPlan, ready: &mut Vec<&'a ReadyTask>) {
    let mut expansions: BTreeMap<u32, Expansion> = BTreeMap::new();
    for task in &run.touched {
        match task.standing.decide() {
            Decision::Wait(Guard::Past) => plan.wait_for_past.push(task.task_instance),
            Decision::Wait(_) => {}
            Decision::End(ending) => plan.end.push((task.task_instance, ending)),
            Decision::Expand(ending) => note_expansion(&mut expansions, run, task, ending),
            Decision::Run => {
                plan.schedule.push(task.task_instance);
                if !task.is_delayed {
                    ready.push(&task.ready);
                }
            }
        }
    }
    plan.expand.extend(expansions.into_values());
    if run.unfinished == 0 {
        // Airflow: the leaves decide.
        let of_leaves = if run.failed_leaves > 0 { RunState::Failed } else { RunState::Success };
        let result = run.ends_as.unwrap_or(of_leaves);
        let dag = &run.graph.dag;
        if run.is_going_on() && result == RunState::Failed && run.retries_used < dag.run_retries {
            plan.retry.push((run.run, dag.run_retry_delay.unwrap_or(DEFAULT_RETRY_DELAY)));
        } else {
            plan.finish.push((run.run, result));
        }
    }
}

fn note_expansion(
    expansions: &mut BTreeMap<u32, Expansion>,
    run: &RunSnapshot,
    task: &TouchedTask,
    ending: Option<Ending>,
) {
    let Some(scope) = run.graph.map_scope[task.task_index as usize] else { return };
    let expansion = expansions.entry(scope).or_insert_with(|| Expansion {
        run: run.run,
        scope,
        ready: Vec::new(),
        instances: Vec::new(),
        ending: Vec::new(),
        empty: task.standing.producers.empty.clone(),
    });
    if let Some(ending) = ending {
        return expansion.ending.push((task.task_instance, ending));
    }
    if !expansion.ready.contains(&task.task_index) {
        expansion.ready.push(task.task_index);
    }
    expansion.instances.push(task.task_instance);
}

/// Gives out the free slots: by priority, then by age. A task whose pool or DAG is full is passed over, so that it never
/// holds up the others.
fn admit(snapshot: &TickSnapshot, mut ready: Vec<&ReadyTask>) -> Admission {
    let mut room = Room::of(snapshot);
    ready.sort_by_key(|task| (std::cmp::Reverse(task.priority), task.task_instance));
    let mut seen = HashSet::with_capacity(ready.len());
    let mut admission = Admission::default();
    for task in ready {
        if !room.fits(task) || seen.contains(&task.task_instance) {
            continue;
        }
        if !room.fits_limits(task) {
            admission.has_passed_over = true;
            continue;
        }
        seen.insert(task.task_instance);
        room.take(task);
        admission.admitted.push(task.task_instance);
    }
    admission
}

#[derive(Default)]
struct Admission {
    admitted: Vec<crate::TaskInstanceKey>,
    has_passed_over: bool,
}

/// What is left of every limit.
struct Room<'a> {
    pools: HashMap<&'a str, i64>,
    dags: HashMap<&'a str, i64>,
    /// Live instances of limited tasks, by DAG and by run.
    in_dag: HashMap<(&'a str, &'a str), i64>,
    in_run: HashMap<(DagRunKey, &'a str), i64>,
}

impl<'a> Room<'a> {
    fn of(snapshot: &'a TickSnapshot) -> Self {
        let endless = |slots: i64| if slots < 0 { i64::MAX / 2 } else { slots };
        let mut room = Room {
            pools: snapshot.pools.iter().map(|(name, &slots)| (name.as_str(), endless(slots))).collect(),
            dags: snapshot
                .dags
                .iter()
                .map(|(dag, limits)| (dag.as_str(), if limits.is_paused { 0 } else { limits.max_active_tasks }))
                .collect(),
            in_dag: HashMap::new(),
            in_run: HashMap::new(),
        };
        for live in &snapshot.live {
            if let Some(free) = room.pools.get_mut(live.pool.as_str()) {
                *free -= live.slots;
            }
            if let Some(left) = room.dags.get_mut(live.dag_id.as_str()) {
                *left -= live.instances;
            }
        }
        for live in &snapshot.live_tasks {
            *room.in_dag.entry((&live.dag_id, &live.task_id)).or_default() += live.instances;
            *room.in_run.entry((live.run, &live.task_id)).or_default() += live.instances;
        }
        room
    }

    fn fits(&self, task: &ReadyTask) -> bool {
        self.pools.get(task.pool.as_str()).is_some_and(|free| *free >= task.pool_slots)
            && self.dags.get(task.dag_id.as_str()).is_some_and(|left| *left >= 1)
    }

    fn fits_limits(&self, task: &ReadyTask) -> bool {
        task.limits.as_ref().is_none_or(|limits| {
            let in_dag = self.in_dag.get(&(task.dag_id.as_str(), limits.task_id.as_str())).copied().unwrap_or(0);
            let in_run = self.in_run.get(&(limits.run, limits.task_id.as_str())).copied().unwrap_or(0);
            limits.per_dag.is_none_or(|max| in_dag < max) && limits.per_run.is_none_or(|max| in_run < max)
        })
    }

    fn take(&mut self, task: &'a ReadyTask) {
        self.pools.entry(&task.pool).and_modify(|free| *free -= task.pool_slots);
        self.dags.entry(&task.dag_id).and_modify(|left| *left -= 1);
        if let Some(limits) = &task.limits {
            *self.in_dag.entry((&task.dag_id, &limits.task_id)).or_default() += 1;
            *self.in_run.entry((limits.run, &limits.task_id)).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::TaskInstanceKey;
    use crate::decide::plan::{DagLimits, LiveSlots, LiveTask, TaskLimits};

    use super::*;

    fn ready(id: i64, dag: &str, pool: &str, pool_slots: i64, priority: i64) -> ReadyTask {
        ReadyTask {
            task_instance: TaskInstanceKey(id),
            dag_id: dag.to_owned(),
            pool: pool.to_owned(),
            pool_slots,
            priority,
            limits: None,
        }
    }

    fn snapshot(ready: Vec<ReadyTask>) -> TickSnapshot {
        TickSnapshot {
            may_admit: true,
            ready,
            pools: [("small".to_owned(), 2), ("endless".to_owned(), -1)].into(),
            dags: [
                ("a".to_owned(), DagLimits { max_active_tasks: 2, is_paused: false }),
                ("b".to_owned(), DagLimits { max_active_tasks: 16, is_paused: false }),
                ("asleep".to_owned(), DagLimits { max_active_tasks: 16, is_paused: true }),
            ]
            .into(),
            ..TickSnapshot::default()
        }
    }

    fn admitted(snapshot: &TickSnapshot) -> Vec<i64> {
        decide_tick(snapshot).admit.into_iter().map(|key| key.0).collect()
    }

    #[test]
    fn the_most_important_goes_first_and_age_breaks_ties() {
        let tasks = vec![ready(1, "b", "small", 1, 1), ready(2, "b", "small", 1, 5), ready(3, "b", "small", 1, 1)];
        assert_eq!(admitted(&snapshot(tasks)), [2, 1]);
    }

    #[test]
    fn a_full_pool_does_not_hold_up_another() {
        let tasks = vec![ready(1, "b", "small", 3, 9), ready(2, "b", "endless", 1, 1)];
        assert_eq!(admitted(&snapshot(tasks)), [2]);
    }

    #[test]
    fn a_dag_at_its_limit_does_not_hold_up_another() {
        let mut tasks: Vec<ReadyTask> = (1..=5).map(|id| ready(id, "a", "endless", 1, 9)).collect();
        tasks.push(ready(6, "b", "endless", 1, 1));
        let mut snapshot = snapshot(tasks);
        snapshot.live = vec![LiveSlots { pool: "endless".into(), dag_id: "a".into(), instances: 1, slots: 1 }];
        assert_eq!(admitted(&snapshot), [1, 6]);
    }

    #[test]
    fn a_task_at_its_own_limit_does_not_hold_up_another() {
        let limits = |run: i64| {
            Some(TaskLimits { run: DagRunKey(run), task_id: "load".to_owned(), per_dag: Some(3), per_run: Some(2) })
        };
        let limited = |id, run| ReadyTask { limits: limits(run), ..ready(id, "b", "endless", 1, 9) };
        let mut tasks = vec![limited(1, 7), limited(2, 7), limited(3, 8), limited(4, 8)];
        tasks.push(ready(5, "b", "endless", 1, 1));
        let mut snapshot = snapshot(tasks);
        let live = |run: i64| LiveTask {
            dag_id: "b".to_owned(),
            run: DagRunKey(run),
            task_id: "load".to_owned(),
            instances: 1,
        };
        snapshot.live_tasks = vec![live(7)];
        // Run 7 has room for one more, the DAG for two more.
        assert_eq!(admitted(&snapshot), [1, 3, 5]);
        assert!(decide_tick(&snapshot).has_passed_over);
    }

    #[test]
    fn nothing_of_a_paused_dag_or_an_unknown_pool_is_queued() {
        let tasks = vec![ready(1, "asleep", "endless", 1, 9), ready(2, "b", "nowhere", 1, 1)];
        assert_eq!(admitted(&snapshot(tasks)), [0_i64; 0]);
    }

    #[test]
    fn without_the_lock_nothing_is_queued() {
        let mut snapshot = snapshot(vec![ready(1, "b", "endless", 1, 9)]);
        snapshot.may_admit = false;
        assert_eq!(admitted(&snapshot), [0_i64; 0]);
    }
}
