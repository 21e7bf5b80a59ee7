//! Attempts of `webhook`, `slack` and `email`.

use serde_json::Value;

use super::{Ended, Ending, Workshop};
use crate::log::AttemptLog;
use crate::notice::{Mailroom, NoticeError};
use crate::operators::Notice;
use crate::output::xcom;
use flow_model::dag::RETURN_VALUE;

pub(super) async fn run(workshop: &Workshop, notice: Notice, log: &AttemptLog) -> Ended {
    let now = workshop.store.now();
    let room = Mailroom { http: &workshop.http, secrets: &workshop.secrets, masker: log.masker() };
    match room.send(notice, now).await {
        Ok(said) => {
            log.system(workshop.store.now(), &said);
            let xcoms = vec![xcom(RETURN_VALUE, &Value::String(said))];
            Ended { kind: Ending::Success, exit_code: None, xcoms, skips: Vec::new() }
        }
        Err(NoticeError::Failed(why)) => Ended::new(Ending::Failed(why)),
        Err(NoticeError::Wait(pause, why)) => Ended::new(Ending::FailedNotBefore(pause, why)),
        Err(NoticeError::ForGood(why)) => Ended::new(Ending::FailedForGood(why)),
        Err(NoticeError::Store(why)) => Ended::new(Ending::Lost(format!("could not read a connection: {why}"))),
    }
}

#[cfg(test)]
mod tests;
