//! Slots: names that a role keeps over restarts, each held by a lock file.
//!
//! The kernel releases the lock when the last process that holds it is gone: the role itself, or the warden that is still
//! killing its tasks. So whoever gets the lock knows that nothing of its predecessor is left, and may take over what the
//! predecessor held without waiting for its lease to run out.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Exit, Failure};

/// How long to wait for the last processes of a predecessor that is dead itself.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// Processes of one role that one state folder can hold.
const SLOTS_MAX: usize = 256;

/// A held slot.
#[derive(Debug)]
pub struct Slot {
    /// Its name: unique over all machines.
    pub name: String,
    /// Its number on this machine.
    pub number: usize,
    /// The lock.
    pub file: File,
}

impl Slot {
    /// Takes the first free slot of a role in the state folder.
    ///
    /// # Errors
    /// The folder cannot be written, or all slots are taken.
    pub fn take(state: &Path, role: &str, host: &str) -> anyhow::Result<Slot> {
        for number in 0..SLOTS_MAX {
            if let Some(slot) = Slot::try_take(state, role, host, number)? {
                return Ok(slot);
            }
        }
        anyhow::bail!("all {SLOTS_MAX} slots of `{role}` in `{}` are taken", state.display());
    }

    /// Takes the only slot of a role.
    ///
    /// # Errors
    /// Another process has it, or the folder cannot be written.
    pub fn take_only(state: &Path, role: &str, host: &str) -> anyhow::Result<Slot> {
        Slot::try_take(state, role, host, 0)?.ok_or_else(|| {
            let holder = std::fs::read_to_string(lock_path(state, role, 0)).unwrap_or_default();
            let message = format!(
                "another {role} (process {}) already runs in the state folder `{}`",
                holder.trim(),
                state.display()
            );
            Failure::new(Exit::Failed, message).hint("stop it, or give this one `--state <other folder>`").into()
        })
    }

    fn try_take(state: &Path, role: &str, host: &str, number: usize) -> anyhow::Result<Option<Slot>> {
        let folder = state.join("locks");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create the folder `{}` for lock files", folder.display()))?;
        let path = lock_path(state, role, number);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open the lock file `{}`", path.display()))?;
        let deadline = std::time::Instant::now() + PREDECESSOR_TIMEOUT;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Held by a process that lives: the slot is taken. Held by nobody who lives: its warden is about to go.
            if holder_lives(&mut file) || std::time::Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        let place = std::fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
        Ok(Some(Slot { name: format!("{host}:{}:{role}-{number}", place.display()), number, file }))
    }
}

fn lock_path(state: &Path, role: &str, number: usize) -> std::path::PathBuf {
    state.join("locks").join(format!("{role}-{number}.lock"))
}

fn holder_lives(file: &mut File) -> bool {
    let mut text = String::new();
    let _ = file.seek(SeekFrom::Start(0));
    let _ = file.read_to_string(&mut text);
    match text.trim().parse::<i32>() {
        // A zombie holds nothing any more, but still has its directory.
        Ok(pid) => std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))),
        // It has the lock and has not written its number yet.
        Err(_) => true,
    }
}
