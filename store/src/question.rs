//! Questions that tasks ask people: answered once, by whom they are for, or by the default when the time is over.

use flow_model::control::check_outputs;
use flow_model::moves::{ANSWERED, Actor};
use flow_model::question::{Answer, Decision, Question};
use flow_model::{Epoch, TaskInstanceKey, TaskState, Timestamp};
use serde_json::Value;

use crate::connect::Store;
use crate::error::{Result, StoreError};
use crate::outcome::NewXCom;
use crate::rows::json_text;
use crate::suspended::{Settlement, Settler, Verdict};
use crate::transaction::step;
use crate::xcom::check_xcom_size;

/// Overdue questions ended in one go.
const EXPIRE_BATCH_MAX: i64 = 500;

/// The answer that is remembered with its question.
#[derive(Debug, Clone)]
pub(crate) struct AnswerNote {
    pub chosen_options: String,
    pub params_input: String,
    /// `None`: the default, since nobody answered in time.
    pub responded_by: Option<String>,
}

#[derive(sqlx::FromRow)]
struct OpenRow {
    task_instance_id: i64,
    epoch: i64,
    question: String,
}

impl Store {
    /// Takes a person's answer to the open question of a task instance, and moves the task on. Of several who answer at
    /// once one is first.
    ///
    /// # Errors
    /// There is no open question, or somebody else was faster (conflict); the person may not answer (denied); the answer
    /// does not fit, which [`Question::complete`] tells beforehand in detail (conflict); or the database failed.
    pub async fn answer_question(
        &self,
        now: Timestamp,
        task_instance: TaskInstanceKey,
        answer: &Answer,
        principal: &str,
    ) -> Result<Answer> {
        let row: Option<OpenRow> = self
            .reading("read an open question", |tx| {
                step(
                    tx.query(
                        "select task_instance_id, epoch, question from human_task
                         where task_instance_id = $1 and closed_at is null",
                    )
                    .bind(task_instance.0)
                    .optional(),
                )
            })
            .await?;
        let Some(row) = row else { return Err(self.no_open_question(task_instance).await) };
        let question = parse(&row.question)?;
        if !question.may_answer(principal) {
            return Err(StoreError::Denied(format!(
                "`{principal}` may not answer this question; hint: it is for {}",
                question.assignees.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )));
        }
        let answer = question.complete(answer).map_err(|problems| {
            StoreError::Conflict(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let settlement = settlement(&row, &question, &answer, Some(principal));
        if let Verdict::Success(xcoms) = &settlement.verdict {
            let sizes = xcoms.iter().try_for_each(|xcom| check_xcom_size(&xcom.key, xcom.value.len()));
            sizes.map_err(StoreError::Conflict)?;
        }
        let settler = Settler { actor: Actor::User, actor_id: principal };
        if self.settle(now, settler, &[settlement]).await?.is_empty() {
            return Err(self.no_open_question(task_instance).await);
        }
        Ok(answer)
    }

    async fn no_open_question(&self, task_instance: TaskInstanceKey) -> StoreError {
        let last: Result<Option<(Option<String>, Option<i64>)>> = self.reading("read who has answered", |tx| step(tx.query(
                "select responded_by, responded_at from human_task where task_instance_id = $1 order by id desc limit 1",
            )
            .bind(task_instance.0).optional())).await;
        match last {
            Err(error) => error,
            Ok(Some((Some(who), Some(at)))) => StoreError::Conflict(format!(
                "the question was answered by `{who}` at {}; hint: clear the task to ask again",
                Timestamp::from_micros(at)
            )),
            Ok(Some(_)) => {
                StoreError::Conflict("the question is not open any more; hint: clear the task to ask again".to_owned())
            }
            Ok(None) => StoreError::Conflict(
                "the task asks nobody at present; hint: it asks when it has been started".to_owned(),
            ),
        }
    }

    /// Ends the waiting for answers whose time is over: the default answer counts, or the task fails. Returns how many
    /// there were; there may be more.
    ///
    /// # Errors
    /// The database failed; then nothing has changed.
    pub async fn expire_questions(&self, now: Timestamp, actor_id: &str) -> Result<usize> {
        let overdue: Vec<OpenRow> = self.reading("look for overdue questions", |tx| step(tx.query(
                "select task_instance_id, epoch, question from human_task
                 where closed_at is null and deadline_at is not null and deadline_at <= $1 order by deadline_at limit $2",
            )
            .bind(now.as_micros())
            .bind(EXPIRE_BATCH_MAX).all())).await?;
        if overdue.is_empty() {
            return Ok(0);
        }
        let settlements = overdue.iter().map(expiry).collect::<Result<Vec<_>>>()?;
        Ok(self.settle(now, Settler { actor: Actor::Scheduler, actor_id }, &settlements).await?.len())
    }
}

fn expiry(row: &OpenRow) -> Result<Settlement> {
    let question = parse(&row.question)?;
    // A default that does not fit any more cannot count.
    let default = question.default.as_ref().and_then(|default| question.complete(default).ok());
    Ok(match default {
        Some(answer) => settlement(row, &question, &answer, None),
        None => {
            let reason = "timed out: nobody answered in time".to_owned();
            Settlement { log: vec![reason.clone()], reason: Some(reason), ..unsettled(row, Verdict::FailedForGood) }
        }
    })
}

fn settlement(row: &OpenRow, question: &Question, answer: &Answer, principal: Option<&str>) -> Settlement {
    let mut misfit = None;
    let verdict = match question.decide(answer) {
        Decision::Succeed(values) => {
            let values = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            match check_outputs(&question.outputs, &values) {
                Ok(()) => Verdict::Success(
                    values.into_iter().map(|(key, value)| NewXCom { key, value: json_text(&value) }).collect(),
                ),
                Err(why) => {
                    misfit = Some(why);
                    Verdict::FailedForGood
                }
            }
        }
        Decision::Skip => Verdict::Skipped,
        Decision::Fail => Verdict::FailedForGood,
    };
    let line = match principal {
        Some(who) => format!("answered by {who}: {}", answer.summary()),
        None => format!("nobody answered in time, so the default counts: {}", answer.summary()),
    };
    Settlement {
        reason: Some(match principal {
            Some(_) => ANSWERED.to_owned(),
            None => "answered by default".to_owned(),
        }),
        log: std::iter::once(line).chain(misfit).collect(),
        answer: Some(AnswerNote {
            chosen_options: json_text(&serde_json::json!(answer.chosen_options)),
            params_input: json_text(&Value::Object(answer.params_input.clone())),
            responded_by: principal.map(str::to_owned),
        }),
        ..unsettled(row, verdict)
    }
}

fn unsettled(row: &OpenRow, verdict: Verdict) -> Settlement {
    Settlement {
        task_instance: TaskInstanceKey(row.task_instance_id),
        epoch: Epoch(row.epoch),
        from: TaskState::AwaitingInput,
        owner: None,
        verdict,
        reason: None,
        log: Vec::new(),
        tells_last_look: false,
        answer: None,
    }
}

pub(crate) fn parse(text: &str) -> Result<Question> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt { what: "question", why: error.to_string() })
}
