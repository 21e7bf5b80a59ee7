//! Where a connection leads to.

use flow_model::Connection;

use crate::{Dialect, SqlError, mysql, postgres, sqlite};

/// A database, with how to get in. It holds a password: it cannot be shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Postgres(postgres::Options),
    MySql(mysql::Options),
    Sqlite(sqlite::Options),
}

impl Target {
    /// Reads a connection.
    ///
    /// # Errors
    /// It is no database, or lacks what is needed.
    pub fn of(connection: &Connection) -> Result<Self, SqlError> {
        let refuse = |why: String| SqlError::Connection(format!("the connection `{}` {why}", connection.conn_id));
        let extra = |name: &str| connection.extra.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let file = |name: &str| {
            let path = extra(name);
            match &path {
                Some(path) if !std::path::Path::new(path).is_file() => {
                    Err(refuse(format!("names the file `{path}` as its `{name}`, which does not exist on this worker")))
                }
                _ => Ok(path),
            }
        };
        let filled = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let password =
            || connection.password.as_ref().map(|text| text.expose().to_owned()).filter(|text| !text.is_empty());
        let host = || filled(&connection.host).unwrap_or_else(|| "localhost".to_owned());
        match connection.conn_type.as_str() {
            "postgres" | "postgresql" => {
                let options = postgres::Options {
                    host: host(),
                    port: connection.port.unwrap_or(5_432),
                    login: filled(&connection.login),
                    password: password(),
                    database: filled(&connection.schema),
                    ssl_mode: extra("sslmode"),
                    ssl_root_cert: file("sslrootcert")?,
                    ssl_cert: file("sslcert")?,
                    ssl_key: file("sslkey")?,
                };
                options.check().map_err(|why| refuse(format!("cannot be used: {why}")))?;
                Ok(Target::Postgres(options))
            }
            "mysql" | "mariadb" => {
                let options = mysql::Options {
                    host: host(),
                    port: connection.port.unwrap_or(3_306),
                    login: filled(&connection.login),
                    password: password(),
                    database: filled(&connection.schema),
                    ssl_mode: extra("ssl_mode"),
                    ssl_ca: file("ssl_ca")?,
                };
                options.check().map_err(|why| refuse(format!("cannot be used: {why}")))?;
                Ok(Target::MySql(options))
            }
            "sqlite" => match filled(&connection.host).or_else(|| filled(&connection.schema)) {
                Some(path) if path == ":memory:" => Ok(Target::Sqlite(sqlite::Options { path: None })),
                Some(path) if path.starts_with('/') => Ok(Target::Sqlite(sqlite::Options { path: Some(path.into()) })),
                path => Err(refuse(format!(
                    "does not say where the database is{}\nhint: give the file's whole path as its host, from the `/` on, or `:memory:`",
                    path.map(|path| format!(": `{path}`")).unwrap_or_default()
                ))),
            },
            other => Err(refuse(format!(
                "has the type `{other}`, which is no database\nhint: it is `postgres`, `mysql` or `sqlite`"
            ))),
        }
    }

    /// The server to connect to, for people; none for a file.
    pub fn server(&self) -> Option<String> {
        match self {
            Target::Postgres(options) => Some(format!("PostgreSQL at {}:{}", options.host, options.port)),
            Target::MySql(options) => Some(format!("MySQL at {}:{}", options.host, options.port)),
            Target::Sqlite(_) => None,
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Target::Postgres(_) => Dialect::Postgres,
            Target::MySql(_) => Dialect::MySql,
            Target::Sqlite(_) => Dialect::Sqlite,
        }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.dialect().name())
    }
}
