//! A run and how its tasks hang together: I2 for its own events, I7, I8, I10.

use std::collections::HashMap;

use super::{Findings, RunEvent, RunHistory, TaskEvent, TaskHistory, subject};
use crate::TaskState;
use crate::decide::task::{
    BRANCH, Decision, EMPTY_MAP, Ending, MappingStage, ProducerCounts, Producers, Standing, UPSTREAM_FAILED,
};
use crate::moves::Actor;
use crate::state::RunState;
use crate::trigger_rule::{TriggerRule, UpstreamCounts, Verdict};

/// The reason of moves that the end of a run's time brings about.
pub(super) const TIMEOUT: &str = "dagrun_timeout";

pub(super) fn check(run: &RunHistory, found: &mut Findings) {
    chain(run, found);
    edges(run, found);
    outcome(run, found);
    let mut by_index: HashMap<u32, Vec<&TaskHistory>> = HashMap::new();
    for task in &run.tasks {
        by_index.entry(task.task_index).or_default().push(task);
    }
    if !run.tasks.is_empty() {
        for (index, task) in run.graph.dag.tasks.iter().enumerate() {
            if !by_index.contains_key(&(index as u32)) {
                found.add("I7", format!("there is no instance of `{}`", task.task_id));
            }
        }
    }
    let of_run = found.subject.clone();
    for task in &run.tasks {
        found.subject = subject(run, task);
        dependencies(run, task, &by_index, found);
    }
    found.subject = of_run;
}

/// I2 for runs.
fn chain(run: &RunHistory, found: &mut Findings) {
    let mut state = None;
    for (position, event) in run.events.iter().enumerate() {
        if event.event_no != position as i64 + 1 || event.from != state {
            found.add("I2", format!("event {} of the run does not follow from the one before", event.event_no));
        }
        state = Some(event.to);
    }
    if state != Some(run.state) || run.events.last().map(|event| event.event_no) != Some(run.event_no) {
        found.add("I2", format!("the run is {}, its history ends otherwise", run.state));
    }
}

/// I10, the moves: a run ends once, unless a person opens it again.
fn edges(run: &RunHistory, found: &mut Findings) {
    use RunState as S;
    for event in &run.events {
        let is_legal = match (event.from, event.to, event.actor) {
            (None, S::Queued, _)
            | (Some(S::Queued), S::Running, Actor::Scheduler)
            | (Some(S::Running), S::Success | S::Failed, Actor::Scheduler)
            | (Some(S::Success | S::Failed), S::Queued, Actor::User) => true,
            (Some(from), S::Success | S::Failed, Actor::User) => from != event.to,
            _ => false,
        };
        if !is_legal {
            let from = event.from.map_or("nothing", RunState::as_str);
            found.add("I10", format!("{from} -> {} by {} is no legal move of a run", event.to, event.actor));
        }
    }
}

/// I10, the result: all tasks of an ended run have ended, and its leaves say how.
fn outcome(run: &RunHistory, found: &mut Findings) {
    if !run.state.is_finished() {
        return;
    }
    let unfinished = run.tasks.iter().filter(|task| !task.state.is_finished()).count();
    if unfinished > 0 {
        found.add("I10", format!("the run is {}, but {unfinished} of its task instances are not finished", run.state));
    }
    // After the teardowns of a run that somebody or its time has ended, the scheduler only carries that out.
    let is_ended = |reason: &str| [TIMEOUT, "cancelled", "marked"].contains(&reason);
    let decided_by_leaves =
        |event: &RunEvent| event.actor == Actor::Scheduler && !event.reason.as_deref().is_some_and(is_ended);
    if !run.events.last().is_some_and(decided_by_leaves) {
        return;
    }
    let has_failed_leaf = run.tasks.iter().any(|task| {
        (task.task_index as usize) < run.graph.downstream.len()
            && run.graph.is_leaf(task.task_index)
            && matches!(task.state, TaskState::Failed | TaskState::UpstreamFailed)
    });
    let expected = if has_failed_leaf { RunState::Failed } else { RunState::Success };
    if run.state != expected {
        found.add("I10", format!("the run is {}, its leaves say {expected}", run.state));
    }
}

