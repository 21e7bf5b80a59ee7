//! Runs SQL on the databases that connections lead to: PostgreSQL, SQLite, MySQL and MariaDB.
//!
//! A script is read by `flow_model::sql`, its `:name` parameters become the database's own placeholders, values are bound and
//! never written into the text, and what the last statement answers comes back as JSON within limits.

mod answer;
mod bind;
mod calendar;
mod client;
mod error;
mod mysql;
mod notices;
mod parameter;
mod postgres;
mod rewrite;
mod sqlite;
mod target;

pub use answer::{Answer, Keep};
pub use bind::{Bound, Piece, bind};
pub use client::{Observer, Progress, Request, SqlClient};
pub use error::SqlError;
pub use flow_model::sql::{Dialect, Script, Statement};
pub use notices::{NOTICE_TARGET, notices};
