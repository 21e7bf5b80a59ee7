//! How the waiting of a suspended try ends: its trigger fired, its time ran out, or somebody answered. Whoever ends it, it
//! happens under the task instance's row lock, guarded by state and epoch, and so at most once.

use std::collections::{HashMap, HashSet};

use flow_model::log::{Stream, write_line};
use flow_model::moves::Actor;
use flow_model::{Deferral, Epoch, ProcessId, TaskInstanceKey, TaskState, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::audit_log::{self, Deed};
use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::outcome::{NewXCom, XComRow};
use crate::query::statement;
use crate::question::AnswerNote;
use crate::rows::json;
use crate::transaction::{Transaction, steps};
use crate::xcom::check_xcom_size;

/// What becomes of a suspended try.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It succeeded, with its XComs.
    Success(Vec<NewXCom>),
    /// It is skipped.
    Skipped,
    /// It failed; it is tried again if tries are left.
    Failed,
    /// It failed, whatever tries are left.
    FailedForGood,
    /// A worker goes on with it, and is told this.
    Resume(Value),
}

/// The end of the waiting of one suspended try.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    pub task_instance: TaskInstanceKey,
    /// Its epoch while it waited.
    pub epoch: Epoch,
    /// The state in which it waited.
    pub from: TaskState,
    /// Only if this process carries its trigger.
    pub owner: Option<ProcessId>,
    pub verdict: Verdict,
    pub reason: Option<String>,
    /// Lines for its log.
    pub log: Vec<String>,
    /// What the last look has found belongs to the reason.
    pub tells_last_look: bool,
    /// The answer to the question that it asked.
    pub answer: Option<AnswerNote>,
}

/// Who settles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settler<'a> {
    pub actor: Actor,
    pub actor_id: &'a str,
}

