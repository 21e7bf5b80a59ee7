//! A private Redis server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::guard::{Guarded, find_program, new_folder, wait_until};

/// A Redis server on a free loopback port, with an append-only file that is synced every second.
#[derive(Debug)]
pub struct Redis {
    folder: PathBuf,
    program: PathBuf,
    port: u16,
    server: Mutex<Option<Guarded>>,
}

impl Redis {
    /// Starts the server.
    ///
    /// # Errors
    /// Redis is not installed (the message says how to install it) or does not come up.
    pub fn start() -> Result<Self> {
        let program = find_program("redis-server", &[], "redis-server")?;
        let folder = new_folder("redis")?;
        let redis = Redis { folder, program, port: crate::free_port()?, server: Mutex::new(None) };
        redis.start_again()?;
        Ok(redis)
    }

    /// A connection URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Kills the server.
    ///
    /// # Errors
    /// It was not running.
    pub fn kill(&self) -> Result<()> {
        let server = self.server.lock().expect("no panic while locked").take().context("Redis is not running")?;
        server.stop("kill")
    }

    /// Starts it after it was killed, on the same port and data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_again(&self) -> Result<()> {
        let log = self.folder.join("log");
        let folder = self.folder.display().to_string();
        let port = self.port.to_string();
        let line: Vec<String> = [
            &self.program.display().to_string(),
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--dir",
            &folder,
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ]
        .map(str::to_owned)
        .to_vec();
        *self.server.lock().expect("no panic while locked") = Some(Guarded::start(&line, &self.folder, &log)?);
        wait_until("Redis", &log, || self.command(&["PING"]).is_ok_and(|answer| answer.starts_with("+PONG")))
    }

    /// The folder with its log of every write.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The server is not running.
    pub fn flush_all(&self) -> Result<()> {
        self.command(&["FLUSHALL"]).map(drop)
    }

    /// Sends one command and returns the start of the raw answer.
    ///
    /// # Errors
    /// The server is not running, or answers with an error.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("failed to connect to Redis")?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        let mut answer = vec![0; 4_096];
        let length = stream.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        if answer.starts_with('-') {
            bail!("Redis answered {answer}");
        }
        Ok(answer)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_start_stop_and_come_back() {
        let redis = Redis::start().unwrap();
        redis.command(&["SET", "a", "1"]).unwrap();
        redis.flush_all().unwrap();
        redis.kill().unwrap();
        assert!(redis.command(&["PING"]).is_err());
        redis.start_again().unwrap();

        let postgres = crate::Postgres::start().unwrap();
        let url = postgres.create_database().unwrap();
        assert!(url.ends_with("/flow_0"));
        postgres.stop_immediate().unwrap();
        assert!(postgres.sql("select 1").is_err());
        postgres.start_again().unwrap();
        assert_eq!(postgres.sql("select 1").unwrap().trim(), "1");

        let mariadb = crate::MariaDb::start().unwrap();
        let database = mariadb.create_database().unwrap();
        assert_eq!(mariadb.sql(&format!("use {database}; select database()")).unwrap().trim(), "flow_0");
    }
}
