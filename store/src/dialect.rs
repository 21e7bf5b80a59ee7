//! Where the SQL of the two databases differs.

use sqlx::{PgConnection, SqliteConnection};

/// Chooses between two texts by the kind of connection.
pub(crate) trait Dialect {
    /// `postgres` on PostgreSQL, `sqlite` on SQLite.
    fn choose(&self, postgres: &'static str, sqlite: &'static str) -> &'static str;
}

impl Dialect for PgConnection {
    fn choose(&self, postgres: &'static str, _: &'static str) -> &'static str {
        postgres
    }
}

impl Dialect for SqliteConnection {
    fn choose(&self, _: &'static str, sqlite: &'static str) -> &'static str {
        sqlite
    }
}

/// The statement named `$name` in the dialect of the connection: `sql/postgres/<name>.sql` or `sql/sqlite/<name>.sql`.
macro_rules! statement {
    ($connection:expr, $name:literal) => {
        $crate::dialect::Dialect::choose(
            &*$connection,
            include_str!(concat!("../sql/postgres/", $name, ".sql")),
            include_str!(concat!("../sql/sqlite/", $name, ".sql")),
        )
    };
}

pub(crate) use statement;
