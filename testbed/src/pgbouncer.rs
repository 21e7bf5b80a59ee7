//! A private PgBouncer in front of a private PostgreSQL.

use std::path::PathBuf;

use anyhow::Result;

use crate::Postgres;
use crate::guard::{Guarded, find_program, new_folder, wait_until};
use crate::postgres::{as_user, own};

/// A PgBouncer that hands out server connections for one transaction at a time.
#[derive(Debug)]
pub struct PgBouncer {
    folder: PathBuf,
    port: u16,
    server: Option<Guarded>,
}

impl PgBouncer {
    /// Starts it in front of a server. `settings` are further lines for its `[pgbouncer]` section.
    ///
    /// # Errors
    /// It is not installed (the message says how to install it) or does not come up.
    pub fn start(postgres: &Postgres, settings: &str) -> Result<Self> {
        let program = find_program("pgbouncer", &["/usr/sbin".into()], "pgbouncer")?;
        let folder = new_folder("pgbouncer")?;
        let port = crate::free_port()?;
        std::fs::write(folder.join("users"), "\"flow\" \"\"\n")?;
        let config = folder.join("pgbouncer.ini");
        std::fs::write(
            &config,
            format!(
                "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {users}\n\
                 pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 1000\n\
                 server_idle_timeout = 2\n{settings}\n",
                server = postgres.port(),
                users = folder.join("users").display(),
            ),
        )?;
        own(&folder)?;
        let log = folder.join("log");
        let line = as_user(&[&program.display().to_string(), &config.display().to_string()]);
        let server = Guarded::start(&line, &folder, &log)?;
        let bouncer = PgBouncer { folder, port, server: Some(server) };
        wait_until("PgBouncer", &log, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(bouncer)
    }

    /// The way through it to a database of its server, whose own URL is given.
    pub fn url(&self, direct: &str) -> String {
        let database = direct.rsplit('/').next().unwrap_or_default();
        format!("postgres://flow@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = server.stop("kill");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
