//! What a script has answered, kept within limits.

use futures_util::{Stream, TryStreamExt};
use serde_json::{Map, Value};
use sqlx::{Column, Database, Either, Row};

use crate::SqlError;

/// Which rows of the last statement are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All; more than `rows_max`, or more than `bytes_max` as JSON, is an error.
    All {
        /// Rows at most.
        rows_max: usize,
        /// Bytes of JSON at most.
        bytes_max: usize,
    },
    /// The first one, within so many bytes of JSON.
    First {
        /// Bytes of JSON at most.
        bytes_max: usize,
    },
    /// None: they are only counted.
    Nothing,
}

/// What the last statement has answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The columns; one that stands twice gets a number: `id`, `id_2`.
    pub columns: Vec<String>,
    /// The rows that are kept: columns in order, with their values.
    pub rows: Vec<Map<String, Value>>,
    /// How many rows there were.
    pub row_count: u64,
    /// How many rows a statement without an answer has changed, as the database counts them.
    pub rows_affected: u64,
}

impl Answer {
    /// Rows that came back; or, where none could, rows that were changed.
    pub fn count(&self) -> u64 {
        if self.columns.is_empty() { self.rows_affected } else { self.row_count }
    }
}

/// What went wrong while rows came in.
pub(crate) enum CollectError {
    Database(sqlx::Error),
    Row(SqlError),
}

/// How one database's rows are read.
pub(crate) trait Reader<DB: Database> {
    /// Refuses columns whose values it cannot read.
    fn check(&self, column: &DB::Column) -> Result<(), String>;
    /// The value of a column.
    fn value(&self, row: &DB::Row, index: usize) -> Result<Value, sqlx::error::BoxDynError>;
    /// Rows that a statement has changed.
    fn affected(&self, result: &DB::QueryResult) -> u64;
}

/// Takes in what a statement answers.
pub(crate) async fn collect<DB: Database>(
    mut stream: impl Stream<Item = Result<Either<DB::QueryResult, DB::Row>, sqlx::Error>> + Unpin,
    reader: &impl Reader<DB>,
    keep: Keep,
) -> Result<Answer, CollectError> {
    let mut answer = Answer::default();
    let mut bytes = 0;
    while let Some(item) = stream.try_next().await.map_err(CollectError::Database)? {
        let row = match item {
            Either::Left(result) => {
                answer.rows_affected += reader.affected(&result);
                continue;
            }
            Either::Right(row) => row,
        };
        if answer.row_count == 0 {
            answer.columns = columns(&row, reader).map_err(CollectError::Row)?;
        }
        answer.row_count += 1;
        let bytes_max = match keep {
            Keep::All { rows_max, .. } if answer.rows.len() == rows_max => {
                return Err(CollectError::Row(SqlError::TooMuch(format!(
                    "the query returns more than {rows_max} rows\nhint: let it return fewer, raise `max_rows`, or say with `fetch` that only the first row or their number is wanted"
                ))));
            }
            Keep::First { .. } if !answer.rows.is_empty() => continue,
            Keep::All { bytes_max, .. } | Keep::First { bytes_max } => bytes_max,
            Keep::Nothing => continue,
        };
        let kept = read(&row, &answer.columns, reader).map_err(CollectError::Row)?;
        bytes += serde_json::to_string(&kept).map_or(0, |text| text.len() + 1);
        if bytes > bytes_max {
            return Err(CollectError::Row(SqlError::TooMuch(format!(
                "what the query returns is larger than {bytes_max} bytes\nhint: let it return fewer rows or columns, or have the data written to a file or table"
            ))));
        }
        answer.rows.push(kept);
    }
    Ok(answer)
}

fn columns<DB: Database>(row: &DB::Row, reader: &impl Reader<DB>) -> Result<Vec<String>, SqlError> {
    let mut names: Vec<String> = Vec::new();
    for column in row.columns() {
        reader.check(column).map_err(SqlError::Request)?;
        let mut name = column.name().to_owned();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{}_{number}", column.name());
            number += 1;
        }
        names.push(name);
    }
    Ok(names)
}

fn read<DB: Database>(
    row: &DB::Row,
    columns: &[String],
    reader: &impl Reader<DB>,
) -> Result<Map<String, Value>, SqlError> {
    let value = |(index, name): (usize, &String)| match reader.value(row, index) {
        Ok(value) => Ok((name.clone(), value)),
        Err(error) => Err(SqlError::Request(format!("cannot read the column `{name}`: {error}"))),
    };
    columns.iter().enumerate().map(value).collect()
}

/// A real number; JSON has no word for those that are no number.
pub(crate) fn real(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(
        || {
            Value::String(
                if value.is_nan() {
                    "NaN"
                } else if value > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                }
                .to_owned(),
            )
        },
        Value::Number,
    )
}

/// Bytes: as base64.
pub(crate) fn base64(bytes: &[u8]) -> Value {
    use base64::Engine;
    Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
}
