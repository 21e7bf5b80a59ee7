//! What attempts come to: by what their task is, and by chance.

use std::time::Duration;

use flow_model::deferral::{OnTimeout, Trigger};
use flow_model::operator::{Approval, Form, Operator};
use flow_model::question::{Answer, Question};
use flow_model::{Deferral, ProcessId, Timestamp};
use flow_store::{NewXCom, Outcome, OutcomeKind, WorkOrder};
use rand::prelude::*;
use serde_json::{Value, json};

use crate::shape::MAP_LENGTH_MAX;

/// How an attempt will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Success,
    Skipped,
    Failed,
    FailedForGood,
    Released,
    /// The worker's machine failed.
    Lost,
    /// The try goes on elsewhere, or later.
    Suspended,
}

/// An attempt that a worker has started.
#[derive(Clone)]
pub struct Attempt {
    pub order: WorkOrder,
    /// The process that claimed it.
    pub process: ProcessId,
    pub ends_at: Timestamp,
    pub ending: Ending,
    /// What is reported, whenever it is.
    outcome: Option<Outcome>,
    /// Its end was recorded.
    pub is_recorded: bool,
}

impl Attempt {
    pub fn random(rng: &mut StdRng, order: WorkOrder, process: ProcessId, now: Timestamp) -> Attempt {
        let suspends = match order.task().operator {
            Operator::Noop(_) | Operator::Branch(_) | Operator::ShortCircuit(_) => false,
            _ => rng.random_bool(if order.is_continued { 0.3 } else { 0.85 }),
        };
        let ending = match rng.random_range(0..40) {
            0..=35 if suspends => Ending::Suspended,
            0..=23 => Ending::Success,
            24..=27 => Ending::Skipped,
            28..=35 => Ending::Failed,
            36..=37 => Ending::FailedForGood,
            38 => Ending::Released,
            _ => Ending::Lost,
        };
        let ends_at = now + Duration::from_millis(rng.random_range(0..20_000));
        Attempt { order, process, ends_at, ending, outcome: None, is_recorded: false }
    }

    /// What its worker reports: the same whenever it is asked.
    pub fn outcome(&mut self, rng: &mut StdRng, now: Timestamp) -> Outcome {
        let (order, ending, ended_at) = (&self.order, self.ending, self.ends_at.min(now));
        self.outcome.get_or_insert_with(|| random_outcome(rng, order, ending, ended_at, now)).clone()
    }
}

/// `dag run task[index] #try` for people.
pub fn name(order: &WorkOrder) -> String {
    let index = if order.map_index < 0 { String::new() } else { format!("[{}]", order.map_index) };
    format!("{} {} {}{index} #{}", order.graph.dag.dag_id, order.run_id, order.task().task_id, order.try_number)
}

fn random_outcome(rng: &mut StdRng, order: &WorkOrder, ending: Ending, ended_at: Timestamp, now: Timestamp) -> Outcome {
    let retry_delay = order.task().retry.delay_after(order.try_number, 0.0);
    let kind = match ending {
        Ending::Success => OutcomeKind::Success,
        Ending::Skipped => OutcomeKind::Skipped,
        Ending::Failed => OutcomeKind::Failed { retry_at: ended_at + retry_delay },
        Ending::FailedForGood => OutcomeKind::FailedForGood,
        Ending::Released => OutcomeKind::Released,
        Ending::Lost => OutcomeKind::Lost,
        Ending::Suspended => suspension(rng, order, retry_delay, now),
    };
    Outcome {
        exit_code: Some(0),
        skips: if kind == OutcomeKind::Success { left_out(rng, order) } else { Vec::new() },
        xcoms: random_value(rng).map(returned).into_iter().collect(),
        ..Outcome::new(order, kind, ended_at)
    }
}

pub fn returned(value: Value) -> NewXCom {
    NewXCom { key: "return_value".to_owned(), value: value.to_string() }
}

