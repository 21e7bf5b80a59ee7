//! What starts a task's Python code: three files of ours in the attempt's folder.

use std::path::PathBuf;

use super::folder::AttemptFolder;

const FILES: [(&str, &str); 3] = [
    ("run.py", include_str!("../python/run.py")),
    ("flow.py", include_str!("../python/flow.py")),
    ("_flow_runner.py", include_str!("../python/_flow_runner.py")),
];

/// Writes them, and returns the path of the one to start.
pub(super) fn write(folder: &AttemptFolder) -> std::io::Result<PathBuf> {
    for (name, text) in FILES {
        folder.write(&format!(".flow/{name}"), text.as_bytes())?;
    }
    Ok(folder.engine().join(FILES[0].0))
}
