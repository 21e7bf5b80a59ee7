//! Attempts of `sql`: statements run from the worker, and told about in the log as they begin and end.

use flow_model::Connection;
use flow_model::limits::XCOM_BYTES_MAX;
use flow_model::operator::Sql;
use flow_model::operator::sql::Fetch;
use flow_sql::{Answer, Keep, Progress, Request, SqlClient, SqlError};
use serde_json::{Value, json};

use super::{Ended, Ending, Workshop, secrecy};
use crate::log::AttemptLog;
use crate::operators::SqlWork;
use crate::output::xcom;
use flow_model::dag::RETURN_VALUE;

/// Characters of a statement in the log.
const SHOWN_CHARS_MAX: usize = 200;

pub(super) async fn run(workshop: &Workshop, work: SqlWork, log: &AttemptLog) -> Ended {
    match answer(workshop, &work, log).await {
        Ok(answer) => {
            let xcoms = left(&work.sql, answer).into_iter().map(|(key, value)| xcom(key, &value)).collect();
            Ended { kind: Ending::Success, exit_code: None, xcoms, skips: Vec::new() }
        }
        Err(ending) => Ended::new(ending),
    }
}

async fn answer(workshop: &Workshop, work: &SqlWork, log: &AttemptLog) -> Result<Answer, Ending> {
    let sql = &work.sql;
    let connection = connection(workshop, sql, log).await?;
    let bound = SqlClient::dialect(&connection).and_then(|dialect| work.statements.bind(dialect, &sql.parameters));
    let bound = bound.map_err(|error| ending(&error))?;
    let request = Request {
        sql: &bound.text,
        parameters: &bound.parameters,
        autocommit: sql.autocommit,
        keep: match sql.fetch {
            Fetch::Rows => Keep::All { rows_max: sql.max_rows as usize, bytes_max: XCOM_BYTES_MAX },
            Fetch::First => Keep::First { bytes_max: XCOM_BYTES_MAX },
            Fetch::Count | Fetch::Nothing => Keep::Nothing,
        },
        timeout: sql.timeout,
    };
    let tell = |progress: Progress<'_>| log.system(workshop.store.now(), &told(&progress));
    workshop.sql.run(&connection, &request, &tell).await.map_err(|error| ending(&error))
}

async fn connection(workshop: &Workshop, sql: &Sql, log: &AttemptLog) -> Result<Connection, Ending> {
    if let Some(path) = &sql.sqlite {
        return Ok(Connection { host: Some(path.clone()), ..Connection::new(path.clone(), "sqlite") });
    }
    secrecy::connected(workshop, sql.connection.as_deref().unwrap_or_default(), log).await
}

/// What an error of SQL means for the try.
pub(super) fn ending(error: &SqlError) -> Ending {
    if error.is_permanent() { Ending::FailedForGood(error.to_string()) } else { Ending::Failed(error.to_string()) }
}

fn told(progress: &Progress<'_>) -> String {
    match progress {
        Progress::Begins { number, of, text } => {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown = match line.char_indices().nth(SHOWN_CHARS_MAX) {
                Some((end, _)) => format!("{}...", &line[..end]),
                None => line,
            };
            format!("statement {number} of {of}: {shown}")
        }
        Progress::Notice { severity, text } => format!("{severity}: {text}"),
        Progress::Ended { rows, rows_affected, elapsed } => {
            let millis = elapsed.as_millis();
            let (count, what) = if *rows > 0 { (*rows, "") } else { (*rows_affected, " affected") };
            let rows = if count == 1 { "row" } else { "rows" };
            format!("{count} {rows}{what} in {millis} ms")
        }
    }
}

/// What becomes XComs.
fn left(sql: &Sql, answer: Answer) -> Vec<(&'static str, Value)> {
    let has_answer = !answer.columns.is_empty() || answer.row_count > 0;
    let count = if has_answer { answer.row_count } else { answer.rows_affected };
    let value = match sql.fetch {
        Fetch::Nothing => return Vec::new(),
        Fetch::Count => return vec![(RETURN_VALUE, json!(count))],
        Fetch::Rows => Value::Array(answer.rows.into_iter().map(Value::Object).collect()),
        Fetch::First => answer.rows.into_iter().next().map_or(Value::Null, Value::Object),
    };
    vec![(RETURN_VALUE, value), ("row_count", json!(count))]
}
