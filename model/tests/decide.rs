//! What is decided about an undecided task instance: confluence of all guards together, and how setups weigh.

use flow_model::decide::task::{
    Choice, Decision, Guard, MappingStage, Past, ProducerCounts, Producers, Standing, Votes,
};
use flow_model::trigger_rule::{UpstreamCounts, Verdict};
use flow_model::{TaskState, TriggerRule};
use proptest::prelude::*;
use proptest::sample::select;

const OUTCOMES: [TaskState; 4] = [TaskState::Success, TaskState::Failed, TaskState::UpstreamFailed, TaskState::Skipped];

/// The tasks before one, and the order in which those end that have not.
#[derive(Debug, Clone)]
struct Before {
    rule: TriggerRule,
    mapping: MappingStage,
    upstream: Vec<TaskState>,
    setups: Vec<TaskState>,
    producers: Vec<TaskState>,
    /// Of the instances of one branch: whether each leaves the task out, where it succeeds.
    branch: Vec<(TaskState, bool)>,
}

fn counts(states: &[TaskState]) -> UpstreamCounts {
    let mut counts = UpstreamCounts { total: states.len() as i64, ..UpstreamCounts::default() };
    states.iter().for_each(|&state| counts.add(state, 1));
    counts
}

fn producers(states: &[TaskState]) -> Producers {
    let mut producers = Producers::default();
    for (task, &state) in states.iter().enumerate() {
        let mut counts = ProducerCounts::default();
        match state {
            TaskState::Success => counts.success = 1,
            TaskState::Failed | TaskState::UpstreamFailed => counts.failed = 1,
            TaskState::Skipped => counts.skipped = 1,
            _ => counts.pending = 1,
        }
        producers.add(task as u32, counts);
    }
    producers
}

impl Before {
    /// As it stands when those after the first `ended` have not ended yet, by the order.
    fn after(&self, order: &[usize], ended: usize) -> Standing {
        let has_ended = |place: usize| order.iter().position(|&at| at == place).is_some_and(|at| at < ended);
        let mut place = 0..;
        let mut seen = |states: &[TaskState]| -> Vec<TaskState> {
            let see = |&state| if place.next().is_some_and(has_ended) { state } else { TaskState::Running };
            states.iter().map(see).collect()
        };
        let (upstream, setups, produced) = (seen(&self.upstream), seen(&self.setups), seen(&self.producers));
        let branch: Vec<TaskState> = self.branch.iter().map(|(state, _)| *state).collect();
        let mut votes = Votes::default();
        for (state, (_, leaves_out)) in seen(&branch).into_iter().zip(&self.branch) {
            match state {
                TaskState::Running => votes.pending += 1,
                TaskState::Success if *leaves_out => votes.left_out += 1,
                _ => votes.others += 1,
            }
        }
        Standing {
            upstream: counts(&upstream),
            setups: counts(&setups),
            producers: producers(&produced),
            choice: votes.choice(),
            mapping: self.mapping,
            ..Standing::new(self.rule)
        }
    }

    fn len(&self) -> usize {
        self.upstream.len() + self.setups.len() + self.producers.len() + self.branch.len()
    }
}

fn before() -> impl Strategy<Value = Before> {
    let states = |max| proptest::collection::vec(select(&OUTCOMES[..]), 0..max);
    let branch = proptest::collection::vec((select(&OUTCOMES[..]), any::<bool>()), 0..3);
    let mapping = select(vec![MappingStage::Done, MappingStage::OfTask, MappingStage::OfGroup]);
    (select(TriggerRule::ALL), mapping, states(4), states(3), states(3), branch).prop_map(
        |(rule, mapping, upstream, setups, producers, branch)| Before {
            // Nothing is before them, for these two: see `DagGraph::deciders`.
            branch: if matches!(rule, TriggerRule::Always | TriggerRule::AllDoneSetupSuccess) {
                vec![]
            } else {
                branch
            },
            rule,
            mapping,
            upstream,
            setups,
            producers,
        },
    )
}