/// What a task leaves: mostly something to map over.
pub fn random_value(rng: &mut StdRng) -> Option<Value> {
    let length = match rng.random_range(0..20) {
        0 => return None,
        1 => return Some(json!(7)),
        2 => return Some(json!({ "a": 1, "b": [2] })),
        3 => MAP_LENGTH_MAX + 1,
        _ => rng.random_range(0..=MAP_LENGTH_MAX),
    };
    let value = |index: usize, is_null: bool| if is_null { Value::Null } else { json!(index) };
    Some((0..length).map(|index| value(index, rng.random_bool(0.1))).collect())
}

/// Positions of the tasks that a branch or short circuit leaves out, as `flow-worker` works them out.
fn left_out(rng: &mut StdRng, order: &WorkOrder) -> Vec<u32> {
    let graph = &order.graph;
    let children = &graph.downstream[order.task_index as usize];
    let goes_on = rng.random_bool(0.5);
    match &order.task().operator {
        Operator::Branch(_) => {
            let followed: Vec<u32> = children.iter().copied().filter(|_| rng.random_bool(0.5)).collect();
            let after = graph.reachable(&followed, &graph.downstream);
            children.iter().copied().filter(|child| !followed.contains(child) && !after.contains(child)).collect()
        }
        Operator::ShortCircuit(_) if goes_on => Vec::new(),
        operator if operator.may_skip_all_after() => {
            let after = graph.reachable(&[order.task_index], &graph.downstream);
            after.into_iter().filter(|&index| !graph.dag.tasks[index as usize].is_teardown).collect()
        }
        Operator::ShortCircuit(_) => children.clone(),
        _ => Vec::new(),
    }
}

/// What the try waits for.
fn suspension(rng: &mut StdRng, order: &WorkOrder, retry_delay: Duration, now: Timestamp) -> OutcomeKind {
    let seconds = |rng: &mut StdRng| Duration::from_secs(rng.random_range(0..60));
    match &order.task().operator {
        Operator::Approval(approval) => OutcomeKind::AwaitingInput(Box::new(approval_question(approval, now))),
        Operator::Form(form) => OutcomeKind::AwaitingInput(Box::new(form_question(form, now))),
        Operator::CommandSensor(_) => OutcomeKind::Rescheduled {
            at: now + seconds(rng),
            resume: rng.random_bool(0.7).then(|| json!({ "iteration": rng.random_range(2..9) })),
        },
        operator => {
            let trigger = match operator {
                Operator::TimeDeltaSensor(_) => Trigger::Time { at: now + seconds(rng) },
                _ => Trigger::File { path: "/nowhere".to_owned(), recursive: false, min_size: 0, min_age: None },
            };
            OutcomeKind::Deferred(Box::new(Deferral {
                deadline_at: rng.random_bool(0.4).then(|| now + seconds(rng)),
                on_timeout: *OnTimeout::ALL.choose(rng).expect("there are some"),
                soft_fail: rng.random_bool(0.3),
                resume: rng.random_bool(0.4).then(|| json!({ "part": rng.random_range(0..9) })),
                retry_delay,
                ..Deferral::new(trigger, Duration::from_secs(5))
            }))
        }
    }
}

fn approval_question(approval: &Approval, now: Timestamp) -> Question {
    let default = (!approval.defaults.is_empty())
        .then(|| Answer { chosen_options: approval.defaults.clone(), ..Answer::default() });
    Question {
        subject: approval.subject.clone(),
        options: approval.options.clone(),
        rejects: approval.rejecting(),
        fail_on_reject: approval.fail_on_reject,
        assignees: approval.assignees.clone(),
        deadline_at: approval.timeout.map(|timeout| now + timeout),
        default,
        ..Question::default()
    }
}

fn form_question(form: &Form, now: Timestamp) -> Question {
    Question {
        subject: form.subject.clone(),
        params: form.params.clone(),
        deadline_at: form.timeout.map(|timeout| now + timeout),
        default: form.defaults_on_timeout.then(Answer::default),
        ..Question::default()
    }
}
