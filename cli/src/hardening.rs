//! What keeps a role's secrets to itself: an environment that does not show them, memory that other processes cannot read,
//! and files that other users cannot.
//!
//! What a process was started with stays readable in `/proc/<pid>/environ` for as long as it lives. So a role that finds
//! secrets in its environment starts itself once more without them, in the same process: they arrive on standard input,
//! in a file that exists only in memory and is emptied when it has been read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context;
use flow_worker::environment::is_secret;
use rustix::fs::{MemfdFlags, Mode, ftruncate, memfd_create};
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior, umask};

/// Says that secrets come on standard input. It stays in the environment, and means nothing there.
const HANDED_OVER: &str = "FLOW_SECRETS_ON_STDIN";

/// Files of the engine are their owner's.
const ENGINE_UMASK: u32 = 0o077;

/// What was taken out of the environment.
static TAKEN: OnceLock<BTreeMap<OsString, OsString>> = OnceLock::new();

/// The mask with which the role was started, which tasks get back.
static ORIGINAL_UMASK: OnceLock<u32> = OnceLock::new();

/// Shuts a role off from the other processes of its machine. Returns in a process whose environment holds no secrets.
///
/// # Errors
/// The process cannot be started again without them.
pub fn seclude() -> anyhow::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot shut off the memory of the process")?;
    if std::env::var_os(HANDED_OVER).is_some() {
        let taken = receive().context("cannot read the environment from standard input")?;
        let _ = TAKEN.set(taken);
    } else {
        let secrets: Vec<(OsString, OsString)> =
            std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_secret)).collect();
        if !secrets.is_empty() {
            return Err(start_again(&secrets)).context("cannot start again without secrets in the environment");
        }
    }
    keep_files_private();
    Ok(())
}

/// Files and folders that this process makes are its user's only.
pub fn keep_files_private() {
    let before = umask(Mode::from_raw_mode(ENGINE_UMASK));
    let _ = ORIGINAL_UMASK.set(before.as_raw_mode());
}

/// The mask with which the process was started.
pub fn original_umask() -> u32 {
    ORIGINAL_UMASK.get().copied().unwrap_or(0o022)
}

/// A variable of the environment, also of what was taken out of it. One that is not UTF-8 is none.
pub fn variable(name: &str) -> Option<String> {
    let taken = TAKEN.get().and_then(|taken| taken.get(std::ffi::OsStr::new(name))).cloned();
    taken.or_else(|| std::env::var_os(name))?.into_string().ok()
}

/// All variables of the environment that are UTF-8, with what was taken out of it.
pub fn variables() -> Vec<(String, String)> {
    let taken = TAKEN.get().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    let all = std::env::vars_os().filter(|(name, _)| name != HANDED_OVER).chain(taken);
    all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Replaces this process by one of the same program that gets the secrets on standard input. Returns only if it cannot.
fn start_again(secrets: &[(OsString, OsString)]) -> io::Error {
    let prepared = || -> io::Result<Command> {
        let mut memory = std::fs::File::from(memfd_create("environment", MemfdFlags::CLOEXEC)?);
        for (name, value) in secrets {
            memory.write_all(&[name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat())?;
        }
        memory.seek(SeekFrom::Start(0))?;
        let mut args = std::env::args_os();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg0(args.next().unwrap_or_default()).args(args).stdin(Stdio::from(memory)).env(HANDED_OVER, "yes");
        for (name, _) in secrets {
            command.env_remove(name);
        }
        Ok(command)
    };
    match prepared() {
        Ok(mut command) => command.exec(),
        Err(error) => error,
    }
}

/// Reads what the process before has written, and leaves nothing of it.
fn receive() -> io::Result<BTreeMap<OsString, OsString>> {
    let mut stdin = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
    if stdin.metadata()?.nlink() != 0 {
        return Err(io::Error::other(format!("`{HANDED_OVER}` is set, and nothing was handed over")));
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    ftruncate(&stdin, 0)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let entries = bytes.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        Some((OsString::from_vec(entry[..at].to_vec()), OsString::from_vec(entry[at + 1..].to_vec())))
    });
    Ok(entries.collect())
}

/// Makes the state folder where it is missing, and its owner's only where it is wider.
///
/// # Errors
/// It cannot be made, or is everybody's.
pub fn close_state_folder(folder: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot use the state folder `{}`", folder.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
    let metadata = folder.metadata().with_context(failed)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let is_here = std::fs::canonicalize(folder).ok() == std::env::current_dir().ok();
    if mode & 0o1000 != 0 || is_here || metadata.uid() != geteuid().as_raw() {
        tracing::warn!(
            folder = %folder.display(),
            mode = format!("{mode:o}"),
            "other users can look into the state folder, which holds keys and tokens; give it one of its own with mode 700"
        );
        return Ok(());
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).with_context(failed)?;
    tracing::info!(folder = %folder.display(), "the state folder is closed to other users now");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_after(before: u32) -> u32 {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("state");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(before)).unwrap();
        close_state_folder(&folder).unwrap();
        folder.metadata().unwrap().mode() & 0o7777
    }

    #[test]
    fn a_state_folder_is_its_owners() {
        assert_eq!((mode_after(0o755), mode_after(0o770), mode_after(0o700)), (0o700, 0o700, 0o700));
        assert_eq!(mode_after(0o1777), 0o1777, "a folder like /tmp is everybody's");
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        close_state_folder(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o7777, 0o700);
    }
}
