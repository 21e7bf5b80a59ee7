//! Which runs a DAG's schedule wants, which queued ones start, and when to look again.

use std::time::Duration;

use flow_model::plan::{DagPlan, DagSnapshot, PlannedRun};
use flow_model::schedule::{Bounds, Due, DueQuery, Schedule};
use flow_model::{Dag, Timestamp};

/// Runs that a catching-up DAG may have waiting at once; more are created as these end.
const CREATE_MAX: u32 = 20;

/// A pause before a `@continuous` DAG starts again, so that one that fails at once does not spin.
const CONTINUOUS_PAUSE: Duration = Duration::from_millis(100);

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
        bounds: bounds(dag),
        catchup: dag.catchup,
        limit: limit as usize,
    });
    if dag.schedule == Schedule::Continuous && snapshot.has_scheduled_run && snapshot.next_tick.is_none() {
        // The run before has just ended.
        if let Some(tick) = due.ticks.pop() {
            due.next_tick = Some(tick + CONTINUOUS_PAUSE);
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

/// How many scheduled runs may be created now. As in Airflow, a DAG at `max_active_runs` gets no new ones.
fn create_room(snapshot: &DagSnapshot) -> u32 {
    snapshot.graph.dag.max_active_runs.saturating_sub(snapshot.running_runs + snapshot.queued_runs).min(CREATE_MAX)
}

fn planned_run(dag: &Dag, tick: Timestamp) -> PlannedRun {
    let (start, end) = dag.schedule.data_interval(tick, bounds(dag));
    PlannedRun { logical_date: start, data_interval_start: start, data_interval_end: end, run_after: tick }
}

fn bounds(dag: &Dag) -> Bounds {
    Bounds { start: dag.start_date, end: dag.end_date }
}
