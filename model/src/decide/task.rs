//! What becomes of a task instance that nothing has been decided about yet. One function: the scheduler acts on it, and
//! [`explain`](crate::explain) says what it says.
//!
//! No answer depends on which of the tasks before it was quicker: something is decided only once nothing that is still to come
//! can change it. What a branch or short circuit leaves out is skipped whatever else there is; beyond that, a failure wins over a skip.

use crate::trigger_rule::{TriggerRule, UpstreamCounts, Verdict};

/// The reason of what a branch or short circuit left out.
pub const BRANCH: &str = "branch";
/// The reason of what is mapped over nothing.
pub const EMPTY_MAP: &str = "empty_map";
/// The reason of what would be mapped over what a skipped task has not left.
pub const PRODUCER_SKIPPED: &str = "producer_skipped";
/// The reason of what ends because of a failure before it.
pub const UPSTREAM_FAILED: &str = "upstream_failed";

/// What is before an undecided task instance, and how that stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its rule.
    pub rule: TriggerRule,
    /// The tasks directly before it.
    pub upstream: UpstreamCounts,
    /// The setups that it needs.
    pub setups: UpstreamCounts,
    /// The branches and short circuits before it.
    pub choice: Choice,
    /// Whether it has to be expanded before it may run.
    pub mapping: MappingStage,
    /// The tasks that leave what it is mapped over.
    pub producers: Producers,
    /// The previous run.
    pub past: Past,
}

impl Standing {
    /// That of a task with nothing before it.
    pub fn new(rule: TriggerRule) -> Self {
        Standing {
            rule,
            upstream: UpstreamCounts::default(),
            setups: UpstreamCounts::default(),
            choice: Choice::Open,
            mapping: MappingStage::Done,
            producers: Producers::default(),
            past: Past::Clear,
        }
    }
}

/// Whether a task instance still has to be expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingStage {
    /// It is not mapped, or has its values.
    Done,
    /// A mapped task: it is expanded when it may run.
    OfTask,
    /// A task of a mapped group: the group is expanded as soon as what it is mapped over is known, so that the instances do not
    /// depend on which task of the group is decided about first.
    OfGroup,
}

/// What the branches and short circuits before a task instance say about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// Nothing: its trigger rule decides.
    #[default]
    Open,
    /// One that may leave it out has still to decide.
    Pending,
    /// One of them left it out, with all its instances.
    LeftOut,
}

impl Choice {
    /// What several branches before a task come to: one that leaves it out is enough.
    pub const fn and(self, other: Choice) -> Choice {
        match (self, other) {
            (Choice::LeftOut, _) | (_, Choice::LeftOut) => Choice::LeftOut,
            (Choice::Pending, _) | (_, Choice::Pending) => Choice::Pending,
            (Choice::Open, Choice::Open) => Choice::Open,
        }
    }
}

/// How the instances of a branch or short circuit stand to one task after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Votes {
    /// They have decided, and left the task out.
    pub left_out: i64,
    /// They are not finished.
    pub pending: i64,
    /// They follow the task, or ended without a decision (they failed, or were skipped).
    pub others: i64,
}

impl Votes {
    /// A task is left out where all instances say so. One that says otherwise is enough to leave it to its trigger rule; until
    /// then, those that have not decided are waited for.
    pub const fn choice(self) -> Choice {
        match self {
            Votes { others: 1.., .. } => Choice::Open,
            Votes { pending: 1.., .. } => Choice::Pending,
            Votes { left_out: 1.., .. } => Choice::LeftOut,
            Votes { .. } => Choice::Open,
        }
    }
}

/// What the tasks that a mapping goes over have come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    /// One of them is not finished.
    pub is_pending: bool,
    /// One of them failed, with all its instances.
    pub has_failed: bool,
    /// One of them was skipped, and there is no list because of that.
    pub was_skipped: bool,
    /// Those that were themselves mapped and had nothing to do: they leave an empty list.
    pub empty: Vec<u32>,
}

impl Producers {
    /// Takes in what has become of the instances of one producer.
    pub fn add(&mut self, task: u32, instances: ProducerCounts) {
        match instances {
            ProducerCounts { pending: 1.., .. } => self.is_pending = true,
            ProducerCounts { success: 1.., .. } => {}
            ProducerCounts { failed: 1.., .. } => self.has_failed = true,
            ProducerCounts { skipped: 1.., .. } => self.was_skipped = true,
            ProducerCounts { .. } => self.empty.push(task),
        }
    }

    const fn verdict(&self) -> Verdict {
        match self {
            Producers { has_failed: true, .. } => Verdict::UpstreamFailed,
            Producers { is_pending: true, .. } => Verdict::Wait,
            Producers { was_skipped: true, .. } => Verdict::Skip,
            Producers { .. } => Verdict::Run,
        }
    }
}

/// How many instances of a producer have come to what. Those that are removed count nowhere, nor do those that were skipped
/// of a producer that is itself mapped: they left an empty list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProducerCounts {
    /// Not finished.
    pub pending: i64,
    /// Succeeded.
    pub success: i64,
    /// Failed or upstream_failed.
    pub failed: i64,
    /// Skipped without ever having been expanded.
    pub skipped: i64,
}

