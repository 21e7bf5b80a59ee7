//! What a task says about its attempts, whatever its operator: `run_if`, `failure_rules`, `repeat`, `outputs`.

use std::collections::BTreeMap;

use flow_model::control::{FailureAction, FailureRule, Repeat, check_outputs};
use flow_model::dag::RETURN_VALUE;
use flow_model::time::duration_text;
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use super::{Ended, Ending, PrepareError, Workshop, with_lookups};
use crate::log::AttemptLog;
use crate::template::{Renderer, TemplateError};

/// Why the task is skipped, if its `run_if` says no. A try that goes on has been asked before.
pub(super) fn refusal(order: &WorkOrder, iteration: u32, renderer: &Renderer) -> Result<Option<String>, TemplateError> {
    let Some(condition) = &order.task().control.run_if else { return Ok(None) };
    if order.is_continued || iteration > 1 {
        return Ok(None);
    }
    let (holds, shown) = renderer.condition("run_if", condition)?;
    Ok((!holds).then(|| format!("`run_if` says no: it is `{}`", shown.trim())))
}

/// What a failure means, if a rule of the task decides about it.
pub(super) fn meaning(rule: Option<&FailureRule>, reason: String) -> Ending {
    let Some(rule) = rule else { return Ending::Failed(reason) };
    let reason = rule.reason.clone().unwrap_or(reason);
    match (rule.action, rule.delay) {
        (FailureAction::Retry, Some(delay)) => Ending::FailedRetryAfter(delay, reason),
        (FailureAction::Retry, None) => Ending::Failed(reason),
        (FailureAction::Fail, _) => Ending::FailedForGood(reason),
        (FailureAction::Skip, _) => Ending::Skipped(reason),
    }
}

/// The iteration of a task with `repeat`; the order keeps what its operator has left for itself.
pub(super) fn take_iteration(order: &mut WorkOrder) -> u32 {
    if order.task().control.repeat.is_none() {
        return 1;
    }
    let resume = order.resume.take().unwrap_or_default();
    order.resume = resume.get("resume").filter(|resume| !resume.is_null()).cloned();
    resume["iteration"].as_u64().and_then(|iteration| u32::try_from(iteration).ok()).unwrap_or(1)
}

/// What follows from the end of the work: it is repeated, or its outputs are compared with their declarations.
pub(super) async fn conclude(
    workshop: &Workshop,
    order: &WorkOrder,
    iteration: u32,
    mut ended: Ended,
    log: &AttemptLog,
) -> Result<Ended, PrepareError> {
    let control = &order.task().control;
    if let Some(repeat) = &control.repeat {
        if matches!(ended.kind, Ending::Success) && !is_over(workshop, order, repeat, iteration, &ended, log).await? {
            return Ok(again(workshop, repeat, iteration, log));
        }
        // The operator itself goes on later, in the same iteration.
        if let Ending::Rescheduled { resume, .. } = &mut ended.kind {
            *resume = Some(json!({ "iteration": iteration, "resume": resume.take() }));
        }
    }
    if matches!(ended.kind, Ending::Success)
        && let Err(why) = check_outputs(&control.outputs, &values(&ended))
    {
        ended.kind = Ending::Failed(why);
    }
    Ok(ended)
}

async fn is_over(
    workshop: &Workshop,
    order: &WorkOrder,
    repeat: &Repeat,
    iteration: u32,
    ended: &Ended,
    log: &AttemptLog,
) -> Result<bool, PrepareError> {
    let output = values(ended).remove(RETURN_VALUE).unwrap_or_default();
    let names = Map::from_iter([("output".to_owned(), output), ("iteration".to_owned(), json!(iteration))]);
    with_lookups(workshop, order, names, log.masker(), |renderer| Ok(renderer.condition("until", &repeat.until)?.0))
        .await
}

fn again(workshop: &Workshop, repeat: &Repeat, iteration: u32, log: &AttemptLog) -> Ended {
    let now = workshop.store.now();
    if iteration >= repeat.max {
        return Ended::new(Ending::Failed(format!(
            "repeated {iteration} times, and `until` never said yes\nhint: raise `max` of `repeat`, or look at what `output` was"
        )));
    }
    let pause = duration_text::format(repeat.every);
    log.system(now, &format!("iteration {iteration} of at most {}: not yet; again in {pause}", repeat.max));
    let resume = Some(json!({ "iteration": iteration + 1 }));
    Ended::new(Ending::Rescheduled { at: now + repeat.every, resume, reason: None })
}

/// The XComs by key.
fn values(ended: &Ended) -> BTreeMap<String, Value> {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_default();
    ended.xcoms.iter().map(|xcom| (xcom.key.clone(), value(&xcom.value))).collect()
}
