//! What the databases' languages differ in, as far as reading a script goes.

/// The language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::Sqlite, Dialect::MySql];

    /// The name that people know.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Postgres => "PostgreSQL",
            Dialect::Sqlite => "SQLite",
            Dialect::MySql => "MySQL",
        }
    }

    /// The character that ends what this one opens, where it opens a quoted text or name.
    pub(super) fn closing_quote(self, open: u8) -> Option<u8> {
        match (open, self) {
            (b'\'' | b'"', _) | (b'`', Dialect::MySql | Dialect::Sqlite) => Some(open),
            (b'[', Dialect::Sqlite) => Some(b']'),
            _ => None,
        }
    }

    /// Whether a backslash takes the next character's meaning away; in PostgreSQL only in `E'...'`.
    pub fn has_backslash_escapes(self, quote: u8, follows_e: bool) -> bool {
        match self {
            Dialect::MySql => quote != b'`',
            Dialect::Postgres => quote == b'\'' && follows_e,
            Dialect::Sqlite => false,
        }
    }

    /// What may be created with a body of several statements between `begin` and `end`.
    pub(super) fn has_body(self, what: &str) -> bool {
        match self {
            Dialect::Postgres => matches!(what, "function" | "procedure"),
            Dialect::Sqlite => what == "trigger",
            Dialect::MySql => matches!(what, "function" | "procedure" | "trigger" | "event"),
        }
    }
}
