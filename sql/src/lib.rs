//! Runs SQL on the databases that connections lead to: PostgreSQL, SQLite, MySQL and MariaDB.
//!
//! A script is split into statements, its `:name` parameters become the database's own placeholders, values are bound and
//! never written into the text, and what the last statement answers comes back as JSON within limits.

mod answer;
mod calendar;
mod client;
mod dialect;
mod error;
mod mysql;
mod notices;
mod parameter;
mod postgres;
mod scan;
mod script;
mod sqlite;
mod target;

pub use answer::{Answer, Keep};
pub use client::{Observer, Progress, Request, SqlClient};
pub use dialect::Dialect;
pub use error::SqlError;
pub use notices::{NOTICE_TARGET, notices};
pub use script::{Script, Statement};
