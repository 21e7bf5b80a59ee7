//! The folder of one attempt: its scripts, its XCom file, and where it works unless it says otherwise.

use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use crate::run_as::RunAs;

/// The folder of the engine's own things.
const ENGINE: &str = ".flow";

/// A folder that is removed with everything in it when it is dropped.
#[derive(Debug)]
pub(super) struct AttemptFolder {
    path: PathBuf,
    /// The number of the user to whom it was given.
    owner: OnceLock<u32>,
}

impl AttemptFolder {
    pub fn create(parent: &Path, name: &str) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = parent.join(name);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let folder = AttemptFolder { path, owner: OnceLock::new() };
        std::fs::create_dir(folder.artifacts())?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it with everything in it to the user that the attempt's processes run as.
    pub fn give_to(&self, user: &RunAs) -> std::io::Result<()> {
        user.own(&self.path)?;
        let _ = self.owner.set(user.uid);
        Ok(())
    }

    /// The only user whose files count as left here by the attempt; anybody's without one.
    pub fn owner(&self) -> Option<u32> {
        self.owner.get().copied()
    }

    pub fn xcom_file(&self) -> PathBuf {
        self.path.join(".xcom")
    }

    /// Where the task leaves files for people.
    pub fn artifacts(&self) -> PathBuf {
        self.path.join(".artifacts")
    }

    /// Where the engine's own things are: what starts Python code, and the socket by which it speaks with the worker.
    pub fn engine(&self) -> PathBuf {
        self.path.join(ENGINE)
    }

    /// Where Python code speaks with the worker.
    pub fn socket(&self) -> PathBuf {
        self.engine().join("socket")
    }

    /// A folder below this one, which is made if need be: where the DAG file's own folder is for its scripts.
    pub fn home(&self, relative: &str) -> std::io::Result<PathBuf> {
        let path = self.path.join(inside(Path::new(relative))?);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Writes a file below the folder and returns its path. `..` may stand in it, but not lead out of the folder.
    pub fn write(&self, relative: &str, content: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.path.join(inside(Path::new(relative))?);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// As [`AttemptFolder::write`], and the file can be executed.
    pub fn write_program(&self, relative: &str, content: &[u8]) -> std::io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(relative, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        Ok(path)
    }
}

/// The path without `.` and `..`.
fn inside(relative: &Path) -> std::io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in relative.components() {
        let goes_on = match component {
            Component::Normal(name) => {
                path.push(name);
                true
            }
            Component::CurDir => true,
            Component::ParentDir => path.pop(),
            _ => false,
        };
        if !goes_on {
            return Err(std::io::Error::other(format!("`{}` would leave the attempt's folder", relative.display())));
        }
    }
    Ok(path)
}

impl Drop for AttemptFolder {
    fn drop(&mut self) {
        // The usual folders are empty, and one system call for each does it.
        let _ = std::fs::remove_dir(self.artifacts());
        if std::fs::remove_dir(&self.path).is_err()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(folder = %self.path.display(), error = &error as &dyn std::error::Error, "could not remove the folder of an attempt");
        }
    }
}

/// Removes what attempts of an earlier worker have left in the folder.
pub(crate) fn remove_leftovers(folder: &Path) {
    if let Ok(entries) = std::fs::read_dir(folder) {
        for entry in entries.flatten() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