#[derive(Serialize)]
struct Question {
    id: i64,
    epoch: i64,
    state: &'static str,
    owner: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct SuspendedRow {
    id: i64,
    try_number: i64,
    max_tries: i64,
    claim_id: Option<i64>,
    rendered: Option<String>,
    log_next_seq: i64,
    log_bytes: i64,
    log_lines: i64,
    log_bytes_dropped: i64,
    args: Option<String>,
    checks: Option<i64>,
    note: Option<String>,
}

#[derive(Serialize)]
struct MoveRow {
    id: i64,
    from_state: &'static str,
    to_state: &'static str,
    epoch_step: i64,
    not_before: Option<i64>,
    ended_at: Option<i64>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct AttemptRow {
    id: i64,
    claim: Option<i64>,
    exit_code: Option<i32>,
    rendered: Option<String>,
    log_bytes: i64,
    log_lines: i64,
    log_bytes_dropped: i64,
    ended_at: i64,
}

#[derive(Serialize)]
struct ResumeRow {
    id: i64,
    resume: String,
    log_next_seq: i64,
    log_bytes: i64,
    log_lines: i64,
}

#[derive(Serialize)]
struct LogRow {
    task_instance: i64,
    try_number: i64,
    seq: i64,
    content: String,
}

/// Everything that is to be written about tries that still waited.
#[derive(Default)]
struct Writes<'a> {
    moves: Vec<MoveRow>,
    attempts: Vec<AttemptRow>,
    resumes: Vec<ResumeRow>,
    logs: Vec<LogRow>,
    xcoms: Vec<XComRow<'a>>,
    answers: Vec<(TaskInstanceKey, &'a AnswerNote)>,
}

impl Store {
    /// Ends the waiting of suspended tries, all in one transaction. Returns those that did wait; to ask again for others
    /// is harmless.
    pub(crate) async fn settle(
        &self,
        now: Timestamp,
        settler: Settler<'_>,
        settlements: &[Settlement],
    ) -> Result<HashSet<TaskInstanceKey>> {
        let settlements: &Vec<Settlement> = &settlements.iter().map(within_limits).collect();
        self.transaction("end what waits", |tx| {
            steps(async move {
                let questions = json(&settlements.iter().map(question).collect::<Vec<_>>());
                let by_id: HashMap<i64, &Settlement> =
                    settlements.iter().map(|one| (one.task_instance.0, one)).collect();
                let rows: Vec<SuspendedRow> = tx.query(statement!("lock_suspended")).bind(&questions).all().await?;
                let mut writes = Writes::default();
                let mut settled = HashSet::new();
                for row in rows {
                    if let Some(settlement) = by_id.get(&row.id) {
                        settled.insert(settlement.task_instance);
                        writes.add(now, settler.actor, settlement, row);
                    }
                }
                writes.carry_out(tx, now, settler).await?;
                Ok(settled)
            })
        })
        .await
    }
}

/// No success with a value that is larger than an XCom may be.
fn within_limits(settlement: &Settlement) -> Settlement {
    let mut settlement = settlement.clone();
    if let Verdict::Success(xcoms) = &settlement.verdict
        && let Some(why) = xcoms.iter().find_map(|xcom| check_xcom_size(&xcom.key, xcom.value.len()).err())
    {
        settlement.reason = why.split("; hint: ").next().map(str::to_owned);
        settlement.log.push(why.replace("; hint: ", "\nhint: "));
        settlement.verdict = Verdict::Failed;
    }
    settlement
}

fn question(settlement: &Settlement) -> Question {
    Question {
        id: settlement.task_instance.0,
        epoch: settlement.epoch.0,
        state: settlement.from.as_str(),
        owner: settlement.owner.map(|owner| owner.0),
    }
}

impl<'a> Writes<'a> {
    fn add(&mut self, now: Timestamp, actor: Actor, settlement: &'a Settlement, row: SuspendedRow) {
        self.answers.extend(settlement.answer.as_ref().map(|answer| (settlement.task_instance, answer)));
        let to = state_after(&settlement.verdict, &row);
        let epoch_step = i64::from(actor == Actor::User);
        let retry_delay = match &row.args {
            Some(args) if to == TaskState::UpForRetry => {
                deferral(args).map(|deferral| deferral.retry_delay).unwrap_or_default()
            }
            _ => std::time::Duration::ZERO,
        };
        let last_look = settlement.tells_last_look.then(|| last_look(&row)).flatten();
        let log: Vec<String> = settlement.log.iter().cloned().chain(last_look.clone()).collect();
        let reason = match (&settlement.reason, last_look) {
            (Some(reason), Some(last_look)) => Some(format!("{reason}; {last_look}")),
            (reason, _) => reason.clone(),
        };
        self.moves.push(MoveRow {
            id: row.id,
            from_state: settlement.from.as_str(),
            to_state: to.as_str(),
            epoch_step,
            not_before: (to == TaskState::UpForRetry).then(|| (now + retry_delay).as_micros()),
            ended_at: (to != TaskState::Scheduled).then_some(now.as_micros()),
            reason,
        });
        let content = log_content(now, &log);
        let (bytes, lines) = (row.log_bytes + content.len() as i64, row.log_lines + log.len() as i64);
        match &settlement.verdict {
            Verdict::Resume(told) => self.resumes.push(ResumeRow {
                id: row.id,
                resume: told.to_string(),
                log_next_seq: row.log_next_seq + i64::from(!content.is_empty()),
                log_bytes: bytes,
                log_lines: lines,
            }),
            Verdict::Success(_) | Verdict::Skipped | Verdict::Failed | Verdict::FailedForGood => {
                self.attempts.push(AttemptRow {
                    id: row.id,
                    claim: row.claim_id,
                    exit_code: None,
                    rendered: row.rendered,
                    log_bytes: bytes,
                    log_lines: lines,
                    log_bytes_dropped: row.log_bytes_dropped,
                    ended_at: now.as_micros(),
                });
            }
        }
        if let Verdict::Success(xcoms) = &settlement.verdict {
            self.xcoms.extend(xcoms.iter().map(|xcom| XComRow {
                ti: row.id,
                epoch: settlement.epoch.0 + epoch_step,
                key: &xcom.key,
                value: &xcom.value,
            }));
        }
        if !content.is_empty() {
            let (task_instance, try_number, seq) = (row.id, row.try_number, row.log_next_seq);
            self.logs.push(LogRow { task_instance, try_number, seq, content });
        }
    }