/// The same, whichever guard was the first to tell.
fn kind(decision: Decision) -> (u8, Option<&'static str>) {
    match decision {
        Decision::Wait(_) => (0, None),
        Decision::End(ending) => (1, Some(ending.state_and_reason().0)),
        Decision::Expand(None) => (2, None),
        Decision::Expand(Some(ending)) => (3, Some(ending.state_and_reason().0)),
        Decision::Run => (4, None),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_000)))]

    /// Whatever is decided on the way is what is decided at the end.
    #[test]
    fn no_decision_depends_on_the_order(
        (before, order) in before().prop_flat_map(|before| {
            let order: Vec<usize> = (0..before.len()).collect();
            (Just(before), Just(order).prop_shuffle())
        })
    ) {
        let at_the_end = before.after(&order, before.len()).decide();
        prop_assert!(!matches!(at_the_end, Decision::Wait(_)), "{at_the_end:?}");
        for ended in 0..before.len() {
            let decision = before.after(&order, ended).decide();
            prop_assert!(
                matches!(decision, Decision::Wait(_)) || kind(decision) == kind(at_the_end),
                "after {ended} of {order:?}: {decision:?}, at the end {at_the_end:?}"
            );
        }
    }

    /// Where it waits, every obstacle is true: what it names is not done.
    #[test]
    fn obstacles_are_there_exactly_while_it_waits(
        (before, order, ended) in before().prop_flat_map(|before| {
            let (order, length): (Vec<usize>, _) = ((0..before.len()).collect(), before.len());
            (Just(before), Just(order).prop_shuffle(), 0..=length)
        })
    ) {
        let standing = before.after(&order, ended);
        let obstacles = standing.obstacles();
        prop_assert_eq!(matches!(standing.decide(), Decision::Wait(_)), !obstacles.is_empty());
        for guard in obstacles {
            let is_open = |counts: UpstreamCounts| counts.done() < counts.total;
            prop_assert!(match guard {
                Guard::Choice => standing.choice == Choice::Pending,
                Guard::Setups => is_open(standing.setups),
                Guard::Rule => is_open(standing.upstream),
                Guard::Producers => standing.producers.is_pending,
                Guard::Past => false,
            }, "{guard:?} does not hold {standing:?}");
        }
    }
}

#[test]
fn a_teardown_asks_how_its_setups_ended() {
    use TaskState as S;
    use Verdict::{Run, Skip, UpstreamFailed, Wait};
    for (setups, verdict) in [
        (vec![S::Success], Run),
        (vec![S::Failed], UpstreamFailed),
        (vec![S::Skipped], Skip),
        (vec![S::Skipped, S::Success], Run),
        (vec![S::Skipped, S::Failed], UpstreamFailed),
        (vec![S::Skipped, S::Running], Wait),
        (vec![S::Failed, S::Running], Wait),
    ] {
        assert_eq!(TriggerRule::AllDoneSetupSuccess.of_setups(counts(&setups)), verdict, "{setups:?}");
    }
}

#[test]
fn work_needs_all_its_setups_whatever_its_rule() {
    use TaskState as S;
    use Verdict::{Run, Skip, UpstreamFailed, Wait};
    for (setups, verdict) in [
        (vec![], Run),
        (vec![S::Success, S::Success], Run),
        (vec![S::Success, S::Running], Wait),
        (vec![S::Skipped, S::Running], Wait),
        (vec![S::Failed, S::Running], UpstreamFailed),
        (vec![S::Skipped, S::Failed], UpstreamFailed),
        (vec![S::Skipped, S::Success], Skip),
    ] {
        for rule in TriggerRule::ALL.iter().filter(|rule| **rule != TriggerRule::AllDoneSetupSuccess) {
            let verdict = if *rule == TriggerRule::Always { Run } else { verdict };
            assert_eq!(rule.of_setups(counts(&setups)), verdict, "{rule} {setups:?}");
        }
    }
}

#[test]
fn a_failure_wins_over_a_skip_and_a_branch_over_both() {
    let failed_and_skipped = counts(&[TaskState::Failed, TaskState::Skipped]);
    let standing = Standing { upstream: failed_and_skipped, ..Standing::new(TriggerRule::AllSuccess) };
    let state = |standing: &Standing| match standing.decide() {
        Decision::End(ending) => ending.state_and_reason(),
        other => panic!("{other:?}"),
    };
    assert_eq!(state(&standing), ("upstream_failed", "upstream_failed"));
    assert_eq!(state(&Standing { choice: Choice::LeftOut, ..standing.clone() }), ("skipped", "branch"));
    // What a person sees of the past comes last: what does not run need not wait for it.
    assert_eq!(state(&Standing { past: Past::Blocked, ..standing }), ("upstream_failed", "upstream_failed"));
}
