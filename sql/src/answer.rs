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

/// How many answers a statement may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// One: as soon as it is too much, there is no need to hear the rest.
    One,
    /// Several, as of a procedure: which one is the last is known only at the end.
    Several,
}

/// Takes in what a statement answers. Of several answers the last one counts, and nothing of the others.
pub(crate) async fn collect<DB: Database>(
    mut stream: impl Stream<Item = Result<Either<DB::QueryResult, DB::Row>, sqlx::Error>> + Unpin,
    reader: &impl Reader<DB>,
    keep: Keep,
    answers: Answers,
) -> Result<Answer, CollectError> {
    let mut incoming = Incoming::default();
    let mut ended: [Option<Incoming>; 2] = [None, None];
    let mut rows_affected = 0;
    while let Some(item) = stream.try_next().await.map_err(CollectError::Database)? {
        match item {
            Either::Left(result) => {
                rows_affected += reader.affected(&result);
                let [_, last] = ended;
                ended = [last, Some(std::mem::take(&mut incoming))];
            }
            Either::Right(row) => {
                incoming.take(&row, reader, keep)?;
                if answers == Answers::One && incoming.too_much.is_some() {
                    break;
                }
            }
        }
    }
    // A call with answers ends with a result that has none.
    let last = match ended {
        [Some(before), Some(end)] if end.answer.row_count == 0 => before,
        [_, Some(last)] if incoming.answer.row_count == 0 => last,
        _ => incoming,
    };
    match last.too_much {
        Some(why) => Err(CollectError::Row(SqlError::TooMuch(why))),
        None => Ok(Answer { rows_affected, ..last.answer }),
    }
}

/// One answer, while it comes.
#[derive(Default)]
struct Incoming {
    answer: Answer,
    bytes: usize,
    /// Why it cannot be kept.
    too_much: Option<String>,
}

impl Incoming {
    fn take<DB: Database>(&mut self, row: &DB::Row, reader: &impl Reader<DB>, keep: Keep) -> Result<(), CollectError> {
        let answer = &mut self.answer;
        if answer.row_count == 0 {
            answer.columns = columns(row, reader).map_err(CollectError::Row)?;
        }
        answer.row_count += 1;
        let bytes_max = match keep {
            _ if self.too_much.is_some() => return Ok(()),
            Keep::All { rows_max, .. } if answer.rows.len() == rows_max => {
                self.too_much = Some(format!(
                    "the query returns more than {rows_max} rows\nhint: let it return fewer, raise `max_rows`, or say with `fetch` that only the first row or their number is wanted"
                ));
                return Ok(());
            }
            Keep::First { .. } if !answer.rows.is_empty() => return Ok(()),
            Keep::All { bytes_max, .. } | Keep::First { bytes_max } => bytes_max,
            Keep::Nothing => return Ok(()),
        };
        let kept = read(row, &answer.columns, reader).map_err(CollectError::Row)?;
        self.bytes += serde_json::to_string(&kept).map_or(0, |text| text.len() + 1);
        if self.bytes > bytes_max {
            answer.rows.clear();
            self.too_much = Some(format!(
                "what the query returns is larger than {bytes_max} bytes\nhint: let it return fewer rows or columns, or have the data written to a file or table"
            ));
            return Ok(());
        }
        answer.rows.push(kept);
        Ok(())
    }
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
