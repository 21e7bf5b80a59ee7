//! Asks databases.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flow_model::limits::XCOM_BYTES_MAX;
use flow_secrets::{Masker, Secrets};
use flow_sql::{Keep, Progress, Request, SqlClient, SqlError};
use serde_json::{Map, Value};

use super::{Found, Look};

/// Notices of the database that are kept of one look.
const NOTICES_MAX: usize = 20;

/// What is waited for.
pub(super) struct Wanted<'a> {
    pub connection: &'a str,
    pub query: &'a str,
    pub parameters: &'a Map<String, Value>,
    pub fail_on_empty: bool,
}

/// Sends queries.
#[derive(Default)]
pub(super) struct SqlLooks {
    client: SqlClient,
}

impl SqlLooks {
    pub async fn look(&self, secrets: &Secrets, wanted: Wanted<'_>, timeout: Duration) -> Look {
        let connection = match secrets.connection(wanted.connection).await {
            Ok(connection) => connection,
            Err(error) if error.is_missing() => return Found::FailedForGood(error.to_string()).into(),
            Err(error) => return Found::NotYet(error.to_string()).into(),
        };
        let masker = Masker::default();
        masker.learn_connection(&connection);
        let request = Request {
            sql: wanted.query,
            parameters: wanted.parameters,
            autocommit: false,
            keep: Keep::First { bytes_max: XCOM_BYTES_MAX },
            timeout: Some(timeout),
        };
        let said = Mutex::new(Vec::new());
        let listen = |progress: Progress<'_>| {
            if let Progress::Notice { severity, text } = progress {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.len() < NOTICES_MAX {
                    said.push(masker.mask(&format!("{severity}: {text}")).into_owned());
                }
            }
        };
        let found = match self.client.run(&connection, &request, &listen).await {
            Ok(answer) => judge(answer.rows.into_iter().next(), wanted.fail_on_empty),
            Err(error) => refused(&error),
        };
        Look { found: found.masked(&masker), said: said.into_inner().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// A database that is away or busy may come back; a query that it does not understand will not be understood later.
fn refused(error: &SqlError) -> Found {
    let why = error.to_string();
    match error {
        SqlError::Unreachable(_) | SqlError::TimedOut(_) => Found::NotYet(why),
        SqlError::Connection(_) | SqlError::Request(_) | SqlError::TooMuch(_) => Found::FailedForGood(why),
        SqlError::Refused(_) => Found::Failed(why),
    }
}

/// Pure: whether the row is the wanted one.
fn judge(row: Option<Map<String, Value>>, fail_on_empty: bool) -> Found {
    let Some(row) = row else {
        return match fail_on_empty {
            true => Found::FailedForGood("the query returned no row".to_owned()),
            false => Found::NotYet("the query returned no row".to_owned()),
        };
    };
    let first = row.values().next().unwrap_or(&Value::Null);
    let is_there = match first {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        // As Airflow: `0` as text counts as nothing, too.
        Value::String(text) => !text.is_empty() && text != "0",
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    };
    if is_there { Found::There(Value::Object(row)) } else { Found::NotYet(format!("the first value is {first}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_value_decides() {
        let found = |value: Value| {
            let row = Map::from_iter([("a".to_owned(), value), ("b".to_owned(), json!(1))]);
            matches!(judge(Some(row), false), Found::There(_))
        };
        for value in [json!(1), json!(-0.5), json!("yes"), json!(true), json!([0])] {
            assert!(found(value.clone()), "{value}");
        }
        for value in [json!(0), json!(0.0), json!(""), json!("0"), json!(false), json!(null), json!([])] {
            assert!(!found(value.clone()), "{value}");
        }
        assert_eq!(judge(None, false), Found::NotYet("the query returned no row".to_owned()));
        assert_eq!(judge(None, true), Found::FailedForGood("the query returned no row".to_owned()));
    }
}
