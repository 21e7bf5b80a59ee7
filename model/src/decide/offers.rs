//! Which scheduled task instances could be queued: no more of each DAG and pool than there is room for.

use std::collections::HashMap;

use serde::Serialize;

use super::plan::{DagLimits, LiveTask, ReadyTask, TickSnapshot};
use crate::ids::DagRunKey;

/// Task instances of one DAG and pool that are looked at in one tick, however many there is room for.
const READY_PER_DAG_MAX: i64 = 1_000;

/// Task instances looked at beyond those there is room for: where large ones do not fit, smaller ones may.
const READY_BEYOND_ROOM: i64 = 16;

/// A DAG and a pool for which there is something to queue.
#[derive(Debug, Clone)]
pub struct ReadyPair {
    /// The DAG.
    pub dag_id: String,
    /// The pool.
    pub pool: String,
    /// The DAG's limits.
    pub limits: DagLimits,
}

/// How many task instances of a DAG and a pool are looked at.
#[derive(Debug, Serialize)]
pub struct Offer<'a> {
    dag: &'a str,
    pool: &'a str,
    /// Slots that are free; a task that needs more is passed over.
    slots: i64,
    k: i64,
}

/// How many task instances of each DAG and pool could be queued at most, leaving out what has no room.
pub fn offers<'a>(pairs: &'a [ReadyPair], snapshot: &TickSnapshot) -> Vec<Offer<'a>> {
    let mut by_pool: HashMap<&str, i64> = HashMap::new();
    let mut by_dag: HashMap<&str, i64> = HashMap::new();
    for live in &snapshot.live {
        *by_pool.entry(&live.pool).or_default() += live.slots;
        *by_dag.entry(&live.dag_id).or_default() += live.instances;
    }
    pairs
        .iter()
        .filter(|pair| !pair.limits.is_paused)
        .filter_map(|pair| {
            let slots = match snapshot.pools.get(&pair.pool) {
                Some(-1) => i64::MAX,
                Some(slots) => slots - by_pool.get(pair.pool.as_str()).copied().unwrap_or(0),
                None => 0,
            };
            let room = pair.limits.max_active_tasks - by_dag.get(pair.dag_id.as_str()).copied().unwrap_or(0);
            let fit = slots.min(room);
            let k = fit.saturating_add(READY_BEYOND_ROOM).min(READY_PER_DAG_MAX);
            (fit > 0).then_some(Offer { dag: &pair.dag_id, pool: &pair.pool, slots, k })
        })
        .collect()
}

/// The first few of each DAG and pool: SQLite's statement gives every pair as many as the largest offer.
pub fn best_of_each(offers: &[Offer<'_>], mut ready: Vec<ReadyTask>) -> Vec<ReadyTask> {
    let offer_of: HashMap<(&str, &str), usize> =
        offers.iter().enumerate().map(|(at, offer)| ((offer.dag, offer.pool), at)).collect();
    let mut left: Vec<i64> = offers.iter().map(|offer| offer.k).collect();
    ready.sort_by_key(|task| (std::cmp::Reverse(task.priority), task.task_instance));
    ready.retain(|task| match offer_of.get(&(task.dag_id.as_str(), task.pool.as_str())) {
        Some(&at) => {
            left[at] -= 1;
            left[at] >= 0
        }
        None => false,
    });
    ready
}

/// Queued and running instances of a task, and its own limits.
#[derive(Debug, Clone)]
pub struct LimitedTask {
    /// The instances.
    pub live: LiveTask,
    /// How many there may be in all runs of the DAG.
    pub max_per_dag: Option<i64>,
    /// How many there may be in one run.
    pub max_per_run: Option<i64>,
}

/// A task that is at its own limit, in one run or in all.
#[derive(Debug, Serialize)]
pub struct Full<'a> {
    dag: &'a str,
    run: Option<DagRunKey>,
    task: &'a str,
}

/// The tasks that are at their own limits.
pub fn full_tasks(limited: &[LimitedTask]) -> Vec<Full<'_>> {
    let mut in_dag: HashMap<(&str, &str), i64> = HashMap::new();
    for LimitedTask { live, .. } in limited {
        *in_dag.entry((&live.dag_id, &live.task_id)).or_default() += live.instances;
    }
    let mut full = Vec::new();
    for LimitedTask { live, max_per_dag, max_per_run } in limited {
        let of_dag = in_dag.get(&(live.dag_id.as_str(), live.task_id.as_str())).copied().unwrap_or(0);
        if max_per_dag.is_some_and(|max| of_dag >= max) {
            full.push(Full { dag: &live.dag_id, run: None, task: &live.task_id });
        } else if max_per_run.is_some_and(|max| live.instances >= max) {
            full.push(Full { dag: &live.dag_id, run: Some(live.run), task: &live.task_id });
        }
    }
    full
}
