//! Checks the whole history against the protocol's invariants: `flowctl audit verify`.

mod page;

use std::collections::HashMap;
use std::time::Duration;

use flow_model::audit::{
    DagLimits, Occupancy, OutboxFacts, ProcessFacts, ScheduledRun, Schedules, Violation, check_outbox,
};
use flow_model::dag::DEFAULT_POOL;
use flow_model::{DagVersionKey, Epoch, ProcessId, TaskInstanceKey, Timestamp};
use futures_util::TryStreamExt;

use crate::connect::Store;
use crate::error::{Abort, Result};
use crate::query::statement;
use crate::rows::{run_state, task_state};
use crate::transaction::{Transaction, steps};

use page::RunRow;

/// Runs held in memory at once.
const PAGE_RUNS: i64 = 20;

/// Violations reported at most; what goes beyond is one broken thing repeated.
const VIOLATIONS_MAX: usize = 1_000;

/// How long a hint may wait in the outbox.
const OUTBOX_PATIENCE: Duration = Duration::from_secs(10);

/// What an audit has looked at, and what it found.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct AuditReport {
    /// Runs looked at.
    pub runs: u64,
    /// Task instances looked at.
    pub task_instances: u64,
    /// Events looked at.
    pub events: u64,
    /// What cannot have happened; the first thousand.
    pub violations: Vec<Violation>,
}

#[derive(sqlx::FromRow)]
struct OccupancyRow {
    dag_id: String,
    pool: String,
    pool_slots: i64,
    from_state: Option<String>,
    to_state: String,
}

#[derive(sqlx::FromRow)]
struct RunMoveRow {
    dag_id: String,
    from_state: Option<String>,
    to_state: String,
}

#[derive(sqlx::FromRow)]
struct TickRow {
    run_id: String,
    version_id: i64,
    run_after: i64,
    logical_date: i64,
}

#[derive(sqlx::FromRow)]
struct OutboxRow {
    task_instance_id: i64,
    epoch: i64,
    current_epoch: Option<i64>,
    created_at: i64,
}

impl Store {
    /// Checks everything that rows can tell of the invariants of `docs/protocol.md`, in one snapshot of the database and
    /// a few runs at a time. With `since`, only runs that have moved since then, or are not over, and no limits (I12),
    /// which only the whole history can tell.
    ///
    /// # Errors
    /// The database failed, or holds what this binary cannot read.
    pub async fn audit(&self, since: Option<Timestamp>, now: Timestamp) -> Result<AuditReport> {
        let since_micros = since.map_or(i64::MIN, Timestamp::as_micros);
        self.snapshot("audit the history", |tx| {
            steps(async move {
                let mut report = AuditReport::default();
                self.audit_runs(tx, since_micros, &mut report).await?;
                report.violations.extend(repeated_claims(tx, since_micros).await?);
                report.violations.extend(triggers_of_the_dead(tx).await?);
                report.violations.extend(broken_callbacks(tx).await?);
                report.violations.extend(shared_starts(tx).await?);
                report.violations.extend(self.audit_schedules(tx, since_micros).await?);
                if since.is_none() {
                    report.violations.extend(audit_limits(tx).await?);
                }
                report.violations.extend(audit_outbox(tx, now).await?);
                report.violations.truncate(VIOLATIONS_MAX);
                Ok(report)
            })
        })
        .await
    }

    /// Everything that one run alone can tell.
    async fn audit_runs(&self, tx: &mut Transaction, since: i64, report: &mut AuditReport) -> Result<(), Abort> {
        let processes: HashMap<ProcessId, ProcessFacts> = tx
            .query("select id, slot, state from process")
            .all::<(i64, String, String)>()
            .await?
            .into_iter()
            .map(|(id, slot, state)| (ProcessId(id), ProcessFacts { slot, is_dead: state == "dead" }))
            .collect();
        let mut last = 0;
        loop {
            let rows: Vec<RunRow> = tx
                .query(
                    "select id, run_id, run_type, state, event_no, version_id from dag_run
                     where id > $1 and (changed_at >= $2 or state in ('queued', 'running'))
                     order by id limit $3",
                )
                .bind(last)
                .bind(since)
                .bind(PAGE_RUNS)
                .all()
                .await?;
            let Some(end) = rows.last() else { return Ok(()) };
            last = end.id;
            self.read_page(tx, rows).await?.check(&processes, report);
        }
    }

