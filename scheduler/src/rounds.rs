//! One round of a scheduler's work, with the clock passed in: what the service repeats, and what simulations drive.

use std::time::Duration;

use flow_model::Timestamp;
use flow_queue::{Bell, Hint, Queue};
use flow_store::{AdvanceLimits, OutboxEntry, Store, StoreError};

use flow_model::decide::{decide_dag, decide_tick};

/// DAGs looked at, and runs taken in, in one transaction.
const BATCH_MAX: i64 = 200;

/// Outbox entries, or hints published again, in one go.
const REPUBLISH_MAX: i64 = 500;

/// A scheduler's operations. Every one is safe to run at any time, by any number of schedulers.
#[derive(Clone)]
pub struct Rounds {
    store: Store,
    queue: Queue,
    /// Its name in the history.
    actor_id: String,
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundReport {
    /// Runs created or started, changes taken in, tasks decided, queued or retried.
    pub moves: usize,
    /// There is more to do at once.
    pub is_unfinished: bool,
}

impl Rounds {
    /// Operations of the scheduler called `actor_id`.
    pub fn new(store: Store, queue: Queue, actor_id: impl Into<String>) -> Self {
        Rounds { store, queue, actor_id: actor_id.into() }
    }

    /// Creates due runs, starts queued ones, takes in what has changed, queues what may run, and publishes it.
    ///
    /// # Errors
    /// The store failed; what had been committed stays, the rest is done in the next round.
    pub async fn tick(&self, now: Timestamp, look_at_past: bool) -> Result<RoundReport, StoreError> {
        let mut report = RoundReport::default();
        let due = self.store.check_due_dags(now, BATCH_MAX, &self.actor_id, decide_dag).await?;
        report.moves += due.runs_created + due.runs_started;
        report.is_unfinished |= due.dags as i64 >= BATCH_MAX;
        if due.ticks_skipped > 0 {
            tracing::info!(dags = due.ticks_skipped, "dropped missed ticks, as `catchup` says");
        }
        let limits = AdvanceLimits {
            runs_max: BATCH_MAX,
            look_at_past,
            use_outbox: self.queue.is_external(),
            actor_id: self.actor_id.clone(),
        };
        let advanced = self.store.advance(now, &limits, decide_tick).await?;
        self.publish(&advanced.queued).await;
        if advanced.restarted > 0 {
            // Attempts of them have lost the right to act: their workers kill them.
            self.ring(Bell::Workers).await;
        }
        let retries = usize::try_from(advanced.retries_due).unwrap_or(usize::MAX);
        report.moves += advanced.changes + advanced.decided + advanced.queued.len() + retries;
        // A finished run may let the next one start, and a skipped task moves the tasks after it.
        report.is_unfinished |= advanced.is_unfinished || !advanced.finished.is_empty() || advanced.ended_undecided > 0;
        metrics::counter!("flow_scheduler_tasks_queued_total").increment(advanced.queued.len() as u64);
        metrics::counter!("flow_scheduler_runs_finished_total").increment(advanced.finished.len() as u64);
        if report.moves > 0 {
            self.ring(Bell::Runs).await;
        }
        Ok(report)
    }

    /// Reruns what dead processes held. `lease_grace` is added to their leases.
    ///
    /// # Errors
    /// The store failed.
    pub async fn rescue(&self, now: Timestamp, lease_grace: Duration) -> Result<usize, StoreError> {
        let rescued = self.store.rescue_lost(now, now - lease_grace, &self.actor_id).await?;
        for lost in &rescued {
            tracing::warn!(task_instance.id = lost.task_instance.0, state = %lost.state, "rescued a lost task instance");
        }
        metrics::counter!("flow_scheduler_tasks_rescued_total").increment(rescued.len() as u64);
        Ok(rescued.len())
    }

    /// Ends the runs whose time is over.
    ///
    /// # Errors
    /// The store failed.
    pub async fn time_out_runs(&self, now: Timestamp) -> Result<usize, StoreError> {
        let runs = self.store.time_out_runs(now, &self.actor_id).await?;
        if !runs.is_empty() {
            self.ring(Bell::Workers).await;
        }
        Ok(runs.len())
    }

    /// Ends the waiting for people who did not answer in time.
    ///
    /// # Errors
    /// The store failed.
    pub async fn expire_questions(&self, now: Timestamp) -> Result<usize, StoreError> {
        let expired = self.store.expire_questions(now, &self.actor_id).await?;
        if expired > 0 {
            self.ring(Bell::Scheduler).await;
            self.ring(Bell::Runs).await;
        }
        Ok(expired)
    }

    /// T9: ends the waiting of deferred tasks whose time has run out.
    ///
    /// # Errors
    /// The store failed; what had been committed stays.
    pub async fn expire_triggers(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut expired = 0;
        loop {
            match self.store.expire_triggers(now, &self.actor_id).await? {
                0 => break,
                count => expired += count,
            }
        }
        metrics::counter!("flow_scheduler_triggers_expired_total").increment(expired as u64);
        Ok(expired)
    }

    /// Publishes what a scheduler that died, or a queue that was away, has left in the outbox.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sweep_outbox(&self, now: Timestamp, older_than: Duration) -> Result<usize, StoreError> {
        let stale = self.store.stale_outbox(now - older_than, REPUBLISH_MAX).await?;
        if !stale.is_empty() {
            self.publish(&stale).await;
        }
        Ok(stale.len())
    }

    /// Compares the queue with the store, and publishes what waits again if the queue has forgotten it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audit_queue(&self, now: Timestamp, older_than: Duration) -> Result<usize, StoreError> {
        let waiting = self.store.long_queued(now - older_than, REPUBLISH_MAX).await?;
        let mut republished = 0;
        for queue_name in waiting.iter().map(|entry| &entry.queue).collect::<std::collections::BTreeSet<_>>() {
            let entries: Vec<OutboxEntry> =
                waiting.iter().filter(|entry| entry.queue == *queue_name).cloned().collect();
            let Ok(standing) = self.queue.standing(queue_name).await else { continue };
            if standing.high_water_mark.is_none() || standing.outstanding < entries.len() as u64 {
                self.publish(&entries).await;
                republished += entries.len();
            }
        }
        if republished > 0 {
            tracing::info!(count = republished, "published hints again: the queue had fewer than the store");
        }
        Ok(republished)
    }

    /// Publishes hints, and forgets their outbox entries once the queue has them. A queue that is away is no error: the
    /// entries stay, and workers look into the store by themselves.
    async fn publish(&self, entries: &[OutboxEntry]) {
        if entries.is_empty() {
            return;
        }
        let hints: Vec<(String, Hint)> = entries
            .iter()
            .map(|entry| (entry.queue.clone(), Hint { task_instance: entry.task_instance, epoch: entry.epoch }))
            .collect();
        let ids: Vec<i64> = entries.iter().filter_map(|entry| entry.id).collect();
        flow_model::crash_point!("scheduler.before_publish");
        let mark = ids.iter().max().copied().unwrap_or(0);
        if let Err(error) = self.queue.publish(&hints, mark).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not publish hints; workers will look by themselves"
            );
            return;
        }
        flow_model::crash_point!("scheduler.after_publish");
        if let Err(error) = self.store.forget_outbox(&ids).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "published hints will be published again");
        }
    }

    async fn ring(&self, bell: Bell) {
        if let Err(error) = self.queue.ring(bell).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not ring a bell");
        }
    }
}
