//! What is secret in an attempt: fetched for its templates, and kept out of everything that leaves it.

use flow_model::connection::secrets_in;
use flow_model::question::Question;
use flow_model::{Connection, SecretText};
use flow_secrets::{Masker, Secrets, SecretsError};
use flow_store::NewXCom;
use serde_json::Value;

use super::{Ended, Ending, Workshop};
use crate::log::AttemptLog;
use crate::operators::{ProcessWork, Program, Work};

/// Characters of a question's subject.
const SUBJECT_CHARACTERS_MAX: usize = 200;

/// A variable's text for templates. `None`: there is none.
pub(super) async fn variable(secrets: &Secrets, masker: &Masker, key: &str) -> Result<Option<Value>, SecretsError> {
    let (value, is_secret) = match secrets.find_variable(key).await {
        Ok((value, place)) => (value, secrets.is_secret_variable(key, place).await?),
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    if is_secret {
        masker.learn(&value);
        // Templates can name the parts of one that holds JSON.
        if let Ok(parts) = serde_json::from_str(value.expose()) {
            learn_texts(masker, &parts);
        }
    } else if let Ok(parts) = serde_json::from_str(value.expose()) {
        // Others hold secrets in fields whose names say so.
        secrets_in(&parts).iter().for_each(|secret| masker.learn(secret));
    }
    Ok(Some(Value::String(value.expose().to_owned())))
}

/// A connection for templates. `None`: there is none.
pub(super) async fn connection(
    secrets: &Secrets,
    masker: &Masker,
    conn_id: &str,
) -> Result<Option<Value>, SecretsError> {
    match secrets.connection(conn_id).await {
        Ok(connection) => {
            masker.learn_connection(&connection);
            Ok(Some(connection.to_json()))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A connection that the attempt itself goes over; its log hides what is secret of it from now on.
pub(super) async fn connected(workshop: &Workshop, conn_id: &str, log: &AttemptLog) -> Result<Connection, Ending> {
    match workshop.secrets.connection(conn_id).await {
        Ok(connection) => {
            log.masker().learn_connection(&connection);
            Ok(connection)
        }
        Err(SecretsError::Store(error)) => Err(Ending::Lost(format!("could not read the connection: {error}"))),
        Err(error) => Err(Ending::Failed(error.to_string())),
    }
}

/// Refuses work that would show a secret to everybody on the machine, or keep it in the clear.
pub(super) fn check(work: &Work, masker: &Masker) -> Result<(), String> {
    match work {
        Work::Process(process) => check_process(process, masker),
        Work::Plugin(plugin) => check_process(&plugin.process, masker),
        Work::Docker(docker) if docker.command_line().any(|text| masker.finds(text)) => {
            Err("a secret stands in the container's command line or labels, which everybody who may list containers can read\nhint: pass it in `env`".to_owned())
        }
        Work::KubernetesPod(pod) if masker.finds_in(&pod.kept()) => {
            Err("a secret stands in the pod's command line, labels or template, which everybody who may read pods can read\nhint: pass it in `env`, or let `pod_template` take it from a Secret of the cluster with `envFrom`".to_owned())
        }
        Work::TriggerDag(work) => {
            let asked = &work.asked;
            let texts = [Some(&asked.trigger_dag_id), asked.trigger_run_id.as_ref(), asked.logical_date.as_ref()];
            if texts.into_iter().flatten().any(|text| masker.finds(text))
                || masker.finds_in(&Value::Object(asked.conf.clone()))
            {
                return Err("the run to start would keep a secret in its `conf`\nhint: pass the name of the connection or variable, and let the other DAG's tasks look it up".to_owned());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_process(work: &ProcessWork, masker: &Masker) -> Result<(), String> {
    let program = match &work.program {
        Program::Named(name) | Program::BashCode(name) | Program::Plugin { name } => Some(name),
        Program::Script { .. } | Program::Python(_) => None,
    };
    if program.into_iter().chain(&work.args).any(|text| masker.finds(text)) {
        return Err("a secret stands in the command line, which everybody on the machine can read\nhint: pass it in `env` or `stdin`; templates in the code of `bash` are passed safely by themselves".to_owned());
    }
    Ok(())
}

/// Hides secrets in how the work went. A deferral that holds one is refused: what waits is kept in the clear.
pub(super) fn conceal(mut ended: Ended, masker: &Masker) -> Ended {
    ended.kind = match ended.kind {
        Ending::Skipped(reason) => Ending::Skipped(masked(masker, reason)),
        Ending::Failed(reason) => Ending::Failed(masked(masker, reason)),
        Ending::FailedNotBefore(pause, reason) => Ending::FailedNotBefore(pause, masked(masker, reason)),
        Ending::FailedRetryAfter(delay, reason) => Ending::FailedRetryAfter(delay, masked(masker, reason)),
        Ending::FailedForGood(reason) => Ending::FailedForGood(masked(masker, reason)),
        Ending::Lost(reason) => Ending::Lost(masked(masker, reason)),
        Ending::Rescheduled { at, resume, reason } => Ending::Rescheduled {
            at,
            resume: resume.map(|resume| masker.mask_json(resume)),
            reason: reason.map(|reason| masked(masker, reason)),
        },
        Ending::Deferred(deferral) => {
            let trigger = serde_json::to_value(&deferral.trigger).unwrap_or_default();
            if masker.finds_in(&trigger) {
                Ending::FailedForGood("it would wait with a secret kept in the clear\nhint: give the sensor a `connection`; the triggerer looks it up itself".to_owned())
            } else {
                Ending::Deferred(deferral)
            }
        }
        Ending::AwaitingInput(question) => {
            let shown = serde_json::to_value(&question).map(|question| masker.mask_json(question));
            let masked = shown.and_then(serde_json::from_value::<Question>);
            match masked {
                Ok(masked) => Ending::AwaitingInput(Box::new(short(masked))),
                Err(_) => Ending::FailedForGood("its question would show a secret in place of a number".to_owned()),
            }
        }
        other @ (Ending::Success | Ending::Stopped(_)) => other,
    };
    for xcom in &mut ended.xcoms {
        conceal_xcom(xcom, masker);
    }
    ended
}

/// A question with a subject that fits into lists: cut here, where no secret can be cut into pieces any more.
fn short(question: Question) -> Question {
    Question { subject: question.subject.chars().take(SUBJECT_CHARACTERS_MAX).collect(), ..question }
}

fn conceal_xcom(xcom: &mut NewXCom, masker: &Masker) {
    if let Ok(value) = serde_json::from_str::<Value>(&xcom.value)
        && masker.finds_in(&value)
    {
        xcom.value = masker.mask_json(value).to_string();
    }
}

fn masked(masker: &Masker, text: impl AsRef<str>) -> String {
    masker.mask(text.as_ref()).into_owned()
}

fn learn_texts(masker: &Masker, value: &Value) {
    match value {
        Value::String(text) => masker.learn(&SecretText::new(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| learn_texts(masker, item)),
        Value::Object(fields) => fields.values().for_each(|value| learn_texts(masker, value)),
        _ => {}
    }
}
