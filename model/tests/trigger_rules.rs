//! Trigger rules against a slow second implementation over lists of states, and what must hold for all of them.

use flow_model::trigger_rule::{UpstreamCounts, Verdict};
use flow_model::{TaskState, TriggerRule};
use proptest::prelude::*;
use proptest::sample::select;

const OUTCOMES: [TaskState; 4] = [TaskState::Success, TaskState::Failed, TaskState::UpstreamFailed, TaskState::Skipped];

fn counts(states: &[TaskState]) -> UpstreamCounts {
    let mut counts = UpstreamCounts { total: states.len() as i64, ..UpstreamCounts::default() };
    for &state in states {
        counts.add(state, 1);
    }
    counts
}

/// What the rule's documentation says, word by word.
fn holds(rule: TriggerRule, states: &[TaskState]) -> bool {
    let success = |s: &TaskState| *s == TaskState::Success;
    let failed = |s: &TaskState| matches!(s, TaskState::Failed | TaskState::UpstreamFailed);
    let skipped = |s: &TaskState| *s == TaskState::Skipped;
    let done = states.iter().all(|state| state.is_finished());
    match rule {
        TriggerRule::AllSuccess => states.iter().all(success),
        TriggerRule::AllFailed => states.iter().all(failed),
        // How the setups of a teardown ended is a question of its own.
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => done,
        TriggerRule::AllDoneMinOneSuccess => done && !states.iter().any(skipped) && states.iter().any(success),
        TriggerRule::AllSkipped => states.iter().all(skipped),
        TriggerRule::OneSuccess => states.iter().any(success),
        TriggerRule::OneFailed => states.iter().any(failed),
        TriggerRule::OneDone => states.iter().any(|s| success(s) || *s == TaskState::Failed),
        TriggerRule::NoneFailed => done && !states.iter().any(failed),
        TriggerRule::NoneFailedMinOneSuccess => done && !states.iter().any(failed) && states.iter().any(success),
        TriggerRule::NoneSkipped => done && !states.iter().any(skipped),
        TriggerRule::Always => true,
    }
}

/// All ways in which the unfinished tasks can end.
fn ends(states: &[TaskState]) -> Vec<Vec<TaskState>> {
    match states.iter().position(|state| !state.is_finished()) {
        None => vec![states.to_vec()],
        Some(open) => OUTCOMES
            .iter()
            .flat_map(|&outcome| {
                let mut ended = states.to_vec();
                ended[open] = outcome;
                ends(&ended)
            })
            .collect(),
    }
}

/// What happens to a task whose rule does not hold, now that all is done.
fn refusal(rule: TriggerRule, states: &[TaskState]) -> Verdict {
    let any_failed = states.iter().any(|s| matches!(s, TaskState::Failed | TaskState::UpstreamFailed));
    let any_skipped = states.contains(&TaskState::Skipped);
    let all_skipped = states.iter().all(|s| *s == TaskState::Skipped);
    let failed_if = |condition| if condition { Verdict::UpstreamFailed } else { Verdict::Skip };
    match rule {
        TriggerRule::AllSuccess | TriggerRule::NoneFailedMinOneSuccess => failed_if(any_failed),
        TriggerRule::NoneFailed => Verdict::UpstreamFailed,
        TriggerRule::AllDoneMinOneSuccess => failed_if(!any_skipped),
        TriggerRule::OneSuccess => failed_if(!all_skipped),
        TriggerRule::AllFailed
        | TriggerRule::AllSkipped
        | TriggerRule::OneFailed
        | TriggerRule::OneDone
        | TriggerRule::NoneSkipped => Verdict::Skip,
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess | TriggerRule::Always => {
            unreachable!("it always can hold")
        }
    }
}

/// What is said as soon as no end can change it any more.
fn oracle(rule: TriggerRule, states: &[TaskState]) -> Verdict {
    let counted: Vec<TaskState> = states.iter().copied().filter(|state| *state != TaskState::Removed).collect();
    if counted.is_empty() || holds(rule, &counted) {
        return Verdict::Run;
    }
    let at_the_end = |states: &Vec<TaskState>| if holds(rule, states) { Verdict::Run } else { refusal(rule, states) };
    let mut verdicts: Vec<Verdict> = ends(&counted).iter().map(at_the_end).collect();
    verdicts.dedup();
    match verdicts[..] {
        // It would hold in any case, but not before they are done.
        [verdict] if verdict != Verdict::Run => verdict,
        _ => Verdict::Wait,
    }
}

fn rule() -> impl Strategy<Value = TriggerRule> {
    select(TriggerRule::ALL)
}

fn states(max: usize) -> impl Strategy<Value = Vec<TaskState>> {
    proptest::collection::vec(select(TaskState::ALL), 0..max)
}

#[test]
fn there_are_airflows_thirteen() {
    assert_eq!(TriggerRule::ALL.len(), 13);
}

#[test]
fn every_rule_agrees_with_the_oracle_on_all_short_lists() {
    let some = [
        TaskState::None,
        TaskState::Running,
        TaskState::Success,
        TaskState::Failed,
        TaskState::UpstreamFailed,
        TaskState::Skipped,
        TaskState::Removed,
    ];
    for &rule in TriggerRule::ALL {
        for a in some {
            for b in some {
                for list in [vec![a], vec![a, b]] {
                    assert_eq!(rule.evaluate(counts(&list)), oracle(rule, &list), "{rule} {list:?}");
                }
                for c in some {
                    let list = [a, b, c];
                    assert_eq!(rule.evaluate(counts(&list)), oracle(rule, &list), "{rule} {list:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_rule_agrees_with_the_oracle(rule in rule(), states in states(6)) {
        prop_assert_eq!(rule.evaluate(counts(&states)), oracle(rule, &states));
    }

    #[test]
    fn a_decision_is_never_taken_back(rule in rule(), states in states(9), ends in proptest::collection::vec(select(&OUTCOMES[..]), 9)) {
        let mut states = states;
        let mut before = rule.evaluate(counts(&states));
        for (at, end) in ends.into_iter().enumerate().take(states.len()) {
            if states[at].is_finished() {
                continue;
            }
            states[at] = end;
            let after = rule.evaluate(counts(&states));
            prop_assert!(before == Verdict::Wait || before == after, "{:?} {:?}", before, after);
            before = after;
        }
    }

    #[test]
    fn nothing_waits_once_everything_is_done(rule in rule(), states in proptest::collection::vec(select(&OUTCOMES[..]), 0..40)) {
        prop_assert_ne!(rule.evaluate(counts(&states)), Verdict::Wait);
    }

    #[test]
    fn the_order_of_upstream_tasks_does_not_matter(rule in rule(), states in states(8)) {
        let mut reversed = states.clone();
        reversed.reverse();
        prop_assert_eq!(rule.evaluate(counts(&states)), rule.evaluate(counts(&reversed)));
    }
}