    /// I9: scheduled runs come in the order of their ticks, each once.
    async fn audit_schedules(&self, tx: &mut Transaction, since: i64) -> Result<Vec<Violation>, Abort> {
        let mut schedules = Schedules::default();
        let mut ticks = tx
            .query(
                "select run_id, version_id, run_after, logical_date from dag_run
                 where run_type = 'scheduled' and logical_date is not null and created_at >= $1
                 order by dag_id, run_after, id",
            )
            .bind(since)
            .stream::<TickRow>();
        while let Some(row) = ticks.try_next().await? {
            schedules.run(ScheduledRun {
                graph: self.dag_graph(DagVersionKey(row.version_id)).await?,
                run_id: row.run_id,
                tick: Timestamp::from_micros(row.run_after),
                logical_date: Timestamp::from_micros(row.logical_date),
            });
        }
        Ok(schedules.finish())
    }
}

/// I4 over all runs.
async fn repeated_claims(tx: &mut Transaction, since: i64) -> Result<Vec<Violation>, Abort> {
    let repeated: Vec<(i64, i64)> = tx
        .query(
            "select claim_id, count(*) from task_instance_event where to_state = 'running' and at >= $1
             group by claim_id having count(*) > 1 order by claim_id limit 100",
        )
        .bind(since)
        .all()
        .await?;
    let violation = |(claim, times)| Violation {
        invariant: "I4",
        subject: format!("claim {claim}"),
        detail: format!("the claim id was used {times} times"),
    };
    Ok(repeated.into_iter().map(violation).collect())
}

/// I14: nothing is carried by the dead.
async fn triggers_of_the_dead(tx: &mut Transaction) -> Result<Vec<Violation>, Abort> {
    let forgotten: Vec<(i64, i64)> = tx
        .query(
            "select g.task_instance_id, g.owner from trigger g join process p on p.id = g.owner
             where p.state = 'dead' order by g.task_instance_id limit 100",
        )
        .all()
        .await?;
    let violation = |(task_instance, owner)| Violation {
        invariant: "I14",
        subject: format!("trigger of task instance {task_instance}"),
        detail: format!("process {owner} carries it, and is dead"),
    };
    Ok(forgotten.into_iter().map(violation).collect())
}

/// I25: a delivery is tried so often, and has an owner exactly while it is tried, who is not dead.
async fn broken_callbacks(tx: &mut Transaction) -> Result<Vec<Violation>, Abort> {
    let broken: Vec<(i64, String, i64)> = tx
        .query(
            "select id, state, tries from callback
             where tries > $1 or (state = 'running') <> (owner is not null)
                or (state = 'running' and owner in (select p.id from process p where p.state = 'dead'))
             order by id limit 100",
        )
        .bind(i64::from(flow_model::limits::CALLBACK_TRIES_MAX))
        .all()
        .await?;
    let violation = |(id, state, tries)| Violation {
        invariant: "I25",
        subject: format!("callback {id}"),
        detail: format!("it is {state} after {tries} tries"),
    };
    Ok(broken.into_iter().map(violation).collect())
}

/// I27: an event starts one run of its own DAG.
async fn shared_starts(tx: &mut Transaction) -> Result<Vec<Violation>, Abort> {
    let shared: Vec<(i64, i64)> = tx
        .query(
            "select e.dag_run_id, count(*) from start_event e
             left join dag_run r on r.id = e.dag_run_id and r.dag_id = e.dag_id and r.run_type = 'asset_triggered'
             where e.dag_run_id is not null group by e.dag_run_id having count(*) <> 1 or count(r.id) <> 1
             order by e.dag_run_id limit 100",
        )
        .all()
        .await?;
    let violation = |(run, events)| Violation {
        invariant: "I27",
        subject: format!("dag run {run}"),
        detail: format!("{events} events are said to have started it, which has to be one of its DAG's"),
    };
    Ok(shared.into_iter().map(violation).collect())
}

