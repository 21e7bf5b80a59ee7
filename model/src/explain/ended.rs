//! Why a task instance is over.

use super::{Facts, Reason, ReasonKind, TaskFacts, UpstreamTask, because, id_of, listed, names, tries};
use crate::state::TaskState;
use crate::trigger_rule::TriggerRule;

pub(super) fn finished(facts: &Facts, task: &TaskFacts) -> Vec<Reason> {
    let reason = task.reason.as_deref();
    vec![match task.state {
        TaskState::Failed => failed(task),
        TaskState::UpstreamFailed => upstream_failed(facts, reason),
        TaskState::Skipped => Reason::new(ReasonKind::Skipped, skipped(facts, task)),
        TaskState::Success if reason == Some("marked") => Reason::new(ReasonKind::Success, "was marked as success"),
        TaskState::Success => {
            Reason::new(ReasonKind::Success, format!("succeeded in try {} of {}", task.try_number, tries(task)))
        }
        _ if reason == Some("mapping_shrunk") => {
            Reason::new(ReasonKind::Removed, "was removed: the list that its task is mapped over has become shorter")
        }
        _ => Reason::new(ReasonKind::Removed, "is no longer part of the DAG version of its run"),
    }]
}

fn failed(task: &TaskFacts) -> Reason {
    let text = match task.reason.as_deref() {
        Some("poison") => "failed: its worker died again and again while running it".to_owned(),
        Some("outcome_unknown") => "failed: its worker was lost, and the task says `at_most_once`".to_owned(),
        Some("cancelled") => "failed: its run was cancelled".to_owned(),
        Some("marked") => "was marked as failed".to_owned(),
        Some(reason) if task.try_number == 0 => {
            let again = "mend that, then clear the task: its mapping is evaluated again";
            let (why, hint) = reason.split_once("; hint: ").unwrap_or((reason, again));
            return Reason::new(ReasonKind::Failed, format!("failed before its first try: {why}")).hint(hint);
        }
        reason => format!("failed in try {} of {}{}", task.try_number, tries(task), because(reason)),
    };
    Reason::new(ReasonKind::Failed, text).hint("read its log, then clear the task to run it again")
}

fn upstream_failed(facts: &Facts, reason: Option<&str>) -> Reason {
    if reason.is_some_and(|reason| reason != "upstream_failed") {
        return Reason::new(ReasonKind::UpstreamFailed, format!("did not run{}", because(reason)))
            .hint("mend the task that should leave it, and clear that one with what follows");
    }
    let causes = causes(facts);
    let text = if causes.is_empty() {
        "did not run, because a task before it failed".to_owned()
    } else {
        format!("did not run, because of {}", names(&causes))
    };
    Reason::new(ReasonKind::UpstreamFailed, text).hint("clear the failed task; this one follows")
}

/// The failures before it: the first one with those directly before it, or what its setups and producers have come to.
fn causes(facts: &Facts) -> Vec<&UpstreamTask> {
    let is_bad = |task: &&UpstreamTask| matches!(task.state, TaskState::Failed | TaskState::UpstreamFailed);
    let direct: Vec<&UpstreamTask> = facts.upstream.iter().filter(is_bad).collect();
    match &facts.failed_first {
        Some(first) => {
            let is_another = |task: &&UpstreamTask| task.state == TaskState::Failed && task.task_id != first.task_id;
            [first].into_iter().chain(direct.into_iter().filter(is_another)).collect()
        }
        None if direct.is_empty() => facts.setups.iter().chain(&facts.producers).filter(is_bad).collect(),
        None => direct,
    }
}

fn skipped(facts: &Facts, task: &TaskFacts) -> String {
    let reason = task.reason.as_deref();
    match reason {
        Some("dagrun_timeout") => "was skipped, because its run took longer than `dagrun_timeout`".to_owned(),
        Some("cancelled") => "was skipped, because its run was cancelled".to_owned(),
        Some("marked") => "was marked as skipped".to_owned(),
        Some("branch") if !facts.left_out_by.is_empty() => {
            format!("was skipped: {} left it out", listed(&facts.left_out_by.iter().collect::<Vec<_>>(), id_of))
        }
        Some("branch") => "was skipped: a branch or short circuit before it left it out".to_owned(),
        Some("producer_skipped") => "was skipped: the task that leaves what it is mapped over was skipped".to_owned(),
        Some("empty_map") => "was skipped: there is nothing to map it over, the list is empty".to_owned(),
        Some("trigger_rule") | None if task.try_number == 0 => skipped_by_rule(facts),
        _ => format!("was skipped{}", because(reason)),
    }
}

/// A trigger rule that cannot hold any more.
fn skipped_by_rule(facts: &Facts) -> String {
    let skipped: Vec<&UpstreamTask> = facts.upstream.iter().filter(|task| task.state == TaskState::Skipped).collect();
    let rule = facts.trigger_rule;
    if !skipped.is_empty() && rule != TriggerRule::OneFailed {
        return format!("was skipped by its trigger rule `{rule}`, because of {}", names(&skipped));
    }
    let all: Vec<&UpstreamTask> = facts.upstream.iter().collect();
    if all.is_empty() {
        return format!("was skipped by its trigger rule `{rule}`");
    }
    format!("was skipped by its trigger rule `{rule}`, which cannot hold any more: before it are {}", names(&all))
}
