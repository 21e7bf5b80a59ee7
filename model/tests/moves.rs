//! The table of moves hangs together.

use std::collections::BTreeSet;

use flow_model::TaskState;
use flow_model::moves::{Actor, TaskEvent, legal_moves, next};
use proptest::prelude::*;
use proptest::sample::select;

#[test]
fn the_table_is_what_events_do() {
    let table: BTreeSet<_> = legal_moves().into_iter().collect();
    assert_eq!(table.len(), legal_moves().len(), "no move is listed twice");
    for &from in TaskState::ALL {
        for &to in TaskState::ALL {
            for &actor in Actor::ALL {
                let has_event =
                    TaskEvent::ALL.iter().any(|&event| event.actor() == actor && next(from, event) == Some(to));
                assert_eq!(table.contains(&(from, to, actor)), has_event, "{from} {to} {actor}");
            }
        }
    }
}

#[test]
fn no_move_leads_nowhere_and_removed_comes_back_only_undecided() {
    for (from, to, actor) in legal_moves() {
        assert_ne!(from, to);
        if from == TaskState::Removed {
            assert_eq!((to, actor), (TaskState::None, Actor::Scheduler));
        }
    }
}

#[test]
fn what_is_finished_is_reopened_by_people_or_tried_again_as_a_whole() {
    for (from, to, actor) in legal_moves() {
        let is_tried_again = actor == Actor::Scheduler && to == TaskState::None;
        assert!(!from.is_finished() || actor == Actor::User || is_tried_again, "{from} by {actor}");
    }
}

#[test]
fn only_a_claim_starts_an_attempt_and_nobody_completes_what_runs_for_its_holder() {
    for (from, to, actor) in legal_moves() {
        if to == TaskState::Running {
            assert_eq!((from, actor), (TaskState::Queued, Actor::Worker));
        }
        match actor {
            Actor::Worker => assert!(matches!(from, TaskState::Queued | TaskState::Running)),
            Actor::Triggerer => assert_eq!(from, TaskState::Deferred),
            Actor::Scheduler if to == TaskState::Success => assert_eq!(from, TaskState::AwaitingInput),
            Actor::Scheduler | Actor::User => {}
        }
    }
}

#[test]
fn taking_the_right_to_act_away_raises_the_epoch() {
    for &event in TaskEvent::ALL {
        let takes_from_holder = next(TaskState::Running, event).is_some() && event.actor() != Actor::Worker;
        if takes_from_holder || event == TaskEvent::Enqueue || event.actor() == Actor::User {
            assert!(event.raises_epoch(), "{event:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_chain_of_events_stays_in_the_table(events in proptest::collection::vec(select(TaskEvent::ALL), 0..60)) {
        let table: BTreeSet<_> = legal_moves().into_iter().collect();
        let mut state = TaskState::None;
        for event in events {
            if let Some(to) = next(state, event) {
                prop_assert_eq!(to, event.target());
                prop_assert!(table.contains(&(state, to, event.actor())));
                state = to;
            }
        }
    }
}
