//! Which runs a DAG's schedule wants, which queued ones start, and when to look again.

use std::time::Duration;

use crate::decide::plan::{DagPlan, DagSnapshot, PlannedRun};
use crate::schedule::{Due, DueQuery, Schedule};
use crate::{Dag, Timestamp};

/// Runs that a catching-up DAG may have waiting at once; more are created as these end.
const CREATE_MAX: u32 = 20;

/// Runs of a `@continuous` DAG start at least this long after one another.
const CONTINUOUS_INTERVAL: Duration = Duration::from_secs(1);

/// After runs of a `@continuous` DAG that failed one after another, the next one waits twice as long each time, but no longer than
/// this.
const CONTINUOUS_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Looks at a DAG whose time has come.
pub fn decide_dag(snapshot: &DagSnapshot, now: Timestamp) -> DagPlan {
    let dag = &snapshot.graph.dag;
    let due = due(snapshot, now);
    let create: Vec<PlannedRun> = due.ticks.iter().map(|tick| planned_run(dag, *tick)).collect();

    // The queued runs go first: they are older.
    let mut room = dag.max_active_runs.saturating_sub(snapshot.running_runs) as usize;
    let start: Vec<_> =
        snapshot.waiting.iter().filter(|run| run.run_after <= now).take(room).map(|run| run.run).collect();
    room -= start.len();
    let start_created = create.len().min(room);

    let next_waiting = snapshot.waiting.iter().map(|run| run.run_after).filter(|at| *at > now).min();
    let created_room = create_room(snapshot).saturating_sub(create.len() as u32);
    // Without room nothing is created until a run ends, which makes the scheduler look again.
    let next_tick = due.next_tick.filter(|_| created_room > 0);
    DagPlan {
        skipped_ticks: u64::from(due.has_skipped),
        start_created,
        start,
        check_at: [next_tick, next_waiting].into_iter().flatten().min(),
        next_tick: due.next_tick,
        create,
    }
}

fn due(snapshot: &DagSnapshot, now: Timestamp) -> Due {
    let dag = &snapshot.graph.dag;
    if !snapshot.is_active {
        return Due::default();
    }
    let limit = create_room(snapshot);
    if limit == 0 {
        // The planned tick stays planned.
        return Due { next_tick: snapshot.next_tick, ..Due::default() };
    }
    let mut due = dag.schedule.due(DueQuery {
        next_tick: snapshot.next_tick,
        first_seen: snapshot.first_seen,
        has_run: snapshot.has_scheduled_run,
        active_runs: snapshot.running_runs + snapshot.queued_runs,
        now,
        bounds: dag.bounds(),
        catchup: dag.catchup,
        limit: limit as usize,
    });
    if dag.schedule == Schedule::Continuous && snapshot.has_scheduled_run && snapshot.next_tick.is_none() {
        // The run before has just ended.
        if due.ticks.pop().is_some() {
            due.next_tick = Some(continues_at(snapshot, now));
        }
    } else if dag.schedule == Schedule::Continuous
        && let Some(planned) = snapshot.next_tick
        && planned > now
        && due.ticks.pop().is_some()
    {
        due.next_tick = Some(planned);
    }
    due
}

/// When a `@continuous` DAG starts again. A loop needs a brake besides its own work, which may be over at once.
fn continues_at(snapshot: &DagSnapshot, now: Timestamp) -> Timestamp {
    let failures = snapshot.ended.iter().take_while(|run| run.has_failed).count() as u32;
    let pause = match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(further) => (CONTINUOUS_INTERVAL * 2_u32.saturating_pow(further.min(16))).min(CONTINUOUS_PAUSE_MAX),
    };
    let apart = snapshot.ended.first().map_or(now, |run| run.started_at + CONTINUOUS_INTERVAL);
    (now + pause).max(apart)
}

/// How many scheduled runs may be created now. As in Airflow, a DAG at `max_active_runs` gets no new ones.
fn create_room(snapshot: &DagSnapshot) -> u32 {
    snapshot.graph.dag.max_active_runs.saturating_sub(snapshot.running_runs + snapshot.queued_runs).min(CREATE_MAX)
}

fn planned_run(dag: &Dag, tick: Timestamp) -> PlannedRun {
    let (start, end) = dag.schedule.data_interval(tick, dag.bounds());
    PlannedRun { logical_date: start, data_interval_start: start, data_interval_end: end, run_after: tick }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::decide::plan::EndedRun;
    use crate::{DagGraph, DagVersionKey};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_767_250_800_000_000);

    fn continuous(ended: &[(bool, u64)]) -> DagSnapshot {
        let dag = Dag { schedule: Schedule::Continuous, ..Dag::new("d", Vec::new()) };
        DagSnapshot {
            graph: Arc::new(DagGraph::new(DagVersionKey(1), dag)),
            is_active: true,
            next_tick: None,
            first_seen: NOW,
            has_scheduled_run: true,
            running_runs: 0,
            queued_runs: 0,
            ended: ended
                .iter()
                .map(|&(has_failed, ago)| EndedRun { has_failed, started_at: NOW - Duration::from_millis(ago) })
                .collect(),
            waiting: Vec::new(),
        }
    }

    /// Milliseconds until the next run.
    fn pause(ended: &[(bool, u64)]) -> u128 {
        let plan = decide_dag(&continuous(ended), NOW);
        assert!(plan.create.is_empty() && plan.check_at == plan.next_tick, "{plan:?}");
        plan.next_tick.map_or(0, |tick| tick.since(NOW).as_millis())
    }

    #[test]
    fn runs_of_a_continuous_dag_start_a_second_apart() {
        assert_eq!(pause(&[(false, 0)]), 1_000);
        assert_eq!(pause(&[(false, 300)]), 700);
        assert_eq!(pause(&[(false, 60_000)]), 0);
    }

    #[test]
    fn each_failure_in_a_row_doubles_the_pause() {
        let failed = |count: usize| vec![(true, 60_000); count];
        let pauses: Vec<u128> = (1..=10).map(|count| pause(&failed(count)) / 1_000).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        let recovered = [&[(false, 60_000)], failed(5).as_slice()].concat();
        assert_eq!(pause(&recovered), 0);
    }

    #[test]
    fn when_the_pause_is_over_it_starts() {
        let snapshot = DagSnapshot { next_tick: Some(NOW), ..continuous(&[(true, 10)]) };
        assert_eq!(decide_dag(&snapshot, NOW).create.len(), 1);
    }
}
