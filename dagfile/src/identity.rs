//! What tells that a file has changed without reading it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

/// A file as it was before it was read, so that a change while it was being read is noticed at the next look.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    path: PathBuf,
    identity: Option<Identity>,
}

impl Seen {
    /// Looks at a file, which need not exist.
    pub fn now(path: &Path) -> Self {
        Seen { path: path.to_owned(), identity: identity(path) }
    }

    pub fn is_current(&self) -> bool {
        identity(&self.path) == self.identity
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Identity { modified: (metadata.mtime(), metadata.mtime_nsec()), size: metadata.len(), inode: metadata.ino() })
}
