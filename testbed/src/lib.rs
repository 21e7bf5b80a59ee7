//! Private PostgreSQL, PgBouncer, Redis and MariaDB servers for tests and benchmarks: real ones, with fsync on, on free ports, gone when
//! the process that started them is gone.

mod guard;
mod mariadb;
mod pgbouncer;
mod postgres;
mod redis;

use std::sync::OnceLock;

pub use mariadb::MariaDb;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use redis::Redis;

/// The PostgreSQL server of this process: started at first use, shared by all its tests.
///
/// # Panics
/// The server cannot be started; the message says how to install it.
pub fn shared_postgres() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| Postgres::start().unwrap_or_else(|error| panic!("{error:#}")))
}

/// The PgBouncer of this process in front of its PostgreSQL: started at first use, shared by all its tests.
///
/// # Panics
/// It cannot be started; the message says how to install it.
pub fn shared_pgbouncer() -> &'static PgBouncer {
    static SHARED: OnceLock<PgBouncer> = OnceLock::new();
    SHARED.get_or_init(|| PgBouncer::start(shared_postgres(), "").unwrap_or_else(|error| panic!("{error:#}")))
}

/// The Redis server of this process: started at first use, shared by all its tests.
///
/// # Panics
/// The server cannot be started; the message says how to install it.
pub fn shared_redis() -> &'static Redis {
    static SHARED: OnceLock<Redis> = OnceLock::new();
    SHARED.get_or_init(|| Redis::start().unwrap_or_else(|error| panic!("{error:#}")))
}

/// The MariaDB server of this process: started at first use, shared by all its tests.
///
/// # Panics
/// The server cannot be started; the message says how to install it.
pub fn shared_mariadb() -> &'static MariaDb {
    static SHARED: OnceLock<MariaDb> = OnceLock::new();
    SHARED.get_or_init(|| MariaDb::start().unwrap_or_else(|error| panic!("{error:#}")))
}

/// A port that nobody listens on at this moment.
///
/// # Errors
/// The machine has no free port.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
