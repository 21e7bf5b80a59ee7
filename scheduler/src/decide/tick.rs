//! What a tick does with the tasks whose upstream has moved, and with the free slots.

use std::collections::{HashMap, HashSet};

use flow_model::RunState;
use flow_model::plan::{Past, ReadyTask, RunSnapshot, TickPlan, TickSnapshot};
use flow_model::trigger_rule::Verdict;

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
        plan.admit = admit(snapshot, ready);
    }
    plan
}

/// Applies the trigger rules of a running run's touched tasks, and ends the run if nothing is left to do in it.
fn decide_run<'a>(run: &'a RunSnapshot, plan: &mut TickPlan, ready: &mut Vec<&'a ReadyTask>) {
    for task in &run.touched {
        let rule = run.graph.dag.tasks[task.task_index as usize].trigger_rule;
        match (rule.evaluate(task.upstream), task.past) {
            (Verdict::Wait, _) => {}
            (Verdict::Run, Past::Blocked) => plan.wait_for_past.push(task.task_instance),
            (Verdict::Run, Past::Clear) => {
                plan.schedule.push(task.task_instance);
                ready.push(&task.ready);
            }
            (Verdict::Skip, _) => plan.skip.push(task.task_instance),
            (Verdict::UpstreamFailed, _) => plan.fail_by_upstream.push(task.task_instance),
        }
    }
    if run.unfinished == 0 {
        // Airflow: the leaves decide.
        let result = if run.failed_leaves > 0 { RunState::Failed } else { RunState::Success };
        plan.finish.push((run.run, result));
    }
}

/// Gives out the free slots: by priority, then by age. A task whose pool or DAG is full is passed over, so that it never
/// holds up the others.
fn admit(snapshot: &TickSnapshot, mut ready: Vec<&ReadyTask>) -> Vec<flow_model::TaskInstanceKey> {
    let mut free_slots: HashMap<&str, i64> = snapshot
        .pools
        .iter()
        .map(|(name, &slots)| (name.as_str(), if slots < 0 { i64::MAX / 2 } else { slots }))
        .collect();
    let mut room: HashMap<&str, i64> = snapshot
        .dags
        .iter()
        .map(|(dag, limits)| (dag.as_str(), if limits.is_paused { 0 } else { limits.max_active_tasks }))
        .collect();
    for live in &snapshot.live {
        if let Some(free) = free_slots.get_mut(live.pool.as_str()) {
            *free -= live.slots;
        }
        if let Some(room) = room.get_mut(live.dag_id.as_str()) {
            *room -= live.instances;
        }
    }
    ready.sort_by_key(|task| (std::cmp::Reverse(task.priority), task.task_instance));
    let mut seen = HashSet::with_capacity(ready.len());
    let mut admitted = Vec::new();
    for task in ready {
        let (Some(free), Some(room)) = (free_slots.get_mut(task.pool.as_str()), room.get_mut(task.dag_id.as_str()))
        else {
            continue;
        };
        if *free >= task.pool_slots && *room >= 1 && seen.insert(task.task_instance) {
            *free -= task.pool_slots;
            *room -= 1;
            admitted.push(task.task_instance);
        }
    }
    admitted
}

#[cfg(test)]
mod tests {
    use flow_model::TaskInstanceKey;
    use flow_model::plan::{DagLimits, LiveSlots};

    use super::*;

    fn ready(id: i64, dag: &str, pool: &str, pool_slots: i64, priority: i64) -> ReadyTask {
        ReadyTask {
            task_instance: TaskInstanceKey(id),
            dag_id: dag.to_owned(),
            pool: pool.to_owned(),
            pool_slots,
            priority,
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