/// I12: the limits of pools and DAGs held at every moment.
async fn audit_limits(tx: &mut Transaction) -> Result<Vec<Violation>, Abort> {
    let pools: Vec<(String, i64)> = tx.query("select name, slots from pool").all().await?;
    let changes: Vec<(String, Option<String>)> =
        tx.query("select object, detail from audit_log where action = 'set_pool'").all().await?;
    let dags: Vec<(String, i64, i64)> = tx.query(statement!("audit_dag_limits")).all().await?;
    let mut occupancy = Occupancy::new(largest_pools(pools, changes), dag_limits(dags));
    let mut moves = tx
        .query(
            "select t.dag_id, t.pool, t.pool_slots, e.from_state, e.to_state
             from task_instance_event e join task_instance t on t.id = e.task_instance_id
             where e.from_state in ('queued', 'running') or e.to_state in ('queued', 'running')
             order by e.id",
        )
        .stream::<OccupancyRow>();
    while let Some(row) = moves.try_next().await? {
        let from = row.from_state.as_deref().map(task_state).transpose()?;
        occupancy.task_moved(&row.dag_id, &row.pool, row.pool_slots, from, task_state(&row.to_state)?);
    }
    drop(moves);
    let mut moves = tx
        .query(
            "select r.dag_id, e.from_state, e.to_state
             from dag_run_event e join dag_run r on r.id = e.dag_run_id order by e.id",
        )
        .stream::<RunMoveRow>();
    while let Some(row) = moves.try_next().await? {
        let from = row.from_state.as_deref().map(run_state).transpose()?;
        occupancy.run_moved(&row.dag_id, from, run_state(&row.to_state)?);
    }
    Ok(occupancy.finish())
}

/// I20: what is queued is told to the queue before long.
async fn audit_outbox(tx: &mut Transaction, now: Timestamp) -> Result<Vec<Violation>, Abort> {
    let mut violations = Vec::new();
    let mut entries = tx
        .query(
            "select o.task_instance_id, o.epoch, t.epoch as current_epoch, o.created_at
             from dispatch_outbox o left join task_instance t on t.id = o.task_instance_id order by o.id",
        )
        .stream::<OutboxRow>();
    while let Some(row) = entries.try_next().await? {
        let entry = OutboxFacts {
            task_instance: TaskInstanceKey(row.task_instance_id),
            epoch: Epoch(row.epoch),
            current_epoch: row.current_epoch.map(Epoch),
            created_at: Timestamp::from_micros(row.created_at),
        };
        violations.extend(check_outbox(&entry, now, OUTBOX_PATIENCE));
    }
    Ok(violations)
}

/// The most slots that each pool has ever had, by the log of what people did; -1, which is unlimited, is the most.
fn largest_pools(now: Vec<(String, i64)>, changes: Vec<(String, Option<String>)>) -> HashMap<String, i64> {
    let mut largest: HashMap<String, i64> = HashMap::new();
    let logged =
        changes.into_iter().filter_map(|(name, detail)| Some((name, detail?.strip_prefix("slots = ")?.parse().ok()?)));
    for (name, slots) in now.into_iter().chain(logged) {
        let most = largest.entry(name).or_insert(slots);
        *most = if *most < 0 || slots < 0 { -1 } else { slots.max(*most) };
    }
    // The pool that every installation begins with.
    if let Some(slots) = largest.get_mut(DEFAULT_POOL).filter(|slots| **slots >= 0) {
        *slots = (*slots).max(128);
    }
    largest
}

fn dag_limits(rows: Vec<(String, i64, i64)>) -> HashMap<String, DagLimits> {
    rows.into_iter()
        .map(|(dag_id, max_active_tasks, max_active_runs)| (dag_id, DagLimits { max_active_tasks, max_active_runs }))
        .collect()
}