/// I8: each decision about a task follows from its trigger rule and the upstream states of that moment.
fn dependencies(run: &RunHistory, task: &TaskHistory, instances: &Instances<'_>, found: &mut Findings) {
    let Some(definition) = run.graph.dag.tasks.get(task.task_index as usize) else {
        return found.add("I8", format!("the DAG has no task {}", task.task_index));
    };
    let is_mapped = run.graph.scope_of(task.task_index).is_some();
    for event in task.events.iter().filter(|event| is_decision(event)) {
        if event.reason.as_deref() == Some(BRANCH) {
            let may_be = |belonging| may_be_left_out(run, task, instances, View { seq: event.seq, belonging });
            if !Belonging::ALL.into_iter().any(may_be) {
                found.add("I8", format!("it was left out before a branch had decided (event {})", event.event_no));
            }
            continue;
        }
        let Some(wanted) = said(event, is_mapped) else { continue };
        let views = Belonging::ALL.map(|belonging| View { seq: event.seq, belonging });
        let standings = views.map(|view| standing(run, task, definition.trigger_rule, instances, view));
        if !standings.iter().any(|standing| may_have_said(standing, wanted)) {
            let (rule, upstream) = (definition.trigger_rule, standings[0].upstream);
            found.add(
                "I8",
                format!("{rule} does not lead to {} with {upstream:?} (event {})", event.to, event.event_no),
            );
        }
    }
}

/// What a decision says of the guards together; `None` where it follows from the values of a mapping.
fn said(event: &TaskEvent, is_mapped: bool) -> Option<Verdict> {
    match event.to {
        // What is mapped over nothing ends as it would have started, or with the rest of its group.
        TaskState::Skipped if is_mapped && event.reason.as_deref() == Some(EMPTY_MAP) => None,
        TaskState::Removed | TaskState::Failed if is_mapped => None,
        TaskState::UpstreamFailed if is_mapped && event.reason.as_deref() != Some(UPSTREAM_FAILED) => {
            Some(Verdict::Run)
        }
        TaskState::Skipped => Some(Verdict::Skip),
        TaskState::UpstreamFailed => Some(Verdict::UpstreamFailed),
        _ => Some(Verdict::Run),
    }
}

/// What was before a task instance, as far as the history tells.
fn standing(
    run: &RunHistory,
    task: &TaskHistory,
    rule: TriggerRule,
    instances: &Instances<'_>,
    view: View,
) -> Standing {
    let count = |others: &[Vec<u32>]| counts(run, task, &others[task.task_index as usize], instances, view);
    let mut producers = Producers::default();
    for &producer in &run.graph.producers[task.task_index as usize] {
        producers.add(producer, produced(&looked_at(run, task, producer, instances, view), view.seq));
    }
    let upstream = count(&run.graph.upstream);
    let setups = count(&run.graph.setups);
    Standing { upstream, setups, producers, ..Standing::new(rule) }
}

fn produced(instances: &[&TaskHistory], seq: i64) -> ProducerCounts {
    let mut counts = ProducerCounts::default();
    for instance in instances {
        let last = instance.events.iter().take_while(|event| event.seq < seq).last();
        let is_empty = last.is_some_and(|event| event.reason.as_deref() == Some(EMPTY_MAP));
        match state_before(instance, seq) {
            TaskState::Removed => {}
            TaskState::Success => counts.success += 1,
            TaskState::Failed | TaskState::UpstreamFailed => counts.failed += 1,
            TaskState::Skipped if instance.map_index < 0 && !is_empty => counts.skipped += 1,
            TaskState::Skipped => {}
            _ => counts.pending += 1,
        }
    }
    counts
}

/// The instances of each task.
type Instances<'a> = HashMap<u32, Vec<&'a TaskHistory>>;

/// Which instances of two tasks of one mapped group belong together. Those with the same map index; but one that was decided about
/// before the group was expanded had no index then, and belonged to all. The history does not tell when an instance got its
/// index, so that each way is tried.
#[derive(Debug, Clone, Copy)]
enum Belonging {
    /// By their indexes of today.
    Same,
    /// The upstream was not expanded: its one instance belonged to all.
    UpstreamWhole,
    /// The task itself was not expanded: all instances belonged to it.
    Whole,
}

impl Belonging {
    const ALL: [Belonging; 3] = [Belonging::Same, Belonging::UpstreamWhole, Belonging::Whole];
}

