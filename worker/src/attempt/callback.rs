//! Callbacks: their notifiers, one after the other, each at most once per try of the delivery.

use std::sync::Arc;
use std::time::Duration;

use flow_model::callback::{self, CallbackEvent, Notifier};
use flow_model::dag::Output;
use flow_model::graph::DagGraph;
use flow_model::operator::{Command, Noop, Operator};
use flow_model::{ClaimId, Task};
use flow_store::{CallbackOrder, CallbackOutcome, CallbackResult, WorkOrder};
use serde_json::{Map, Value, json};

use super::{Ending, PrepareError, StopSignal, Workshop, script, secrecy, with_lookups};
use crate::log::AttemptLog;
use crate::notice::{Mailroom, NoticeError};
use crate::operators::{Notice, Work, notice, process};
use crate::template::{Renderer, TemplateError};

/// How long one notifier may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Characters of a message that are kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// Carries out what is left of a callback, and says what became of it.
pub async fn deliver(workshop: &Workshop, callback: CallbackOrder, stop: &StopSignal) -> CallbackOutcome {
    let CallbackOrder { id, event, is_of_run, tries, mut delivered, .. } = callback;
    let dag = &callback.order.graph.dag;
    let callbacks = if is_of_run { &dag.callbacks } else { &callback.order.task().callbacks };
    let notifiers = callbacks.of(event).to_vec();
    let names = names(&callback);
    let order = own_order(callback);
    let log = AttemptLog::new(&order);
    let mut results = Vec::with_capacity(notifiers.len());
    for (position, notifier) in notifiers.iter().enumerate() {
        let bit = 1_i64 << position;
        let (ok, message) = if delivered & bit != 0 {
            (true, "reached by an earlier try".to_owned())
        } else {
            let one = one(workshop, &order, notifier, &names, &log, stop);
            match tokio::time::timeout(TIMEOUT, one).await {
                Ok(Ok(said)) => (true, said),
                Ok(Err(why)) => (false, why),
                Err(_) => (false, format!("it took longer than {} s", TIMEOUT.as_secs())),
            }
        };
        if ok {
            delivered |= bit;
        }
        let message = log.masker().mask(&message).chars().take(MESSAGE_CHARS_MAX).collect();
        results.push(CallbackResult { kind: notifier.kind().to_owned(), ok, message });
    }
    CallbackOutcome { id, delivered, results, delivery: callback::decide(notifiers.len(), delivered, tries) }
}

/// What templates know besides what those of tasks know.
fn names(callback: &CallbackOrder) -> Map<String, Value> {
    let state = match callback.event {
        CallbackEvent::Success => "success",
        CallbackEvent::Failure => "failed",
        CallbackEvent::Retry => "up_for_retry",
        CallbackEvent::Skipped => "skipped",
    };
    let reason = callback.reason.clone().unwrap_or_default();
    Map::from_iter([
        ("event".to_owned(), json!(callback.event.as_str())),
        ("state".to_owned(), json!(state)),
        ("reason".to_owned(), json!(reason)),
        // As Airflow's context calls it.
        ("exception".to_owned(), json!(reason)),
    ])
}

/// The order with a task of the callback's own, which has nothing of what the task says about its attempts. That of a run has
/// no name, and templates know no task then.
fn own_order(callback: CallbackOrder) -> WorkOrder {
    let mut order = callback.order;
    let before = order.task();
    let name = if callback.is_of_run { String::new() } else { before.task_id.clone() };
    let mut task = Task::new(name, Operator::Noop(Noop {}));
    task.owner.clone_from(&before.owner);
    task.output = Output::None;
    task.execution_timeout = Some(TIMEOUT);
    task.env = [("FLOW_EVENT", "{{ event }}"), ("FLOW_STATE", "{{ state }}"), ("FLOW_REASON", "{{ reason }}")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    if !callback.is_of_run {
        task.params.clone_from(&before.params);
        task.group.clone_from(&before.group);
    }
    let mut dag = order.graph.dag.clone();
    let index = if callback.is_of_run { dag.tasks.len() } else { order.task_index as usize };
    if callback.is_of_run {
        dag.tasks.push(task);
    } else {
        dag.tasks[index] = task;
    }
    order.task_index = u32::try_from(index).unwrap_or(u32::MAX);
    order.graph = Arc::new(DagGraph::new(order.graph.version, dag));
    // Its processes and its folder are nobody else's.
    order.claim = ClaimId(rand::random());
    order
}

/// One notifier: what it said, or why it was not reached.
async fn one(
    workshop: &Workshop,
    order: &WorkOrder,
    notifier: &Notifier,
    names: &Map<String, Value>,
    log: &AttemptLog,
    stop: &StopSignal,
) -> Result<String, String> {
    let masker = log.masker();
    let work =
        with_lookups(workshop, order, names.clone(), masker, |renderer| prepare(order, notifier, names, renderer));
    let work = work.await.map_err(|error| match error {
        PrepareError::Template(why) | PrepareError::Secrets(why) => why,
        PrepareError::Store(error) => error.to_string(),
    })?;
    secrecy::check(&work, masker)?;
    match work {
        Work::Process(process) => {
            let ended = script::run(workshop, order, process, log, stop.clone()).await;
            match ended.kind {
                Ending::Success => Ok("exit code 0".to_owned()),
                Ending::Skipped(why)
                | Ending::FailedNotBefore(_, why)
                | Ending::Failed(why)
                | Ending::FailedForGood(why)
                | Ending::Lost(why) => Err(why),
                _ => Err("the worker stops".to_owned()),
            }
        }
        Work::Notice(notice) => {
            let room = Mailroom { http: &workshop.http, secrets: &workshop.secrets, masker };
            room.send(*notice, workshop.store.now()).await.map_err(|error| match error {
                NoticeError::Failed(why)
                | NoticeError::Wait(_, why)
                | NoticeError::ForGood(why)
                | NoticeError::Store(why) => why,
            })
        }
        _ => Ok("nothing to do".to_owned()),
    }
}

fn prepare(
    order: &WorkOrder,
    notifier: &Notifier,
    names: &Map<String, Value>,
    renderer: &Renderer,
) -> Result<Work, TemplateError> {
    let mut rendered = Map::new();
    let notice: Notice = match notifier {
        Notifier { command: Some(argv), .. } => {
            let command = Command { argv: argv.clone(), stdin: None, skip_on_exit_code: Vec::new() };
            return process::command(order.task(), &command, renderer, &mut rendered).map(Work::Process);
        }
        Notifier { webhook: Some(webhook), .. } => {
            notice::webhook(webhook, what(order, names), renderer, &mut rendered)?
        }
        Notifier { slack: Some(slack), .. } => notice::slack(slack, renderer, &mut rendered)?,
        Notifier { email: Some(email), .. } => notice::email(email, renderer, &mut rendered)?,
        _ => return Ok(Work::Noop),
    };
    Ok(Work::Notice(Box::new(notice)))
}

/// What a webhook without a message of its own is told.
fn what(order: &WorkOrder, names: &Map<String, Value>) -> Value {
    let mut what = notice::what(order);
    if let Value::Object(fields) = &mut what {
        let told = ["event", "state", "reason"].map(|name| (name.to_owned(), names[name].clone()));
        fields.extend(told);
    }
    what
}
