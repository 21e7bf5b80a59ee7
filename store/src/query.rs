//! Statements, the values bound to them, and the rows they give, the same for both databases.

use std::borrow::Cow;

use futures_util::stream::BoxStream;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow, SqlSafeStr, SqlStr};

use crate::transaction::{Connection, Transaction};

/// A statement in both dialects.
pub(crate) enum Statement {
    /// In PostgreSQL's, and in SQLite's.
    Both(&'static str, &'static str),
    /// Put together for the database at hand.
    Composed(String),
}

impl Statement {
    pub(crate) fn text_for(self, tx: &Transaction) -> SqlStr {
        match self {
            Statement::Both(postgres, sqlite) => tx.choose(postgres, sqlite).into_sql_str(),
            Statement::Composed(text) => AssertSqlSafe(text).into_sql_str(),
        }
    }
}

impl From<&'static str> for Statement {
    fn from(same: &'static str) -> Self {
        Statement::Both(same, same)
    }
}

impl From<AssertSqlSafe<String>> for Statement {
    fn from(composed: AssertSqlSafe<String>) -> Self {
        Statement::Composed(composed.0)
    }
}

/// The statement of this name: `sql/postgres/<name>.sql` and `sql/sqlite/<name>.sql`.
macro_rules! statement {
    ($name:literal) => {
        $crate::query::Statement::Both(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/postgres/", $name, ".sql")),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/sqlite/", $name, ".sql")),
        )
    };
}
pub(crate) use statement;

/// A value that a statement is given.
pub(crate) enum Value<'q> {
    Integer(Option<i64>),
    Bool(Option<bool>),
    Text(Option<Cow<'q, str>>),
    Bytes(Cow<'q, [u8]>),
}

macro_rules! values {
    ($($type:ty => |$value:ident| $make:expr;)+) => {
        $(impl<'q> From<$type> for Value<'q> {
            fn from($value: $type) -> Self {
                $make
            }
        })+
    };
}
values!(
    i64 => |value| Value::Integer(Some(value));
    Option<i64> => |value| Value::Integer(value);
    bool => |value| Value::Bool(Some(value));
    Option<bool> => |value| Value::Bool(value);
    &'q str => |value| Value::Text(Some(Cow::Borrowed(value)));
    Option<&'q str> => |value| Value::Text(value.map(Cow::Borrowed));
    &'q String => |value| Value::Text(Some(Cow::Borrowed(value.as_str())));
    &'q Option<String> => |value| Value::Text(value.as_deref().map(Cow::Borrowed));
    String => |value| Value::Text(Some(Cow::Owned(value)));
    Option<String> => |value| Value::Text(value.map(Cow::Owned));
    &'q [u8] => |value| Value::Bytes(Cow::Borrowed(value));
    &'q Vec<u8> => |value| Value::Bytes(Cow::Borrowed(value.as_slice()));
);

/// A row of either database.
pub(crate) trait Row: Send + Unpin + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> {}
impl<T: Send + Unpin + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow>> Row for T {}

/// A statement on its way, with what is bound to it so far.
pub(crate) struct Query<'t, 'q> {
    connection: Connection<'t>,
    text: SqlStr,
    values: Vec<Value<'q>>,
}

/// Gives a query of the driver the values, in their order.
macro_rules! bound {
    ($query:expr, $values:expr) => {
        $values.into_iter().fold($query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Bool(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        })
    };
}

impl<'t, 'q> Query<'t, 'q> {
    pub(crate) fn new(connection: Connection<'t>, text: SqlStr) -> Self {
        Query { connection, text, values: Vec::new() }
    }

    /// Binds the next value: `$1`, `$2` and so on.
    pub(crate) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Carries it out; gives how many rows it has changed.
    pub(crate) async fn execute(self) -> sqlx::Result<u64> {
        Ok(match self.connection {
            Connection::Postgres(on) => bound!(sqlx::query(self.text), self.values).execute(on).await?.rows_affected(),
            Connection::Sqlite(on) => bound!(sqlx::query(self.text), self.values).execute(on).await?.rows_affected(),
        })
    }

    /// All its rows.
    pub(crate) async fn all<T: Row>(self) -> sqlx::Result<Vec<T>> {
        match self.connection {
            Connection::Postgres(on) => bound!(sqlx::query_as(self.text), self.values).fetch_all(on).await,
            Connection::Sqlite(on) => bound!(sqlx::query_as(self.text), self.values).fetch_all(on).await,
        }
    }

    /// Its first row, if there is one.
    pub(crate) async fn optional<T: Row>(self) -> sqlx::Result<Option<T>> {
        match self.connection {
            Connection::Postgres(on) => bound!(sqlx::query_as(self.text), self.values).fetch_optional(on).await,
            Connection::Sqlite(on) => bound!(sqlx::query_as(self.text), self.values).fetch_optional(on).await,
        }
    }

    /// Its first row.
    pub(crate) async fn one<T: Row>(self) -> sqlx::Result<T> {
        self.optional().await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// The first column of all its rows.
    pub(crate) async fn scalars<T>(self) -> sqlx::Result<Vec<T>>
    where
        (T,): Row,
    {
        Ok(self.all::<(T,)>().await?.into_iter().map(|(value,)| value).collect())
    }

    /// The first column of its first row, if there is one.
    pub(crate) async fn optional_scalar<T>(self) -> sqlx::Result<Option<T>>
    where
        (T,): Row,
    {
        Ok(self.optional::<(T,)>().await?.map(|(value,)| value))
    }

    /// The first column of its first row.
    pub(crate) async fn scalar<T>(self) -> sqlx::Result<T>
    where
        (T,): Row,
    {
        self.one::<(T,)>().await.map(|(value,)| value)
    }

    /// Its rows as they come, for what is too much to hold at once.
    pub(crate) fn stream<'s, T: Row + 's>(self) -> BoxStream<'s, sqlx::Result<T>>
    where
        't: 's,
        'q: 's,
    {
        match self.connection {
            Connection::Postgres(on) => bound!(sqlx::query_as(self.text), self.values).fetch(on),
            Connection::Sqlite(on) => bound!(sqlx::query_as(self.text), self.values).fetch(on),
        }
    }
}
