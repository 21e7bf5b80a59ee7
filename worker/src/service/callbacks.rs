//! Carries out callbacks beside the attempts: they take no slot, and a callback that fails fails nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_queue::Bell;
use flow_store::CallbackOrder;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::attempt;

/// Callbacks at once.
const AT_ONCE: usize = 8;
/// How often to look when nothing is heard: for retries, and for what others have left.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Pause after a failure of the store.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Tells when this worker itself has brought callbacks about.
#[derive(Debug, Default)]
pub(super) struct CallbackBell {
    is_expected: AtomicBool,
    rings: Notify,
}

impl CallbackBell {
    /// An outcome that may have a callback is about to be recorded.
    pub fn expect(&self) {
        self.is_expected.store(true, Ordering::Release);
    }

    /// Outcomes have been recorded.
    pub fn recorded(&self) {
        if self.is_expected.swap(false, Ordering::AcqRel) {
            self.rings.notify_one();
        }
    }
}

/// Takes and carries out until told to stop; what is under way then is given back with the process.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    // Callbacks are not told to stop: they are short.
    let (_keep, never) = watch::channel(None);
    let mut bell = shared.queue.listen(Bell::Workers);
    loop {
        let pause = match take(&shared, &slots, &never).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => LOOK_INTERVAL,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not take callbacks");
                FAILURE_PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = bell.rang() => {}
            () = shared.callbacks.rings.notified() => {}
            () = stop.cancelled() => break,
        }
    }
    // What is under way comes to its end; the timeout of notifiers bounds it.
    let _ = tokio::time::timeout(shared.options.drain_timeout, slots.acquire_many(AT_ONCE as u32)).await;
}

/// Takes as many as there is room for, and starts them. Whether there may be more.
async fn take(
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
    never: &attempt::StopSignal,
) -> Result<bool, flow_store::StoreError> {
    let room = slots.available_permits();
    if room == 0 {
        return Ok(false);
    }
    let process = shared.process_id();
    let taken = shared.store.take_callbacks(shared.store.now(), process, room).await?;
    let is_full = taken.len() == room;
    for callback in taken {
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return Ok(false) };
        let (shared, never) = (Arc::clone(shared), never.clone());
        tokio::spawn(async move {
            carry_out(&shared, process, callback, &never).await;
            drop(slot);
            // There is room again.
            shared.callbacks.rings.notify_one();
        });
    }
    Ok(is_full && slots.available_permits() > 0)
}

async fn carry_out(
    shared: &Shared,
    process: flow_model::ProcessId,
    callback: CallbackOrder,
    never: &attempt::StopSignal,
) {
    let (dag_id, run_id) = (callback.order.graph.dag.dag_id.clone(), callback.order.run_id.clone());
    let outcome = attempt::deliver(&shared.workshop, callback, never).await;
    for result in outcome.results.iter().filter(|result| !result.ok) {
        tracing::warn!(
            dag.id = dag_id,
            run.id = run_id,
            kind = result.kind,
            why = result.message,
            "a notifier of a callback was not reached"
        );
    }
    loop {
        match shared.store.finish_callback(shared.store.now(), process, &outcome).await {
            Ok(_) => return,
            Err(error) if error.is_transient() => tokio::time::sleep(FAILURE_PAUSE).await,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "could not record what became of a callback");
                return;
            }
        }
    }
}
