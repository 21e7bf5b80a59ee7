//! The scheduler's tick: takes in what has changed, applies what is decided about it, and fills the free slots.

mod apply;
mod gather;
mod mapping;
mod rows;

use flow_model::decide::counts::{UpstreamState, upstream_questions};
use flow_model::decide::plan::{RunSnapshot, TickPlan, TickSnapshot};
use flow_model::{DagRunKey, RunState, Timestamp};

use crate::connect::Store;
use crate::error::{Abort, Result};
use crate::outbox::OutboxEntry;
use crate::query::statement;
use crate::rows::json;
use crate::transaction::{Transaction, steps};

use rows::UpstreamStateRow;

/// Bounds and circumstances of one tick.
#[derive(Debug, Clone)]
pub struct AdvanceLimits {
    /// Runs taken in at most.
    pub runs_max: i64,
    /// Also look at all tasks that wait for the past (otherwise only at those of DAGs with changes).
    pub look_at_past: bool,
    /// Write what is queued into the outbox, for a queue outside this process.
    pub use_outbox: bool,
    /// Who ticks, for the history.
    pub actor_id: String,
}

/// What a tick did.
#[derive(Debug, Clone, Default)]
pub struct Advanced {
    /// Moves into or out of finished states that were taken in.
    pub changes: usize,
    /// Task instances whose retry delay was over, or that come back from a reschedule.
    pub retries_due: u64,
    /// Task instances that were scheduled, skipped or failed by their upstream.
    pub decided: usize,
    /// Those of them that were skipped or failed by their upstream: the tasks after them have to be looked at.
    pub ended_undecided: usize,
    /// Task instances that start again because their group or run has retries left. Attempts of them may be running.
    pub restarted: usize,
    /// Task instances that went to the queue, best first.
    pub queued: Vec<OutboxEntry>,
    /// Runs that ended.
    pub finished: Vec<(DagRunKey, RunState)>,
    /// There may be more to do at once: a bound was reached, or another scheduler was giving out slots.
    pub is_unfinished: bool,
}

/// One tick under way: who ticks, when, and within which bounds.
struct Tick<'a> {
    store: &'a Store,
    now: Timestamp,
    limits: &'a AdvanceLimits,
}

impl Store {
    /// One tick in one transaction: takes in the changes of runs nobody else is working on, updates the counts of the
    /// tasks after them, asks `decide`, and applies its plan. The cost follows the number of changes, not the size of
    /// the runs or of the history.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn advance(
        &self,
        now: Timestamp,
        limits: &AdvanceLimits,
        decide: impl Fn(&TickSnapshot) -> TickPlan + Sync,
    ) -> Result<Advanced> {
        let tick = &Tick { store: self, now, limits };
        let decide = &decide;
        self.transaction("advance runs", |tx| {
            steps(async move {
                let mut advanced = Advanced { retries_due: tick.end_delays(tx).await?, ..Advanced::default() };
                let mut snapshot = tick.take_in_changes(tx, &mut advanced).await?;
                tick.add_waiting_for_past(tx, &mut snapshot).await?;
                gather::add_upstream_states(tx, &mut snapshot).await?;
                gather::add_past(tx, &mut snapshot).await?;
                tick.read_room(tx, &mut snapshot, &mut advanced).await?;
                let plan = decide(&snapshot);
                // Every statement that applies it repeats its guard.
                tick.apply_decisions(tx, &plan, &mut advanced).await?;
                tick.queue_admitted(tx, &plan, &mut advanced).await?;
                tick.expand_mappings(tx, &mut snapshot.runs, &plan.expand, &mut advanced).await?;
                tick.restart_runs(tx, &snapshot.runs, &plan.retry, &mut advanced).await?;
                tick.update_runs(tx, &snapshot.runs, &plan).await?;
                advanced.finished = plan.finish;
                Ok(advanced)
            })
        })
        .await
    }

    /// What a tick would read about what the touched tasks look at. Changes nothing.
    pub(crate) async fn states_upstream(&self, runs: &[RunSnapshot]) -> Result<Vec<UpstreamState>> {
        let questions = json(&upstream_questions(runs));
        self.reading("look at what is before a task", |tx| steps(states_upstream(tx, &questions))).await
    }
}

async fn states_upstream(tx: &mut Transaction, questions: &str) -> Result<Vec<UpstreamState>, Abort> {
    let rows: Vec<UpstreamStateRow> = tx.query(statement!("states_upstream")).bind(questions).all().await?;
    Ok(rows.into_iter().map(UpstreamStateRow::state).collect::<Result<_>>()?)
}
