//! Which scheduled task instances could be queued: no more of each DAG and pool than there is room for.

use std::collections::HashMap;

use flow_model::plan::{LiveTask, ReadyTask, TickSnapshot};
use serde::Serialize;

use super::rows::ReadyRow;

/// Task instances of one DAG and pool that are looked at in one tick, however many there is room for.
const READY_PER_DAG_MAX: i64 = 1_000;

/// Task instances looked at beyond those there is room for: where large ones do not fit, smaller ones may.
const READY_BEYOND_ROOM: i64 = 16;

#[derive(sqlx::FromRow)]
pub(super) struct PairRow {
    pub dag_id: String,
    pool: String,
    pub max_active_tasks: i64,
    pub is_paused: bool,
}

#[derive(Serialize)]
pub(super) struct Offer<'a> {
    dag: &'a str,
    pool: &'a str,
    /// Slots that are free; a task that needs more is passed over.
    slots: i64,
    k: i64,
}

/// How many task instances of each DAG and pool could be queued at most, leaving out what has no room.
pub(super) fn offers<'a>(pairs: &'a [PairRow], snapshot: &TickSnapshot) -> Vec<Offer<'a>> {
    let mut by_pool: HashMap<&str, i64> = HashMap::new();
    let mut by_dag: HashMap<&str, i64> = HashMap::new();
    for live in &snapshot.live {
        *by_pool.entry(&live.pool).or_default() += live.slots;
        *by_dag.entry(&live.dag_id).or_default() += live.instances;
    }
    pairs
        .iter()
        .filter(|pair| !pair.is_paused)
        .filter_map(|pair| {
            let slots = match snapshot.pools.get(&pair.pool) {
                Some(-1) => i64::MAX,
                Some(slots) => slots - by_pool.get(pair.pool.as_str()).copied().unwrap_or(0),
                None => 0,
            };
            let room = pair.max_active_tasks - by_dag.get(pair.dag_id.as_str()).copied().unwrap_or(0);
            let fit = slots.min(room);
            let k = fit.saturating_add(READY_BEYOND_ROOM).min(READY_PER_DAG_MAX);
            (fit > 0).then_some(Offer { dag: &pair.dag_id, pool: &pair.pool, slots, k })
        })
        .collect()
}

/// The first few of each DAG and pool: SQLite's statement gives every pair as many as the largest offer.
pub(super) fn best_of_each(offers: &[Offer<'_>], mut rows: Vec<ReadyRow>) -> Vec<ReadyTask> {
    let offer_of: HashMap<(&str, &str), usize> =
        offers.iter().enumerate().map(|(at, offer)| ((offer.dag, offer.pool), at)).collect();
    let mut left: Vec<i64> = offers.iter().map(|offer| offer.k).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.priority), row.id));
    rows.retain(|row| match offer_of.get(&(row.dag_id.as_str(), row.pool.as_str())) {
        Some(&at) => {
            left[at] -= 1;
            left[at] >= 0
        }
        None => false,
    });
    rows.into_iter().map(ReadyRow::ready).collect()
}

/// Queued and running instances of a task with limits of its own.
#[derive(sqlx::FromRow)]
pub(super) struct LiveTaskRow {
    dag_id: String,
    dag_run_id: i64,
    task_id: String,
    max_per_dag: Option<i64>,
    max_per_run: Option<i64>,
    instances: i64,
}

impl LiveTaskRow {
    pub fn live(&self) -> LiveTask {
        LiveTask {
            dag_id: self.dag_id.clone(),
            run: flow_model::DagRunKey(self.dag_run_id),
            task_id: self.task_id.clone(),
            instances: self.instances,
        }
    }
}

/// A task that is at its own limit, in one run or in all.
#[derive(Serialize)]
pub(super) struct Full<'a> {
    dag: &'a str,
    run: Option<i64>,
    task: &'a str,
}

/// The tasks that are at their own limits.
pub(super) fn full_tasks(live: &[LiveTaskRow]) -> Vec<Full<'_>> {
    let mut in_dag: HashMap<(&str, &str), i64> = HashMap::new();
    for row in live {
        *in_dag.entry((&row.dag_id, &row.task_id)).or_default() += row.instances;
    }
    let mut full = Vec::new();
    for row in live {
        let of_dag = in_dag.get(&(row.dag_id.as_str(), row.task_id.as_str())).copied().unwrap_or(0);
        if row.max_per_dag.is_some_and(|max| of_dag >= max) {
            full.push(Full { dag: &row.dag_id, run: None, task: &row.task_id });
        } else if row.max_per_run.is_some_and(|max| row.instances >= max) {
            full.push(Full { dag: &row.dag_id, run: Some(row.dag_run_id), task: &row.task_id });
        }
    }
    full
}
