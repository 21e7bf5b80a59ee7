//! A private place in each database, and scripts that run there.

use std::path::Path;
use std::time::Duration;

use flow_model::Connection;
use flow_sql::{Answer, Keep, Progress, Request, SqlClient, SqlError};
use flow_testbed::{MariaDb, shared_mariadb, shared_postgres};
use serde_json::{Map, Value};

/// Where scripts run.
pub struct Place {
    pub connection: Connection,
    pub client: SqlClient,
    _folder: Option<tempfile::TempDir>,
}

/// How a script is run.
pub struct Run<'a> {
    place: &'a Place,
    sql: &'a str,
    parameters: Map<String, Value>,
    autocommit: bool,
    keep: Keep,
    timeout: Option<Duration>,
}

fn connection(conn_type: &str) -> Connection {
    Connection::new("test", conn_type)
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Place {
            connection: sqlite(&folder.path().join("test.db")),
            client: SqlClient::default(),
            _folder: Some(folder),
        }
    }

    pub fn postgres() -> Self {
        let server = shared_postgres();
        let url = server.create_database().unwrap();
        let connection = Connection {
            host: Some("127.0.0.1".to_owned()),
            port: Some(server.port()),
            login: Some("flow".to_owned()),
            schema: url.rsplit('/').next().map(str::to_owned),
            ..connection("postgres")
        };
        Place { connection, client: SqlClient::default(), _folder: None }
    }

    pub fn mysql() -> Self {
        let server = shared_mariadb();
        let connection = Connection {
            host: Some("127.0.0.1".to_owned()),
            port: Some(server.port()),
            login: Some(MariaDb::LOGIN.to_owned()),
            password: Some(flow_model::SecretText::new(MariaDb::PASSWORD)),
            schema: Some(server.create_database().unwrap()),
            ..connection("mysql")
        };
        Place { connection, client: SqlClient::default(), _folder: None }
    }

    /// One of each.
    pub fn each() -> [Self; 3] {
        [Place::postgres(), Place::sqlite(), Place::mysql()]
    }

    pub fn script<'a>(&'a self, sql: &'a str) -> Run<'a> {
        let keep = Keep::All { rows_max: 1_000, bytes_max: 1 << 20 };
        Run { place: self, sql, parameters: Map::new(), autocommit: false, keep, timeout: None }
    }

    /// The first value of the answer to a script.
    pub async fn value(&self, sql: &str) -> Value {
        let answer = self.script(sql).run().await.unwrap();
        answer.rows[0].values().next().unwrap().clone()
    }
}

pub fn sqlite(path: &Path) -> Connection {
    Connection { host: Some(path.to_str().unwrap().to_owned()), ..connection("sqlite") }
}

impl Run<'_> {
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    pub fn autocommit(mut self) -> Self {
        self.autocommit = true;
        self
    }

    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub async fn run(self) -> Result<Answer, SqlError> {
        self.observed(&|_| {}).await
    }

    pub async fn observed(self, observer: &(dyn for<'p> Fn(Progress<'p>) + Sync)) -> Result<Answer, SqlError> {
        let Run { place, sql, parameters, autocommit, keep, timeout } = self;
        let request = Request { sql, parameters: &parameters, autocommit, keep, timeout };
        place.client.run(&place.connection, &request, observer).await
    }

    /// What the refusal says.
    pub async fn refusal(self) -> String {
        self.run().await.unwrap_err().to_string()
    }
}
