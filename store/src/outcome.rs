//! T5, T6, T7 and T12: a worker reports how attempts ended. Every write is fenced by (task instance, epoch, claim).

use std::collections::{HashMap, HashSet};

use flow_model::limits::LOSSES_MAX;
use flow_model::question::Question;
use flow_model::{ClaimId, Deferral, Epoch, ProcessId, TaskInstanceKey, TaskState, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::claim::WorkOrder;
use crate::connect::Store;
use crate::error::{Abort, Result};
use crate::log::LogAppend;
use crate::query::statement;
use crate::rows::{json, task_state};
use crate::transaction::{Transaction, steps};

/// How an attempt ended, or how its try goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum OutcomeKind {
    /// It succeeded.
    Success,
    /// It asked to be skipped.
    Skipped,
    /// It failed; it is tried again after the delay if tries are left.
    Failed {
        /// When its next try may start.
        retry_at: Timestamp,
    },
    /// It failed, and trying again would not help.
    FailedForGood,
    /// A draining worker gives it back; the try is not charged.
    Released,
    /// The worker or its machine failed, not the task: it is run again after a pause that doubles each time, without
    /// charging the try, until the budget for losses is used up.
    Lost,
    /// It goes on waiting in the triggerer.
    Deferred(Box<Deferral>),
    /// It gives its slot back until later; the try goes on then.
    Rescheduled {
        /// When.
        at: Timestamp,
        /// What the part that goes on is told.
        resume: Option<Value>,
    },
    /// It waits for a person's answer.
    AwaitingInput(Box<Question>),
}

impl OutcomeKind {
    /// The try has not ended: somebody goes on with it.
    pub const fn suspends(&self) -> bool {
        matches!(self, OutcomeKind::Deferred(_) | OutcomeKind::Rescheduled { .. } | OutcomeKind::AwaitingInput(_))
    }

    /// The worker gives the task instance back, and whatever the try had been told stays.
    const fn gives_back(&self) -> bool {
        matches!(self, OutcomeKind::Released | OutcomeKind::Lost)
    }
}

/// The end of an attempt, with everything that is remembered of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// The attempt's epoch.
    pub epoch: Epoch,
    /// The attempt's claim.
    pub claim: ClaimId,
    /// How it ended.
    pub kind: OutcomeKind,
    /// Why, in words.
    pub reason: Option<String>,
    /// When it ended, by the store's clock.
    pub ended_at: Timestamp,
    /// The process's exit code, where there was one.
    pub exit_code: Option<i32>,
    /// The rendered template fields as JSON.
    pub rendered: Option<String>,
    /// Positions of the tasks that it left out: a branch or short circuit that succeeded.
    pub skips: Vec<u32>,
    /// What its instance of a mapped task is called.
    pub map_label: Option<String>,
    /// Values for other tasks; kept only if the attempt succeeded.
    pub xcoms: Vec<NewXCom>,
    /// Log lines that have not been shipped yet.
    pub log: Vec<LogAppend>,
    /// Bytes that the attempt wrote.
    pub log_bytes: u64,
    /// Lines that the attempt wrote.
    pub log_lines: u64,
    /// Bytes beyond the limits, which were not kept.
    pub log_bytes_dropped: u64,
    /// The number of the next piece of its log, should the try go on.
    pub log_next_seq: i64,
    /// The attempt went on with a try that had been suspended.
    pub is_continued: bool,
}

impl Outcome {
    /// The end of an attempt that left nothing.
    pub fn new(order: &WorkOrder, kind: OutcomeKind, ended_at: Timestamp) -> Self {
        let outcome = Self::of(order.task_instance, order.epoch, order.claim, kind, ended_at);
        Outcome { is_continued: order.is_continued, ..outcome }
    }

    /// The same, by the token alone.
    pub fn of(
        task_instance: TaskInstanceKey,
        epoch: Epoch,
        claim: ClaimId,
        kind: OutcomeKind,
        ended_at: Timestamp,
    ) -> Self {
        Outcome {
            task_instance,
            epoch,
            claim,
            kind,
            reason: None,
            ended_at,
            exit_code: None,
            rendered: None,
            skips: Vec::new(),
            map_label: None,
            xcoms: Vec::new(),
            log: Vec::new(),
            log_bytes: 0,
            log_lines: 0,
            log_bytes_dropped: 0,
            log_next_seq: 0,
            is_continued: false,
        }
    }
}

/// A value for other tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewXCom {
    /// `return_value`, or the name that the task chose.
    pub key: String,
    /// JSON text.
    pub value: String,
}

/// What became of a reported outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It counts.
    Applied,
    /// It had been recorded before: the answer was lost on the way.
    AlreadyApplied,
    /// The attempt had lost the right to act: nothing was written.
    Fenced,
}

