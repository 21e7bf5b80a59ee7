//! A private MariaDB server, for what speaks MySQL's protocol.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::guard::{Guarded, find_program, new_folder, wait_until};

/// A MariaDB server on a free loopback port, with a data folder of its own.
#[derive(Debug)]
pub struct MariaDb {
    folder: PathBuf,
    client: PathBuf,
    port: u16,
    server: Mutex<Option<Guarded>>,
    databases: AtomicU32,
}

impl MariaDb {
    /// The user that may do everything, over TCP.
    pub const LOGIN: &str = "flow";
    /// Its password.
    pub const PASSWORD: &str = "flow-testbed";

    /// Initialises a data folder and starts the server, as the user who runs the tests.
    ///
    /// # Errors
    /// MariaDB is not installed (the message says how to install it) or does not come up.
    pub fn start() -> Result<Self> {
        let folders: Vec<PathBuf> = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from).to_vec();
        let server = find_program("mariadbd", &folders, "mariadb-server")?;
        let install = find_program("mariadb-install-db", &[], "mariadb-server")?;
        let client = find_program("mariadb", &[], "mariadb-client")?;
        let folder = new_folder("mariadb")?;
        let port = crate::free_port()?;
        let user = user()?;
        let data = format!("--datadir={}", folder.join("data").display());
        let own = ["--no-defaults".to_owned(), data, format!("--user={user}")];
        let output = Command::new(install)
            .args(&own)
            .args(["--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"])
            .output()
            .context("failed to run mariadb-install-db")?;
        if !output.status.success() {
            bail!("mariadb-install-db failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        // Socket authentication lets the user who runs the tests in, if there is an account of its name.
        let account = format!(
            "create user '{login}'@'127.0.0.1' identified by '{password}'; grant all on *.* to '{login}'@'127.0.0.1';",
            login = Self::LOGIN,
            password = Self::PASSWORD,
        );
        let init = folder.join("init.sql");
        std::fs::write(&init, account.replace("; ", ";\n"))?;
        let log = folder.join("log");
        let mut line = vec![server.display().to_string()];
        line.extend(own);
        line.extend([
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--socket={}", folder.join("socket").display()),
            format!("--pid-file={}", folder.join("pid").display()),
            format!("--init-file={}", init.display()),
            "--innodb-buffer-pool-size=32M".to_owned(),
            "--character-set-server=utf8mb4".to_owned(),
            "--skip-name-resolve".to_owned(),
        ]);
        let guarded = Guarded::start(&line, &folder, &log)?;
        let mariadb = MariaDb { folder, client, port, server: Mutex::new(Some(guarded)), databases: AtomicU32::new(0) };
        wait_until("MariaDB", &log, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok() && mariadb.sql("select 1").is_ok()
        })?;
        Ok(mariadb)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Creates an empty database and returns its name.
    ///
    /// # Errors
    /// The server is not running.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("flow_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql(&format!("create database {name}"))?;
        Ok(name)
    }

    /// Runs SQL and returns the output of the client: columns separated by tabs, without names.
    ///
    /// # Errors
    /// The server is not running, or refuses the statement.
    pub fn sql(&self, sql: &str) -> Result<String> {
        let output = Command::new(&self.client)
            .args(["--no-defaults", "--host=127.0.0.1", "--protocol=tcp", "--batch", "--skip-column-names"])
            .args([format!("--port={}", self.port), format!("--user={}", Self::LOGIN)])
            .args(["--execute", sql])
            .env("MYSQL_PWD", Self::PASSWORD)
            .output()
            .context("failed to run mariadb")?;
        if !output.status.success() {
            bail!("mariadb: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Ok(mut server) = self.server.lock()
            && let Some(server) = server.take()
        {
            let _ = server.stop("kill");
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The user who runs the tests, by name. MariaDB runs as root if it is told to.
fn user() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("failed to run id")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
