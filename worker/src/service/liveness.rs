//! Heartbeats, and what follows from their answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_queue::Bell;
use flow_store::{Heartbeat, HeldTask, Outcome, OutcomeKind};
use tokio_util::sync::CancellationToken;

use super::{Shared, tell_of_takeover};
use crate::attempt::Stop;

/// After this share of a lease without an answer, attempts that must not overlap are killed.
const SELF_FENCE: (u32, u32) = (2, 3);
/// Pause after a heartbeat that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Says that the worker is alive, on a timer and when somebody took the right to act from an attempt.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut bell = shared.queue.listen(Bell::Workers);
    let mut last_answer = Instant::now();
    loop {
        let pause = match beat(&shared).await {
            Ok(()) => {
                last_answer = Instant::now();
                shared.options.heartbeat
            }
            Err(error) => {
                let silent_for = last_answer.elapsed();
                tracing::warn!(error = &error as &dyn std::error::Error, ?silent_for, "could not renew the lease");
                FAILURE_PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = bell.rang() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn beat(shared: &Shared) -> Result<(), flow_store::StoreError> {
    shared.store.sync_clock().await?;
    let sent = Instant::now();
    let running = shared.roster.held();
    match shared.store.heartbeat(shared.store.now(), shared.process_id(), shared.options.lease).await? {
        Heartbeat::Alive { held } => {
            let fenced = shared.roster.stop_fenced(&running, &held);
            if fenced > 0 {
                tracing::info!(count = fenced, "killing attempts that have lost the right to act");
            }
            give_back_unknown(shared, &held);
            if let Some(warden) = shared.workshop.wardens.current() {
                let fence = shared.options.lease * SELF_FENCE.0 / SELF_FENCE.1;
                warden.renew(fence.saturating_sub(sent.elapsed())).await;
            }
        }
        Heartbeat::Dead => {
            tracing::warn!("this worker was declared dead: killing its attempts and registering anew");
            shared.roster.stop_all(Stop::Fenced);
            let new = shared.options.as_process();
            let (process, rescued) = shared.store.register_process(shared.store.now(), &new).await?;
            tell_of_takeover(&shared.queue, &rescued).await;
            shared.process.send_replace(process);
        }
    }
    Ok(())
}

/// Gives back what was granted to this worker without its knowledge: without this, it would run for ever on paper.
fn give_back_unknown(shared: &Shared, held: &[HeldTask]) {
    for task in shared.roster.unknown(held) {
        tracing::warn!(task_instance.id = task.task_instance.0, "giving back a claim whose answer never arrived");
        let (token, now) = ((task.task_instance, task.epoch, task.claim), shared.store.now());
        let outcome = Outcome::of(token.0, token.1, token.2, OutcomeKind::Released, now);
        shared.reporter.report(Outcome { reason: Some("claim_unanswered".to_owned()), ..outcome });
    }
}