#[derive(Serialize)]
struct OutcomeRow<'a> {
    id: i64,
    epoch: i64,
    claim: i64,
    kind: &'static str,
    goes_on: bool,
    reason: Option<&'a str>,
    retry_at: Option<i64>,
    ended_at: i64,
    exit_code: Option<i32>,
    rendered: Option<&'a str>,
    skips: Option<String>,
    map_label: Option<&'a str>,
    log_bytes: u64,
    log_lines: u64,
    log_bytes_dropped: u64,
    log_next_seq: i64,
    resume: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct XComRow<'a> {
    pub ti: i64,
    pub epoch: i64,
    pub key: &'a str,
    pub value: &'a str,
}

#[derive(Serialize)]
struct TriggerRow {
    id: i64,
    epoch: i64,
    kind: &'static str,
    args: String,
    is_timer: bool,
    due_at: i64,
    deadline_at: Option<i64>,
}

impl Store {
    /// Records how attempts ended, all in one transaction: states, XComs, the rest of their logs. Idempotent.
    ///
    /// # Errors
    /// The database failed; reporting the same outcomes again is safe.
    pub async fn record_outcomes(
        &self,
        now: Timestamp,
        process: ProcessId,
        outcomes: &[Outcome],
    ) -> Result<Vec<Recorded>> {
        let rows = &json(&outcomes.iter().map(outcome_row).collect::<Vec<_>>());
        self.transaction("record outcomes", |tx| {
            steps(async move {
                let applied = apply_outcomes(tx, now, process, rows, outcomes).await?;
                let (suspended, ended): (Vec<&Applied<'_>>, Vec<&Applied<'_>>) =
                    applied.iter().partition(|applied| applied.outcome.kind.suspends());
                if !suspended.is_empty() {
                    suspend(tx, now, &suspended).await?;
                }
                if !ended.is_empty() {
                    end(tx, now, &ended).await?;
                }
                // Of those that ended first.
                let logs: Vec<&LogAppend> =
                    ended.iter().chain(&suspended).flat_map(|applied| &applied.outcome.log).collect();
                if !logs.is_empty() {
                    tx.query(statement!("append_logs")).bind(json(&logs)).execute().await?;
                }
                let known = if applied.len() < outcomes.len() {
                    tx.query(statement!("already_recorded")).bind(rows).scalars().await?
                } else {
                    Vec::new()
                };
                Ok(answers(outcomes, &applied, &known))
            })
        })
        .await
    }
}

/// An outcome that counts, and where its task instance is now.
struct Applied<'a> {
    outcome: &'a Outcome,
    state: TaskState,
    epoch: i64,
}

/// Moves the task instances whose attempts still have the right to act.
async fn apply_outcomes<'a>(
    tx: &mut Transaction,
    now: Timestamp,
    process: ProcessId,
    rows: &str,
    outcomes: &'a [Outcome],
) -> Result<Vec<Applied<'a>>, Abort> {
    let by_id: HashMap<i64, &Outcome> = outcomes.iter().map(|outcome| (outcome.task_instance.0, outcome)).collect();
    let moved: Vec<(i64, String, i64, i64)> = tx
        .query(statement!("record_outcomes"))
        .bind(rows)
        .bind(now.as_micros())
        .bind(process.to_string())
        .bind(LOSSES_MAX)
        .all()
        .await?;
    let mut applied = Vec::with_capacity(moved.len());
    for (id, state, _, epoch) in moved {
        if let Some(&outcome) = by_id.get(&id) {
            applied.push(Applied { outcome, state: task_state(&state)?, epoch });
        }
    }
    Ok(applied)
}

/// The tries go on later: what they are told then, what they wait for, and what they ask.
async fn suspend(tx: &mut Transaction, now: Timestamp, suspended: &[&Applied<'_>]) -> Result<(), Abort> {
    let rows: Vec<OutcomeRow<'_>> = suspended.iter().map(|applied| outcome_row(applied.outcome)).collect();
    tx.query(statement!("suspend_tries")).bind(json(&rows)).execute().await?;
    for applied in suspended {
        if let OutcomeKind::AwaitingInput(question) = &applied.outcome.kind {
            ask(tx, now, applied.outcome.task_instance, question).await?;
        }
    }
    let triggers: Vec<TriggerRow> =
        suspended.iter().filter_map(|applied| trigger_row(applied.outcome, applied.epoch, now)).collect();
    if !triggers.is_empty() {
        tx.query(statement!("set_triggers")).bind(json(&triggers)).bind(now.as_micros()).execute().await?;
    }
    Ok(())
}

async fn ask(
    tx: &mut Transaction,
    now: Timestamp,
    task_instance: TaskInstanceKey,
    question: &Question,
) -> Result<(), Abort> {
    tx.query(
        "insert into human_task (task_instance_id, epoch, dag_run_id, try_number, question, subject, created_at,
            deadline_at)
         select id, epoch, dag_run_id, try_number, $2, $3, $4, $5 from task_instance where id = $1",
    )
    .bind(task_instance.0)
    .bind(json(question))
    .bind(question.subject.replace('\0', "\u{fffd}"))
    .bind(now.as_micros())
    .bind(question.deadline_at.map(Timestamp::as_micros))
    .execute()
    .await?;
    Ok(())
}

