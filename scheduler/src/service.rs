//! The scheduler as a process: rounds when a bell rings or time has come, upkeep on timers.

use std::time::Duration;

use flow_model::{Incarnation, ProcessId, Timestamp};
use flow_queue::{Bell, Queue};
use flow_store::{Heartbeat, NewProcess, ProcessKind, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::rounds::Rounds;

/// How a scheduler works.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// It looks at least this often, bell or no bell.
    pub poll_interval: Duration,
    /// How long a process counts as alive without a heartbeat.
    pub lease: Duration,
    /// What is added to a lease before its holder is declared dead.
    pub lease_grace: Duration,
    /// How often it says that it is alive.
    pub heartbeat: Duration,
    /// A name that it keeps over restarts.
    pub slot: String,
    /// The machine it runs on.
    pub host: String,
    /// Minted at this start.
    pub incarnation: Incarnation,
}

/// A scheduler.
pub struct Scheduler {
    store: Store,
    queue: Queue,
    options: SchedulerOptions,
}

const QUESTIONS_INTERVAL: Duration = Duration::from_secs(1);
const RESCUE_INTERVAL: Duration = Duration::from_secs(2);
const OUTBOX_INTERVAL: Duration = Duration::from_millis(500);
const AUDIT_INTERVAL: Duration = Duration::from_secs(5);
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after a failed round.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

impl Scheduler {
    /// A scheduler on a store and a queue.
    pub fn new(store: Store, queue: Queue, options: SchedulerOptions) -> Self {
        Scheduler { store, queue, options }
    }

    /// Works until `shutdown`. Database outages are waited out.
    ///
    /// # Errors
    /// It cannot register at start, and waiting would not mend it.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let process = tokio::select! {
            process = self.register() => process?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let rounds = Rounds::new(self.store.clone(), self.queue.clone(), process.to_string());
        tracing::info!(process.id = process.0, "scheduler is up");
        tokio::select! {
            () = self.scheduling(&rounds) => {}
            () = self.upkeep(&rounds, process) => {}
            () = shutdown.cancelled() => {}
        }
        if let Err(error) = self.store.retire_process(self.store.now(), process).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not sign off");
        }
        tracing::info!("scheduler stopped");
        Ok(())
    }

    async fn register(&self) -> Result<ProcessId, StoreError> {
        let SchedulerOptions { slot, host, incarnation, lease, .. } = &self.options;
        let new = NewProcess::this(ProcessKind::Scheduler, slot, host, *incarnation, *lease);
        let on_failure = |error: &StoreError| report_failure("registering", error);
        Ok(self.store.register_process_patiently(&new, on_failure).await?.0)
    }

    /// Rounds, one after the other; after each the next bell or the next due instant is awaited.
    async fn scheduling(&self, rounds: &Rounds) {
        let mut bell = self.queue.listen(Bell::Scheduler);
        let mut last_full_look = Timestamp::UNIX_EPOCH;
        loop {
            let now = self.store.now();
            let is_full_look = now.since(last_full_look) >= self.options.poll_interval;
            if is_full_look {
                last_full_look = now;
            }
            if let Err(error) = rounds.expire_triggers(now).await {
                report_failure("ending overdue deferrals", &error);
            }
            let pause = match rounds.tick(now, is_full_look).await {
                Ok(report) if report.is_unfinished => Duration::ZERO,
                Ok(_) => self.until_due(now).await,
                Err(error) => {
                    report_failure("scheduling", &error);
                    FAILURE_PAUSE
                }
            };
            if pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                let _ = tokio::time::timeout(pause, bell.rang()).await;
            }
        }
    }

    async fn until_due(&self, now: Timestamp) -> Duration {
        match self.store.next_check().await {
            Ok(Some(due)) => due.since(now).clamp(Duration::from_millis(1), self.options.poll_interval),
            Ok(None) => self.options.poll_interval,
            Err(_) => FAILURE_PAUSE,
        }
    }

    /// What happens on timers.
    async fn upkeep(&self, rounds: &Rounds, process: ProcessId) {
        let mut timers = Timers::default();
        // The observer rule: nobody is declared dead by somebody who has not seen the database for a lease himself.
        let mut in_touch_since = self.store.now();
        loop {
            tokio::time::sleep(OUTBOX_INTERVAL).await;
            let now = self.store.now();
            match self.upkeep_once(rounds, process, now, in_touch_since, &mut timers).await {
                Ok(()) => {}
                Err(error) => {
                    report_failure("upkeep", &error);
                    in_touch_since = self.store.now();
                }
            }
        }
    }

    async fn upkeep_once(
        &self,
        rounds: &Rounds,
        process: ProcessId,
        now: Timestamp,
        in_touch_since: Timestamp,
        timers: &mut Timers,
    ) -> Result<(), StoreError> {
        self.store.sync_clock().await?;
        if timers.heartbeat.is_due(now, self.options.heartbeat)
            && self.store.heartbeat(now, process, self.options.lease).await? == Heartbeat::Dead
        {
            tracing::warn!("this scheduler was declared dead; it goes on, since nothing depends on it being known");
        }
        if self.queue.is_external() {
            rounds.sweep_outbox(now, OUTBOX_INTERVAL).await?;
        }
        if timers.questions.is_due(now, QUESTIONS_INTERVAL) {
            rounds.expire_questions(now).await?;
        }
        if timers.rescue.is_due(now, RESCUE_INTERVAL) {
            rounds.time_out_runs(now).await?;
            if now.since(in_touch_since) >= self.options.lease
                && rounds.rescue(now, self.options.lease_grace).await? > 0
            {
                let _ = self.queue.ring(Bell::Scheduler).await;
            }
        }
        if timers.audit.is_due(now, AUDIT_INTERVAL) {
            rounds.audit_queue(now, AUDIT_INTERVAL).await?;
        }
        if timers.repair.is_due(now, REPAIR_INTERVAL) {
            let repaired = self.store.repair_counts(now).await?;
            let repaired = repaired + self.store.repair_deferrals(now, &process.to_string()).await?;
            metrics::counter!("flow_scheduler_repairs_total").increment(repaired);
            if repaired > 0 {
                tracing::error!(count = repaired, "repaired counts of runs, or deferrals: please report this as a bug");
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Timers {
    heartbeat: Timer,
    questions: Timer,
    rescue: Timer,
    audit: Timer,
    repair: Timer,
}

/// When something was last done.
struct Timer(Timestamp);

impl Default for Timer {
    fn default() -> Self {
        Timer(Timestamp::UNIX_EPOCH)
    }
}

impl Timer {
    fn is_due(&mut self, now: Timestamp, every: Duration) -> bool {
        let is_due = now.since(self.0) >= every;
        if is_due {
            self.0 = now;
        }
        is_due
    }
}

fn report_failure(doing: &str, error: &StoreError) {
    if error.is_transient() {
        tracing::warn!(error = error as &dyn std::error::Error, "{doing} failed; trying again");
    } else {
        tracing::error!(error = error as &dyn std::error::Error, "{doing} failed; trying again");
    }
}
