//! What worker and warden say to each other: JSON with its length in front, over a Unix socket that also carries the
//! tasks' standard streams.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Start a process. Its file descriptors come along: stdout, stderr, and stdin if there is one.
    Spawn(Spawn),
    /// Kill a task's processes: TERM, then KILL after the grace.
    Kill { id: u64, grace_ms: u64 },
    /// The worker's lease was renewed: tasks that must not overlap may go on for this long.
    Renew { for_ms: u64 },
}

/// A process to start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spawn {
    pub id: u64,
    /// Absolute path.
    pub program: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    /// Numbers of the user and the group that it runs as.
    pub run_as: Option<(u32, u32)>,
    /// Value of [`super::MARKER_VARIABLE`].
    pub marker: String,
    pub has_stdin: bool,
    /// Must be killed when the lease is not renewed in time.
    pub is_fenced: bool,
}

/// From the warden.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    Started {
        id: u64,
        pid: u32,
    },
    /// The process could not be started.
    Refused {
        id: u64,
        error: String,
    },
    /// The process has ended, and nothing of its tree is left.
    Exited {
        id: u64,
        code: Option<i32>,
        signal: Option<i32>,
        leftovers: u32,
    },
}

/// A message with its length in front.
pub(super) fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).expect("messages have only string keys");
    let length = u32::try_from(bytes.len() - 4).expect("a message is far below 4 GiB");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Writes a message.
pub(super) fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    to.write_all(&frame(message))
}

/// Reads a message; `None` at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from)
}