/// The tries, or parts of them, are over: their rows in the list of attempts, and what they leave for others.
async fn end(tx: &mut Transaction, now: Timestamp, ended: &[&Applied<'_>]) -> Result<(), Abort> {
    let over: Vec<i64> = ended
        .iter()
        .filter(|applied| applied.outcome.is_continued && !applied.outcome.kind.gives_back())
        .map(|applied| applied.outcome.task_instance.0)
        .collect();
    if !over.is_empty() {
        tx.query(statement!("forget_suspended")).bind(json(&over)).execute().await?;
    }
    let rows: Vec<OutcomeRow<'_>> = ended.iter().map(|applied| outcome_row(applied.outcome)).collect();
    tx.query(statement!("record_attempts")).bind(json(&rows)).execute().await?;
    let xcoms: Vec<XComRow<'_>> = ended
        .iter()
        .filter(|applied| applied.state == TaskState::Success)
        .flat_map(|applied| xcom_rows(applied.outcome))
        .collect();
    if !xcoms.is_empty() {
        tx.query(statement!("write_xcoms")).bind(json(&xcoms)).bind(now.as_micros()).execute().await?;
    }
    Ok(())
}

fn answers(outcomes: &[Outcome], applied: &[Applied<'_>], known: &[i64]) -> Vec<Recorded> {
    let applied: HashSet<i64> = applied.iter().map(|applied| applied.outcome.task_instance.0).collect();
    outcomes
        .iter()
        .map(|outcome| outcome.task_instance.0)
        .map(|id| {
            if applied.contains(&id) {
                Recorded::Applied
            } else if known.contains(&id) {
                Recorded::AlreadyApplied
            } else {
                Recorded::Fenced
            }
        })
        .collect()
}

fn outcome_row(outcome: &Outcome) -> OutcomeRow<'_> {
    let (kind, retry_at) = match &outcome.kind {
        OutcomeKind::Success => ("success", None),
        OutcomeKind::Skipped => ("skipped", None),
        OutcomeKind::Failed { retry_at } => ("retry", Some(retry_at.as_micros())),
        OutcomeKind::FailedForGood => ("failed", None),
        OutcomeKind::Released => ("released", None),
        OutcomeKind::Lost => ("lost", None),
        OutcomeKind::Deferred(_) => ("deferred", None),
        OutcomeKind::Rescheduled { at, .. } => ("rescheduled", Some(at.as_micros())),
        OutcomeKind::AwaitingInput(_) => ("awaiting_input", None),
    };
    let resume = match &outcome.kind {
        OutcomeKind::Rescheduled { resume: Some(resume), .. } => Some(resume.to_string()),
        _ => None,
    };
    OutcomeRow {
        id: outcome.task_instance.0,
        epoch: outcome.epoch.0,
        claim: outcome.claim.0,
        kind,
        goes_on: outcome.kind.suspends(),
        reason: outcome.reason.as_deref(),
        retry_at,
        ended_at: outcome.ended_at.as_micros(),
        exit_code: outcome.exit_code,
        rendered: outcome.rendered.as_deref(),
        skips: (!outcome.skips.is_empty()).then(|| json(&outcome.skips)),
        map_label: outcome.map_label.as_deref(),
        log_bytes: outcome.log_bytes,
        log_lines: outcome.log_lines,
        log_bytes_dropped: outcome.log_bytes_dropped,
        log_next_seq: outcome.log_next_seq,
        resume,
    }
}

fn trigger_row(outcome: &Outcome, epoch: i64, now: Timestamp) -> Option<TriggerRow> {
    let OutcomeKind::Deferred(deferral) = &outcome.kind else { return None };
    let fires_at = deferral.trigger.fires_at();
    Some(TriggerRow {
        id: outcome.task_instance.0,
        epoch,
        kind: deferral.trigger.kind(),
        args: json(deferral),
        is_timer: fires_at.is_some(),
        due_at: fires_at.unwrap_or(now).as_micros(),
        deadline_at: deferral.deadline_at.map(Timestamp::as_micros),
    })
}

fn xcom_rows(outcome: &Outcome) -> impl Iterator<Item = XComRow<'_>> {
    outcome.xcoms.iter().map(|xcom| XComRow {
        ti: outcome.task_instance.0,
        epoch: outcome.epoch.0,
        key: &xcom.key,
        value: &xcom.value,
    })
}