    async fn carry_out(&self, tx: &mut Transaction, now: Timestamp, settler: Settler<'_>) -> Result<(), Abort> {
        for (task_instance, answer) in &self.answers {
            write_answer(tx, now, *task_instance, answer).await?;
        }
        if !self.moves.is_empty() {
            // What has been waited for goes with the move: the database's own trigger deletes it.
            tx.query(statement!("end_suspended"))
                .bind(json(&self.moves))
                .bind(now.as_micros())
                .bind(settler.actor.as_str())
                .bind(settler.actor_id)
                .execute()
                .await?;
        }
        if !self.attempts.is_empty() {
            tx.query(statement!("record_attempts")).bind(json(&self.attempts)).execute().await?;
        }
        if !self.resumes.is_empty() {
            tx.query(statement!("resume_tries")).bind(json(&self.resumes)).execute().await?;
        }
        if !self.logs.is_empty() {
            tx.query(statement!("append_logs")).bind(json(&self.logs)).execute().await?;
        }
        if !self.xcoms.is_empty() {
            tx.query(statement!("write_xcoms")).bind(json(&self.xcoms)).bind(now.as_micros()).execute().await?;
        }
        Ok(())
    }
}

/// Writes down what somebody has answered, and who in the audit log; nobody, where the time was over.
async fn write_answer(
    tx: &mut Transaction,
    now: Timestamp,
    task_instance: TaskInstanceKey,
    answer: &AnswerNote,
) -> Result<(), Abort> {
    tx.query(
        "update human_task set chosen_options = $2, params_input = $3, responded_by = $4, responded_at = $5
         where task_instance_id = $1 and closed_at is null",
    )
    .bind(task_instance.0)
    .bind(&answer.chosen_options)
    .bind(&answer.params_input)
    .bind(&answer.responded_by)
    .bind(now.as_micros())
    .execute()
    .await?;
    let Some(principal) = &answer.responded_by else { return Ok(()) };
    let object = format!("task instance {task_instance}");
    let detail = Some(answer.chosen_options.as_str());
    audit_log::record(tx, now, Deed { principal, action: "answer", object: &object, detail }).await
}

fn state_after(verdict: &Verdict, row: &SuspendedRow) -> TaskState {
    match verdict {
        Verdict::Success(_) => TaskState::Success,
        Verdict::Skipped => TaskState::Skipped,
        Verdict::Failed if row.try_number <= row.max_tries => TaskState::UpForRetry,
        Verdict::Failed | Verdict::FailedForGood => TaskState::Failed,
        Verdict::Resume(_) => TaskState::Scheduled,
    }
}

/// What the looks have come to, in words; `None` where nobody has looked.
fn last_look(row: &SuspendedRow) -> Option<String> {
    let checks = row.checks.filter(|checks| *checks > 0)?;
    let times = if checks == 1 { "one look".to_owned() } else { format!("{checks} looks") };
    row.note.as_ref().map(|note| format!("the last of {times} found: {note}"))
}

fn log_content(now: Timestamp, lines: &[String]) -> String {
    let mut content = String::new();
    for line in lines.iter().flat_map(|line| line.lines()) {
        write_line(&mut content, now, Stream::System, line);
    }
    content
}

pub(crate) fn deferral(args: &str) -> Result<Deferral> {
    serde_json::from_str(args).map_err(|error| StoreError::Corrupt { what: "trigger", why: error.to_string() })
}

/// Why a deferral was ended that nothing could have ended any more.
const NO_TRIGGER: &str = "its trigger is gone";

impl Store {
    /// Finds deferrals without a trigger, triggers without a deferral, and triggers of dead triggerers, and puts them
    /// right. Returns how many there were: any number but 0 is a bug.
    ///
    /// # Errors
    /// The database failed.
    pub async fn repair_deferrals(&self, now: Timestamp, actor_id: &str) -> Result<u64> {
        let (astray, without) = self
            .transaction("check deferrals", |tx| {
                steps(async move {
                    let forgotten = tx
                        .query(
                            "delete from trigger where not exists (
                             select 1 from task_instance t
                             where t.id = trigger.task_instance_id and t.epoch = trigger.epoch and t.state = 'deferred')",
                        )
                        .execute()
                        .await?;
                    let freed = tx
                        .query(
                            "update trigger set owner = null
                             where owner in (select p.id from process p where p.state = 'dead')",
                        )
                        .execute()
                        .await?;
                    let without: Vec<(i64, i64)> = tx
                        .query(
                            "select t.id, t.epoch from task_instance t
                             where t.state = 'deferred' and not exists (select 1 from trigger g where g.task_instance_id = t.id)",
                        )
                        .all()
                        .await?;
                    Ok((forgotten + freed, without))
                })
            })
            .await?;
        let settlements: Vec<Settlement> = without
            .into_iter()
            .map(|(id, epoch)| Settlement {
                task_instance: TaskInstanceKey(id),
                epoch: Epoch(epoch),
                from: TaskState::Deferred,
                owner: None,
                verdict: Verdict::Failed,
                reason: Some(NO_TRIGGER.to_owned()),
                log: vec![NO_TRIGGER.to_owned()],
                tells_last_look: true,
                answer: None,
            })
            .collect();
        if settlements.is_empty() {
            return Ok(astray);
        }
        let settled = self.settle(now, Settler { actor: Actor::Scheduler, actor_id }, &settlements).await?;
        Ok(astray + settled.len() as u64)
    }
}
