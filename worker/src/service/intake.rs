//! Taking hints and claiming what they point at.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_model::{ClaimId, Epoch, TaskInstanceKey};
use flow_queue::{Delivery, Reader};
use flow_store::{ClaimRequest, StoreError, WorkOrder};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::attempt;

/// How long to wait for a hint at a time.
const HINT_WAIT: Duration = Duration::from_secs(1);
/// An idle worker looks into the store at least this often.
const FLOOR_INTERVAL: Duration = Duration::from_secs(5);
/// The same while the queue is away.
const FLOOR_INTERVAL_WITHOUT_QUEUE: Duration = Duration::from_millis(500);
/// Hints that another worker took and did not deal with for so long are taken over.
const RECLAIM_IDLE: Duration = Duration::from_secs(10);
/// Pause after a claim that failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// Takes work until `shutdown`.
pub(super) async fn run(shared: &Arc<Shared>, shutdown: &CancellationToken) {
    let consumer = format!("{}-{:x}", shared.options.slot, shared.options.incarnation.0);
    let mut intake = Intake {
        shared: Arc::clone(shared),
        reader: shared.queue.reader(&shared.options.queues, &consumer),
        next_floor: Instant::now(),
        next_reclaim: Instant::now() + RECLAIM_IDLE,
        queue_is_away: false,
    };
    while !shutdown.is_cancelled() {
        let slot = tokio::select! {
            slot = Arc::clone(&shared.slots).acquire_owned() => slot,
            () = shutdown.cancelled() => return,
        };
        let Ok(slot) = slot else { return };
        // Not cut short by a shutdown: a claim whose answer nobody waits for would be held by nobody who knows of it.
        if let Err(error) = intake.round(slot, shutdown).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not claim; trying again");
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
    }
}

struct Intake {
    shared: Arc<Shared>,
    reader: Reader,
    next_floor: Instant,
    next_reclaim: Instant,
    queue_is_away: bool,
}

impl Intake {
    /// One look for work, with at least one free slot in hand.
    async fn round(
        &mut self,
        first_slot: OwnedSemaphorePermit,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        let free = 1 + self.shared.slots.available_permits();
        if Instant::now() >= self.next_floor {
            let found = self.shared.store.queued_hints(&self.shared.options.queues, free).await?;
            // A full answer means that there may be more, hints or no hints.
            self.schedule_floor(found.len() >= free);
            if !found.is_empty() {
                return self.claim(first_slot, found, shutdown).await;
            }
        }
        let deliveries = tokio::select! {
            deliveries = self.take(free) => deliveries,
            () = shutdown.cancelled() => return Ok(()),
        };
        if deliveries.is_empty() {
            return Ok(());
        }
        let hints = deliveries.iter().map(|delivery| (delivery.hint.task_instance, delivery.hint.epoch)).collect();
        let claimed = self.claim(first_slot, hints, shutdown).await;
        // Whatever came of it: what is still queued is found again by the floor or the auditor.
        if let Err(error) = self.reader.done(&deliveries).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "could not acknowledge hints");
        }
        claimed
    }

    fn schedule_floor(&mut self, at_once: bool) {
        let interval = if self.queue_is_away { FLOOR_INTERVAL_WITHOUT_QUEUE } else { FLOOR_INTERVAL };
        self.next_floor = Instant::now() + if at_once { Duration::ZERO } else { interval };
    }

    async fn take(&mut self, max: usize) -> Vec<Delivery> {
        if Instant::now() >= self.next_reclaim {
            self.next_reclaim = Instant::now() + RECLAIM_IDLE;
            if let Ok(abandoned) = self.reader.reclaim(RECLAIM_IDLE, max).await
                && !abandoned.is_empty()
            {
                return abandoned;
            }
        }
        match self.reader.take(max, HINT_WAIT).await {
            Ok(deliveries) => {
                if self.queue_is_away {
                    tracing::info!("the queue is back");
                    self.queue_is_away = false;
                }
                deliveries
            }
            Err(error) => {
                if !self.queue_is_away {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the queue is away; looking into the store instead"
                    );
                    self.queue_is_away = true;
                    self.schedule_floor(true);
                }
                tokio::time::sleep(FLOOR_INTERVAL_WITHOUT_QUEUE).await;
                Vec::new()
            }
        }
    }

    /// Claims and starts.
    async fn claim(
        &self,
        first_slot: OwnedSemaphorePermit,
        hints: Vec<(TaskInstanceKey, Epoch)>,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let requests: Vec<ClaimRequest> = hints
            .into_iter()
            .map(|(task_instance, epoch)| ClaimRequest { task_instance, epoch, claim: ClaimId(rand::random()) })
            .collect();
        let asked_for = || requests.iter().map(|request| request.claim);
        shared.roster.take_in_hand(asked_for());
        flow_model::crash_point!("worker.before_claim");
        let orders = match self.granted(&requests, shutdown).await {
            Ok(orders) => orders,
            Err(error) => {
                // Should they have been granted all the same, the next heartbeat gives them back.
                shared.roster.let_go(asked_for());
                return Err(error);
            }
        };
        flow_model::crash_point!("worker.after_claim");
        let granted: HashSet<ClaimId> = orders.iter().map(|order| order.claim).collect();
        shared.roster.let_go(asked_for().filter(|claim| !granted.contains(claim)));
        metrics::counter!("flow_worker_claims_total").increment(orders.len() as u64);
        let mut first_slot = Some(first_slot);
        for order in orders {
            let slot = match first_slot.take() {
                Some(slot) => slot,
                // More orders than slots cannot be: as many hints were taken as there were free slots.
                None => match Arc::clone(&shared.slots).acquire_owned().await {
                    Ok(slot) => slot,
                    Err(_) => return Ok(()),
                },
            };
            let Some((log, stop)) = shared.roster.add(&order) else { continue };
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                let claim = order.claim;
                let calls_back = order.task().callbacks.mask() != 0;
                let outcome = attempt::run(&shared.workshop, order, log, stop).await;
                shared.roster.remove(claim);
                if calls_back {
                    shared.callbacks.expect();
                }
                match outcome {
                    Some(outcome) => shared.reporter.report(outcome),
                    None => shared.roster.let_go([claim]),
                }
                drop(slot);
            });
        }
        Ok(())
    }

    /// Asks for claims until there is an answer. When the database fails, nobody knows whether they were granted; the
    /// same ids asked for again tell. To forget them would leave task instances running for ever that nobody runs.
    async fn granted(
        &self,
        requests: &[ClaimRequest],
        shutdown: &CancellationToken,
    ) -> Result<Vec<WorkOrder>, StoreError> {
        let shared = &self.shared;
        loop {
            match shared.store.claim(shared.store.now(), shared.process_id(), requests).await {
                Err(error) if error.is_transient() && !shutdown.is_cancelled() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not claim; asking again");
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}