/// What `depends_on_past` and `wait_for_downstream` say about a task instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// The task does not look at the past, or the past allows it.
    Clear,
    /// The previous run has not come that far, or failed there.
    Blocked,
}

/// What is looked at, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Branches and short circuits.
    Choice,
    /// Setups.
    Setups,
    /// The trigger rule.
    Rule,
    /// What it is mapped over.
    Producers,
    /// The previous run.
    Past,
}

/// How a task instance ends that never runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A branch or short circuit left it out.
    LeftOut,
    /// It is skipped.
    Skipped(Guard),
    /// It is upstream_failed.
    UpstreamFailed(Guard),
}

impl Ending {
    /// The state that it gets, and the reason in its history.
    pub const fn state_and_reason(self) -> (&'static str, &'static str) {
        match self {
            Ending::LeftOut => ("skipped", BRANCH),
            Ending::Skipped(Guard::Producers) => ("skipped", PRODUCER_SKIPPED),
            Ending::Skipped(_) => ("skipped", "trigger_rule"),
            Ending::UpstreamFailed(_) => ("upstream_failed", UPSTREAM_FAILED),
        }
    }
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet, because of the first of the obstacles.
    Wait(Guard),
    /// It ends without running.
    End(Ending),
    /// Its mapping is evaluated: the task runs then, or ends all the same.
    Expand(Option<Ending>),
    /// It may run.
    Run,
}

/// What one guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    Open,
    Wait,
    End(Ending),
}

impl Say {
    const fn of(verdict: Verdict, guard: Guard) -> Say {
        match verdict {
            Verdict::Run => Say::Open,
            Verdict::Wait => Say::Wait,
            Verdict::Skip => Say::End(Ending::Skipped(guard)),
            Verdict::UpstreamFailed => Say::End(Ending::UpstreamFailed(guard)),
        }
    }
}

impl Standing {
    /// What is decided about the task instance now.
    pub fn decide(&self) -> Decision {
        let says = self.says();
        if self.mapping == MappingStage::OfGroup {
            if self.producers.is_pending {
                return Decision::Wait(Guard::Producers);
            }
            if self.producers.verdict() == Verdict::Run {
                return match settle(&says) {
                    Decision::End(ending) => Decision::Expand(Some(ending)),
                    Decision::Run => Decision::Expand(None),
                    other => other,
                };
            }
        }
        match settle(&says) {
            Decision::Run if self.mapping != MappingStage::Done => Decision::Expand(None),
            other => other,
        }
    }

    /// Everything that holds the task instance, the most telling first; empty where something is decided.
    pub fn obstacles(&self) -> Vec<Guard> {
        let Decision::Wait(first) = self.decide() else { return Vec::new() };
        let waiting = self.says().into_iter().filter(|(_, say)| *say == Say::Wait).map(|(guard, _)| guard);
        let mut obstacles = vec![first];
        obstacles.extend(waiting.filter(|guard| *guard != first && *guard != Guard::Past));
        obstacles
    }

    fn says(&self) -> [(Guard, Say); 5] {
        let choice = match self.choice {
            Choice::Open => Say::Open,
            Choice::Pending => Say::Wait,
            Choice::LeftOut => Say::End(Ending::LeftOut),
        };
        let rule = self.rule.evaluate(self.upstream);
        let setups = match self.rule.of_setups(self.setups) {
            // A teardown comes after everything, also where none of its setups succeeded.
            _ if self.rule == TriggerRule::AllDoneSetupSuccess && rule == Verdict::Wait => Verdict::Run,
            setups => setups,
        };
        let producers = match self.mapping {
            MappingStage::Done => Verdict::Run,
            MappingStage::OfTask | MappingStage::OfGroup => self.producers.verdict(),
        };
        let past = if self.past == Past::Blocked { Say::Wait } else { Say::Open };
        [
            (Guard::Choice, choice),
            (Guard::Setups, Say::of(setups, Guard::Setups)),
            (Guard::Rule, Say::of(rule, Guard::Rule)),
            (Guard::Producers, Say::of(producers, Guard::Producers)),
            (Guard::Past, past),
        ]
    }
}

/// What the guards come to together. The past is looked at last: what does not run need not wait for it.
fn settle(says: &[(Guard, Say); 5]) -> Decision {
    let [(_, choice), .., (_, past)] = *says;
    match choice {
        Say::End(ending) => return Decision::End(ending),
        Say::Wait => return Decision::Wait(Guard::Choice),
        Say::Open => {}
    }
    let middle = &says[1..4];
    let first = |wanted: fn(Say) -> bool| middle.iter().find(|(_, say)| wanted(*say)).copied();
    let fails = |say| matches!(say, Say::End(Ending::UpstreamFailed(_)));
    let found = first(fails).or_else(|| first(|say| say == Say::Wait)).or_else(|| first(|say| say != Say::Open));
    match found {
        Some((_, Say::End(ending))) => Decision::End(ending),
        Some((guard, _)) => Decision::Wait(guard),
        None if past == Say::Wait => Decision::Wait(Guard::Past),
        None => Decision::Run,
    }
}
