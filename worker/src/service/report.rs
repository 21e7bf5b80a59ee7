//! Reporting: outcomes in batches, and logs while attempts run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow_queue::Bell;
use flow_store::{Outcome, OutcomeKind, Recorded};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Shared;

/// Outcomes recorded in one transaction.
const BATCH_MAX: usize = 256;
/// Pause after a failed report.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// How often logs are shipped.
const SHIP_INTERVAL: Duration = Duration::from_millis(250);

/// Takes outcomes in.
pub(super) struct Reporter {
    outcomes: Mutex<Option<mpsc::UnboundedSender<Outcome>>>,
}

impl Reporter {
    /// A reporter and the end that [`run`] works on. Unbounded, because every outcome stands for an attempt that held a
    /// slot; while the store is away, claims stop, and with them outcomes.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Outcome>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Reporter { outcomes: Mutex::new(Some(sender)) }, receiver)
    }

    pub fn report(&self, outcome: Outcome) {
        if let Some(sender) = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = sender.send(outcome);
        }
    }

    /// No more outcomes will come; what is there is still recorded.
    pub fn close(&self) {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Records outcomes as they come: one at a time when idle, many at once under load.
pub(super) async fn run(shared: Arc<Shared>, mut outcomes: mpsc::UnboundedReceiver<Outcome>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while outcomes.recv_many(&mut batch, BATCH_MAX).await > 0 {
        record(&shared, &batch).await;
        shared.roster.let_go(batch.iter().map(|outcome| outcome.claim));
        batch.clear();
    }
}

async fn record(shared: &Shared, batch: &[Outcome]) {
    flow_model::crash_point!("worker.before_report");
    loop {
        match shared.store.record_outcomes(shared.store.now(), shared.process_id(), batch).await {
            Ok(recorded) => {
                flow_model::crash_point!("worker.after_report");
                let _ = shared.queue.ring(Bell::Scheduler).await;
                if batch.iter().any(|outcome| matches!(outcome.kind, OutcomeKind::Deferred(_))) {
                    let _ = shared.queue.ring(Bell::Triggerers).await;
                }
                shared.callbacks.recorded();
                account(batch, &recorded);
                return;
            }
            Err(error) if error.is_transient() => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    count = batch.len(),
                    "could not record outcomes; trying again"
                );
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            Err(error) if batch.len() > 1 => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "could not record outcomes together; trying one by one"
                );
                for one in batch {
                    Box::pin(record(shared, std::slice::from_ref(one))).await;
                }
                return;
            }
            Err(error) => {
                // Its lease will run out, and the task instance be rescued: nothing is lost but this attempt.
                tracing::error!(error = &error as &dyn std::error::Error, "could not record an outcome");
                return;
            }
        }
    }
}

fn account(batch: &[Outcome], recorded: &[Recorded]) {
    for (outcome, recorded) in batch.iter().zip(recorded) {
        let result = match (recorded, &outcome.kind) {
            (Recorded::Fenced, _) => "fenced",
            (_, OutcomeKind::Success) => "success",
            (_, OutcomeKind::Skipped) => "skipped",
            (_, OutcomeKind::Failed { .. } | OutcomeKind::FailedForGood) => "failed",
            (_, OutcomeKind::Released) => "released",
            (_, OutcomeKind::Lost) => "lost",
            (_, OutcomeKind::Deferred(_)) => "deferred",
            (_, OutcomeKind::Rescheduled { .. }) => "rescheduled",
            (_, OutcomeKind::AwaitingInput(_)) => "awaiting_input",
        };
        metrics::counter!("flow_worker_attempts_total", "result" => result).increment(1);
        if result == "fenced" {
            tracing::info!(
                task_instance.id = outcome.task_instance.0,
                "the result of an attempt was refused: it had lost the right to act"
            );
        }
    }
}

/// Ships the logs of running attempts, so that they can be followed from anywhere.
pub(super) async fn ship_logs(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SHIP_INTERVAL) => {}
            () = stop.cancelled() => return,
        }
        let mut pieces = Vec::new();
        for log in shared.roster.logs() {
            while let Some(piece) = log.take_piece() {
                pieces.push(piece);
            }
        }
        while !pieces.is_empty() {
            match shared.store.append_logs(&pieces).await {
                Ok(()) => {
                    pieces.clear();
                    let _ = shared.queue.ring(Bell::Runs).await;
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not ship logs; trying again");
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }
}
