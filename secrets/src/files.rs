//! A folder of files as a source, as Docker and Kubernetes mount secrets: `variables/<key>` holds a value,
//! `connections/<conn_id>` a URI or JSON.

use std::path::{Component, Path, PathBuf};

use flow_model::SecretText;
use flow_model::limits::SECRET_FILE_BYTES_MAX;
use flow_model::outside::without_mark;

use crate::error::SecretsError;

/// A folder of secrets.
#[derive(Debug, Clone)]
pub struct FileSource {
    folder: PathBuf,
}

impl FileSource {
    /// A source; the folder need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        FileSource { folder }
    }

    /// The content of `<kind>/<name>`, without the newline at its end; and its path.
    pub(crate) async fn read(&self, kind: &str, name: &str) -> Result<Option<(SecretText, PathBuf)>, SecretsError> {
        if !is_plain(name) {
            return Ok(None);
        }
        let path = self.folder.join(kind).join(name);
        let failed = |cause: String, hint| SecretsError::File { path: path.display().to_string(), cause, hint };
        let length = match tokio::fs::metadata(&path).await {
            Ok(meta) if meta.is_file() => meta.len(),
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error.to_string(), READABLE)),
        };
        if length > SECRET_FILE_BYTES_MAX {
            return Err(failed(
                format!("it has {length} bytes, more than {SECRET_FILE_BYTES_MAX}"),
                "is it the right file?",
            ));
        }
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Ok(Some((SecretText::new(without_mark(&text).trim_end_matches(['\n', '\r'])), path.clone()))),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(failed("it is not UTF-8".to_owned(), "values are text; encode others, for instance with base64"))
            }
            Err(error) => Err(failed(error.to_string(), READABLE)),
        }
    }
}

const READABLE: &str = "the user that workers, triggerers and the web role run as must be able to read it";

/// Whether a name is one step of a path and nothing else.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        && !name.contains(['\0', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_read_and_nothing_outside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("variables")).unwrap();
        std::fs::write(folder.path().join("variables/a"), "value\n").unwrap();
        std::fs::write(folder.path().join("outside"), "no").unwrap();
        std::fs::write(folder.path().join("variables/binary"), [0xff, 0xfe]).unwrap();
        let source = FileSource::new(folder.path().to_owned());
        let read = async |name: &str| source.read("variables", name).await.map(|found| found.map(|(text, _)| text));
        assert_eq!(read("a").await.unwrap().unwrap().expose(), "value");
        for name in ["b", "../outside", "..", ".", "", "/etc/passwd", "a/", "./a"] {
            assert!(read(name).await.unwrap().is_none(), "{name}");
        }
        assert!(read("binary").await.unwrap_err().to_string().contains("variables/binary`: it is not UTF-8\nhint: "));
    }
}
