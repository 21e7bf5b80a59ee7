//! Attempts of `plugin`: the result is what the plugin says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flow_model::Timestamp;
use flow_model::limits::PLUGIN_MESSAGE_BYTES_MAX;
use flow_model::log::Stream;
use flow_store::{Store, WorkOrder};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::process::{self, End, Listener};
use super::{Ended, Ending, StopSignal, Workshop};
use crate::log::AttemptLog;
use crate::operators::{Conversation, PluginResult, PluginWork, Until};
use crate::template::params_of;

/// The version of the protocol that is spoken.
const PROTOCOL: u32 = 1;

pub(super) async fn run(
    workshop: &Workshop,
    order: &WorkOrder,
    work: PluginWork,
    log: &AttemptLog,
    mut stop: StopSignal,
) -> Ended {
    let folder = match process::folder(workshop, order) {
        Ok(folder) => folder,
        Err(ending) => return Ended::new(ending),
    };
    let mut process = work.process;
    process.stdin = Some(format!("{}\n", request(order, &work.with)));
    let dialogue = Dialogue {
        store: &workshop.store,
        log,
        conversation: Mutex::new((Conversation::new(&work.name, log.masker().clone()), None)),
        is_broken: Notify::new(),
    };
    let end = match process::execute(workshop, order, process, &folder, log, stop.clone(), &dialogue).await {
        Ok(end) => end,
        Err(ended) => return ended,
    };
    let (conversation, refusal) = dialogue.conversation.into_inner().unwrap_or_else(PoisonError::into_inner);
    let ended = conclude(end, conversation, refusal, workshop.store.now());
    process::keep_artifacts(workshop, order, &folder, log, &mut stop, ended).await
}

/// What the plugin is asked to do.
fn request(order: &WorkOrder, with: &Value) -> Value {
    json!({
        "protocol": PROTOCOL,
        "type": "execute",
        "with": with,
        "context": {
            "dag_id": order.graph.dag.dag_id,
            "run_id": order.run_id,
            "run_type": order.run_type.as_str(),
            "task_id": order.task().task_id,
            "map_index": order.map_index,
            "try_number": order.try_number,
            "max_tries": order.max_tries,
            "logical_date": order.logical_date,
            "data_interval": order.data_interval.map(|(start, end)| json!({ "start": start, "end": end })),
            "run_after": order.run_after,
            "params": params_of(order),
            "conf": order.conf,
        },
        "resume": order.resume,
    })
}

/// The conversation as it goes on, and what the plugin did wrong.
struct Dialogue<'a> {
    store: &'a Store,
    log: &'a AttemptLog,
    conversation: Mutex<(Conversation, Option<String>)>,
    is_broken: Notify,
}

impl Dialogue<'_> {
    fn state(&self) -> MutexGuard<'_, (Conversation, Option<String>)> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Dialogue<'_> {
    fn bytes(&self, _: &[u8]) {}

    fn line(&self, stream: Stream, text: &str, cut: u64) {
        let mut state = self.state();
        let (conversation, refusal) = &mut *state;
        if stream == Stream::Stderr {
            conversation.complaint(text);
            self.log.line(self.store.now(), stream, text, cut);
            return;
        }
        if refusal.is_some() {
            return;
        }
        match conversation.line(text, cut) {
            Ok(Some(message)) => {
                message.lines().for_each(|line| self.log.line(self.store.now(), stream, line, 0));
            }
            Ok(None) => {}
            Err(why) => {
                *refusal = Some(why);
                self.is_broken.notify_one();
            }
        }
    }

    fn stdout_line_bytes_max(&self) -> usize {
        PLUGIN_MESSAGE_BYTES_MAX
    }

    async fn refused(&self) -> String {
        self.is_broken.notified().await;
        self.state().1.clone().unwrap_or_default()
    }
}

fn conclude(end: End, conversation: Conversation, refusal: Option<String>, now: Timestamp) -> Ended {
    let (code, signal) = match end {
        End::Exited { code, signal } => (code, signal),
        End::Stopped(stop) => return Ended::new(Ending::Stopped(stop)),
        End::TimedOut(reason) | End::Refused(reason) => return Ended::new(Ending::Failed(reason)),
        End::WardenGone => return Ended::new(Ending::Lost("the warden process died".to_owned())),
    };
    if let Some(why) = refusal {
        return Ended { kind: Ending::Failed(why), exit_code: code, xcoms: Vec::new(), skips: Vec::new() };
    }
    let ending = match code {
        Some(code) => format!("exit code {code}"),
        None => format!("killed by signal {}", signal.unwrap_or_default()),
    };
    let (result, xcoms) = conversation.finish(code == Some(0), &ending);
    let kind = match result {
        PluginResult::Success => Ending::Success,
        PluginResult::Skipped(reason) => Ending::Skipped(reason),
        PluginResult::Failed(reason) => Ending::Failed(reason),
        PluginResult::FailedForGood(reason) => Ending::FailedForGood(reason),
        PluginResult::RetryAfter(delay, reason) => Ending::FailedRetryAfter(delay, reason),
        PluginResult::Deferred { until: Until::At(at), resume } => Ending::Rescheduled { at, resume, reason: None },
        PluginResult::Deferred { until: Until::After(delay), resume } => {
            Ending::Rescheduled { at: now + delay, resume, reason: None }
        }
    };
    Ended { kind, exit_code: code, xcoms, skips: Vec::new() }
}
