//! Ties a server's life to ours: a small shell holds the server and waits for the end of a pipe whose other end we hold.
//! When we end, even by SIGKILL, the pipe closes, and the shell stops the server and removes its folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// A server under guard.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
}

impl Guarded {
    /// Starts `command`; `folder` is removed when this process ends, but not when only the server is stopped.
    pub(crate) fn start(command: &[String], folder: &Path, log: &Path) -> Result<Self> {
        // The shell's standard input is the pipe. `read` returns when it closes.
        let script = r#"folder=$1; log=$2; shift 2
"$@" >>"$log" 2>&1 </dev/null &
server=$!
read -r word
if [ "$word" = kill ]; then kill -KILL $server; else kill -QUIT $server; fi
wait $server 2>/dev/null
[ -n "$word" ] || rm -rf "$folder""#;
        let shell = Command::new("sh")
            .args(["-c", script, "guard"])
            .arg(folder)
            .arg(log)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", command[0]))?;
        Ok(Guarded { shell })
    }

    /// Stops the server now: at once and hard (`kill`), or as its QUIT signal does. The folder stays.
    pub(crate) fn stop(mut self, word: &str) -> Result<()> {
        use std::io::Write;
        let mut pipe = self.shell.stdin.take().context("the guard's pipe is gone")?;
        writeln!(pipe, "{word}").context("failed to tell the guard to stop its server")?;
        drop(pipe);
        self.shell.wait().context("failed to wait for the guard")?;
        Ok(())
    }
}

/// A new folder with a short path (Unix sockets have a limit of 107 bytes).
pub(crate) fn new_folder(name: &str) -> Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix(&format!("flow-{name}-"))
        .tempdir()
        .with_context(|| format!("failed to create a folder for {name}"))?;
    Ok(folder.keep())
}

/// Where a program is: in `PATH`, or in the folders given.
pub(crate) fn find_program(name: &str, folders: &[PathBuf], package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("`{name}` is not installed\nhint: apt-get install --no-install-recommends {package}"))
}

/// Waits until `ready` says so.
pub(crate) fn wait_until(what: &str, log: &Path, mut ready: impl FnMut() -> bool) -> Result<()> {
    let begin = std::time::Instant::now();
    while begin.elapsed() < std::time::Duration::from_secs(30) {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let log = std::fs::read_to_string(log).unwrap_or_default();
    anyhow::bail!("{what} did not come up within 30 s; its log:\n{log}")
}
