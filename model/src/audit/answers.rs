//! I26: what a task asks is answered once, by somebody who may.

use super::{Findings, Question, TaskEvent, TaskHistory};
use crate::TaskState;
use crate::moves::{ANSWERED, Actor};

pub(super) fn check(task: &TaskHistory, found: &mut Findings) {
    let mut asked = 0;
    for (position, entry) in task.events.iter().enumerate().filter(|(_, event)| event.to == TaskState::AwaitingInput) {
        asked += 1;
        let questions: Vec<&Question> =
            task.questions.iter().filter(|question| question.epoch == entry.epoch).collect();
        let [question] = questions.as_slice() else {
            let count = questions.len();
            found.add(
                "I26",
                format!("there are {count} questions of epoch {}, not one (event {})", entry.epoch, entry.event_no),
            );
            continue;
        };
        match task.events.get(position + 1) {
            None if !question.is_open => found.add("I26", "it waits for an answer to a question that is closed"),
            None => {}
            Some(exit) => check_exit(exit, question, found),
        }
    }
    if task.questions.len() > asked {
        found.add("I26", format!("it has asked {asked} times, and there are {} questions", task.questions.len()));
    }
}

fn check_exit(exit: &TaskEvent, question: &Question, found: &mut Findings) {
    if question.is_open {
        found.add("I26", format!("its question stayed open after event {}", exit.event_no));
    }
    let is_answer = exit.actor == Actor::User && exit.reason.as_deref() == Some(ANSWERED);
    match (&question.answered_by, is_answer) {
        (Some(who), true) if exit.actor_id.as_ref() != Some(who) => {
            found.add("I26", format!("event {} is the answer of another than `{who}`", exit.event_no));
        }
        (Some(who), true) if !(question.assignees.is_empty() || question.assignees.contains(who)) => {
            found.add("I26", format!("`{who}` was not asked, and has answered (event {})", exit.event_no));
        }
        (Some(_), true) | (None, false) => {}
        (Some(who), false) => {
            found.add("I26", format!("event {} is not the answer that `{who}` gave", exit.event_no));
        }
        (None, true) => found.add("I26", format!("event {} is an answer that nobody gave", exit.event_no)),
    }
}