/// How an earlier moment is looked at.
#[derive(Debug, Clone, Copy)]
struct View {
    /// What was appended before this event.
    seq: i64,
    belonging: Belonging,
}

/// The instances of `other` that an instance of a task looks at, as far as they were there.
fn looked_at<'a>(
    run: &RunHistory,
    task: &TaskHistory,
    other: u32,
    instances: &Instances<'a>,
    view: View,
) -> Vec<&'a TaskHistory> {
    // Instances beyond the first of a mapped task come when it is expanded, all others when the run starts.
    let was_there = |instance: &&TaskHistory| {
        instance.map_index <= 0 || instance.events.first().is_some_and(|created| created.seq < view.seq)
    };
    let there: Vec<&TaskHistory> = instances.get(&other).into_iter().flatten().copied().filter(was_there).collect();
    if !run.graph.go_together(task.task_index, other) || task.map_index < 0 {
        return there;
    }
    match view.belonging {
        Belonging::UpstreamWhole if there.len() == 1 => there,
        Belonging::Whole if task.map_index == 0 => there,
        _ => there
            .into_iter()
            .filter(|instance| instance.map_index == task.map_index || instance.map_index < 0)
            .collect(),
    }
}

fn counts(
    run: &RunHistory,
    task: &TaskHistory,
    others: &[u32],
    instances: &Instances<'_>,
    view: View,
) -> UpstreamCounts {
    let mut counts = UpstreamCounts::default();
    for &other in others {
        for instance in looked_at(run, task, other, instances, view) {
            counts.total += 1;
            counts.add(state_before(instance, view.seq), 1);
        }
    }
    counts
}

/// Whether a branch or short circuit before it had decided, with all its instances.
fn may_be_left_out(run: &RunHistory, task: &TaskHistory, instances: &Instances<'_>, view: View) -> bool {
    run.graph.deciders[task.task_index as usize].iter().any(|&decider| {
        let mut states = looked_at(run, task, decider, instances, view)
            .into_iter()
            .map(|instance| state_before(instance, view.seq))
            .filter(|state| *state != TaskState::Removed)
            .peekable();
        states.peek().is_some() && states.all(|state| state == TaskState::Success)
    })
}

fn is_decision(event: &TaskEvent) -> bool {
    event.from == Some(TaskState::None)
        && event.to != TaskState::Removed
        && event.actor == Actor::Scheduler
        && event.reason.as_deref() != Some(TIMEOUT)
}

/// The state in which the last event below `seq` left the task instance.
fn state_before(task: &TaskHistory, seq: i64) -> TaskState {
    let seen = task.events.partition_point(|event| event.seq < seq);
    if seen == 0 { TaskState::None } else { task.events[seen - 1].to }
}

/// Whether this leads to the verdict, before or after the mapping was known, or without some counts that the decision may not have
/// seen yet: of events that were appended just before it, not all need have been committed, and a tick decides about several tasks
/// at once.
fn may_have_said(seen: &Standing, wanted: Verdict) -> bool {
    let mut ways = some_unseen(seen.upstream).into_iter().flat_map(|upstream| {
        some_unseen(seen.setups).into_iter().flat_map(move |setups| {
            [MappingStage::Done, MappingStage::OfTask].map(|mapping| (upstream, setups, mapping))
        })
    });
    ways.any(|(upstream, setups, mapping)| {
        let verdict = match (Standing { upstream, setups, mapping, ..seen.clone() }).decide() {
            Decision::Wait(_) => Verdict::Wait,
            Decision::End(Ending::UpstreamFailed(_)) => Verdict::UpstreamFailed,
            Decision::End(Ending::Skipped(_) | Ending::LeftOut) => Verdict::Skip,
            Decision::Expand(_) | Decision::Run => Verdict::Run,
        };
        verdict == wanted
    })
}

/// The counts, and the counts without one kind.
fn some_unseen(counts: UpstreamCounts) -> [UpstreamCounts; 4] {
    let without_failures = UpstreamCounts { failed: 0, upstream_failed: 0, ..counts };
    let without_skips = UpstreamCounts { skipped: 0, ..counts };
    let without_successes = UpstreamCounts { success: 0, ..counts };
    [counts, without_failures, without_skips, without_successes]
}
