//! What can go wrong, in words for whoever wrote the query.

use std::time::Duration;

pub(crate) use flow_model::error_chain as chain;
use flow_model::time::duration_text;

use crate::Script;

/// A script could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The connection says something that cannot be used; trying again does not help.
    #[error("{0}")]
    Connection(String),
    /// The query and its parameters do not go together; trying again does not help.
    #[error("{0}")]
    Request(String),
    /// Nobody answers, or nobody lets us in.
    #[error("{0}")]
    Unreachable(String),
    /// The database has refused a statement, or the connection broke.
    #[error("{0}")]
    Refused(String),
    /// There is more than may be kept.
    #[error("{0}")]
    TooMuch(String),
    /// It took longer than it may; what was under way has been stopped.
    #[error("the query ran longer than its `timeout` of {}, and was stopped", duration_text::format(*.0))]
    TimedOut(Duration),
}

impl SqlError {
    /// The time was over before the server had let us in.
    pub(crate) fn connecting(server: &str, timeout: Duration) -> Self {
        let timeout = duration_text::format(timeout);
        SqlError::Unreachable(format!(
            "was still connecting to {server} when its `timeout` of {timeout} was over; no statement was run"
        ))
    }

    /// Whether trying again cannot help.
    pub fn is_permanent(&self) -> bool {
        matches!(self, SqlError::Connection(_) | SqlError::Request(_))
    }
}

/// Words for a statement that failed: which one, where, and what the database says about it.
pub(crate) fn refused(
    script: &Script<'_>,
    index: usize,
    place: Option<usize>,
    error: &sqlx::Error,
    details: Vec<(&str, &str)>,
) -> SqlError {
    let count = script.statements().len();
    let which = if count == 1 { "the statement".to_owned() } else { format!("statement {} of {count}", index + 1) };
    let (line, column) = script.place(place.unwrap_or_else(|| script.statements()[index].range().start));
    let at = if place.is_some() { format!("line {line}, column {column}") } else { format!("from line {line}") };
    let message = match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => chain(other),
    };
    let mut text = format!("{which} ({at}) failed: {message}");
    for (name, detail) in details {
        text.push_str(&format!("\n{name}: {detail}"));
    }
    SqlError::Refused(text)
}
