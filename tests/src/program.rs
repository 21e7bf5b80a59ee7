//! The program under test.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

/// `flowctl` with the environment that it is run in: nothing of Flow's settings is inherited from the shell.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    folder: PathBuf,
    env: Vec<(String, String)>,
    user: Option<(u32, u32)>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Done {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Done {
    /// Itself, if the exit code is as expected.
    ///
    /// # Panics
    /// It is another one; the message holds what the command said.
    #[track_caller]
    pub fn expect(self, code: i32) -> Done {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The folder that the program has been built into.
///
/// # Panics
/// This executable cannot be found.
pub fn built() -> PathBuf {
    let executable = std::env::current_exe().expect("this executable can be found");
    let beside = executable.parent().expect("an executable is in a folder");
    let target = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    target.to_owned()
}

impl Program {
    /// The program, run in `folder`.
    ///
    /// # Errors
    /// It has not been built.
    pub fn new(folder: &Path) -> Result<Program> {
        let target = built();
        let path = target.join("flowctl");
        anyhow::ensure!(path.is_file(), "`{}` does not exist\nhint: cargo build -p flowctl", path.display());
        // Tasks call `flowctl xcom push`.
        let search = format!("{}:{}", target.display(), std::env::var("PATH").unwrap_or_default());
        Ok(Program { path, folder: folder.to_owned(), env: vec![("PATH".to_owned(), search)], user: None })
    }

    /// The same with a folder in which programs are looked for first.
    #[must_use]
    pub fn programs_in(self, folder: &Path) -> Program {
        let search = self.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let search = format!("{}:{}", folder.display(), search.unwrap_or_default());
        self.env("PATH", search)
    }

    /// The same with one more environment variable; a later one wins.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Program {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The same, run by another user and group; only root can do that.
    #[must_use]
    pub fn run_by(self, uid: u32, gid: u32) -> Program {
        Program { user: Some((uid, gid)), ..self }
    }

    /// A command, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FLOW") {
                command.env_remove(name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn run(&self, args: &[&str]) -> Done {
        let output = self.command(args).output().expect("flowctl can be started");
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
