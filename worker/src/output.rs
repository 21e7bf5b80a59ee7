//! What of a task's standard output, and of its XCom file, becomes XComs.

use std::io::Read;
use std::path::Path;

use flow_model::dag::Output;
use flow_store::{NewXCom, XCOM_BYTES_MAX, check_xcom_key, json_text};
use serde_json::Value;

use crate::artifacts::open_left;
use crate::template::RETURN_VALUE;

/// Bytes of a whole XCom file.
pub(crate) const XCOM_FILE_BYTES_MAX: u64 = 8 << 20;

/// Collects what the task's output setting asks for while it runs.
#[derive(Debug)]
pub struct OutputCapture {
    output: Output,
    last_line: Option<String>,
    text: Vec<u8>,
    is_too_large: bool,
}

impl OutputCapture {
    /// Collects nothing yet.
    pub fn new(output: Output) -> Self {
        OutputCapture { output, last_line: None, text: Vec::new(), is_too_large: false }
    }

    /// Bytes of standard output.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if matches!(self.output, Output::Text | Output::Json) && !self.is_too_large {
            self.is_too_large = self.text.len() + bytes.len() > XCOM_BYTES_MAX;
            if !self.is_too_large {
                self.text.extend_from_slice(bytes);
            }
        }
    }

    /// A line of standard output.
    pub fn line(&mut self, line: &str) {
        if self.output == Output::LastLine && !line.trim().is_empty() {
            self.last_line = Some(line.to_owned());
        }
    }

    /// The task's `return_value`, if it has one.
    ///
    /// # Errors
    /// The output is too large, or is not the JSON that it should be.
    pub fn finish(self) -> Result<Option<NewXCom>, String> {
        if self.is_too_large {
            return Err(format!(
                "the output is larger than an XCom may be ({} MiB)\nhint: write it to a file or an object store, and print where it is",
                XCOM_BYTES_MAX >> 20
            ));
        }
        let text = String::from_utf8_lossy(&self.text);
        match self.output {
            Output::None => Ok(None),
            Output::LastLine => Ok(self.last_line.map(|line| xcom(RETURN_VALUE, &Value::String(line)))),
            Output::Text => Ok(Some(xcom(RETURN_VALUE, &Value::String(text.into_owned())))),
            Output::Json => match serde_json::from_str::<Value>(&text) {
                Ok(value) => Ok(Some(xcom(RETURN_VALUE, &value))),
                Err(error) => Err(format!(
                    "the output is not JSON, which `output = \"json\"` asks for: {error}\nhint: print messages to stderr, so that stdout holds the JSON alone"
                )),
            },
        }
    }
}

/// What is told of a value that is larger than an XCom may be.
pub(crate) fn too_large(key: &str, bytes: usize) -> String {
    format!(
        "the XCom `{key}` has {bytes} bytes, which is more than {} MiB\nhint: keep it in a file or an object store, and pass its place",
        XCOM_BYTES_MAX >> 20
    )
}

/// What is told of an XCom file that has more than [`XCOM_FILE_BYTES_MAX`].
pub(crate) fn xcom_file_too_large() -> String {
    format!(
        "the XCom file is larger than {} MiB\nhint: keep large things in `$FLOW_ARTIFACTS` or an object store, and pass their place",
        XCOM_FILE_BYTES_MAX >> 20
    )
}

/// An XCom from a value.
pub fn xcom(key: &str, value: &Value) -> NewXCom {
    NewXCom { key: key.to_owned(), value: json_text(value) }
}

/// Appends a value to an attempt's XCom file: one line `key=<JSON>`.
///
/// # Errors
/// The key is not usable, or the file cannot be written.
pub fn append_to_xcom_file(path: &Path, key: &str, value: &Value) -> std::io::Result<()> {
    use std::io::Write;
    check_xcom_key(key).map_err(std::io::Error::other)?;
    let value = value.to_string();
    if value.len() > XCOM_BYTES_MAX {
        return Err(std::io::Error::other(too_large(key, value.len())));
    }
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{key}={value}\n").as_bytes())
}

/// The XComs that a task left in its file; a later line wins. A value that is not JSON is text.
///
/// # Errors
/// The file cannot be read or is too large, or a line is not `key=value`. It is no regular file, or not that of the owner who
/// is given: a task must not have files read for it that only the worker may read.
pub fn read_xcom_file(path: &Path, owner: Option<u32>) -> Result<Vec<NewXCom>, String> {
    let failed = |error| format!("cannot read the XCom file: {error}");
    let mut file = match open_left(path, owner) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.len() > XCOM_FILE_BYTES_MAX {
        return Err(xcom_file_too_large());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut xcoms: Vec<NewXCom> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((key, value)) = line.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!(
                "line {} of the XCom file is not `key=value`\nhint: use `flowctl xcom push <key> <value>`",
                number + 1
            ));
        };
        check_xcom_key(key)
            .map_err(|why| format!("line {} of the XCom file: {}", number + 1, why.replace("; hint: ", "\nhint: ")))?;
        if value.len() > XCOM_BYTES_MAX {
            return Err(too_large(key, value.len()));
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        xcoms.retain(|known| known.key != key);
        xcoms.push(xcom(key, &value));
    }
    Ok(xcoms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(output: Output, text: &str) -> Result<Option<String>, String> {
        let mut capture = OutputCapture::new(output);
        capture.bytes(text.as_bytes());
        text.lines().for_each(|line| capture.line(line));
        capture.finish().map(|xcom| xcom.map(|xcom| xcom.value))
    }

    #[test]
    fn the_setting_decides_what_is_kept() {
        assert_eq!(captured(Output::LastLine, "a\nb\n\n").unwrap(), Some("\"b\"".to_owned()));
        assert_eq!(captured(Output::LastLine, "").unwrap(), None);
        assert_eq!(captured(Output::Text, "a\nb\n").unwrap(), Some("\"a\\nb\\n\"".to_owned()));
        assert_eq!(captured(Output::Json, " {\"n\": [1, 2]}\n").unwrap(), Some("{\"n\":[1,2]}".to_owned()));
        assert_eq!(captured(Output::None, "a").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_a_hint() {
        assert!(captured(Output::Json, "loading...\n{}").unwrap_err().contains("hint: print messages to stderr"));
        assert!(captured(Output::Text, &"x".repeat(XCOM_BYTES_MAX + 1)).unwrap_err().contains("larger than an XCom"));
    }

    #[test]
    fn the_file_holds_named_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xcom");
        assert_eq!(read_xcom_file(&path, None).unwrap(), []);
        append_to_xcom_file(&path, "rows", &serde_json::json!(3)).unwrap();
        append_to_xcom_file(&path, "note", &serde_json::json!("a=b\nc")).unwrap();
        append_to_xcom_file(&path, "rows", &serde_json::json!(4)).unwrap();
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "plain=some text\n").unwrap();
        let read: Vec<(String, String)> =
            read_xcom_file(&path, None).unwrap().into_iter().map(|xcom| (xcom.key, xcom.value)).collect();
        let expected = [("note", "\"a=b\\nc\""), ("rows", "4"), ("plain", "\"some text\"")];
        assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(append_to_xcom_file(&path, "a=b", &Value::Null).is_err());
        let large = Value::String("x".repeat(XCOM_BYTES_MAX));
        let refused = append_to_xcom_file(&path, "large", &large).unwrap_err().to_string();
        assert!(refused.contains("more than 1 MiB") && refused.contains("hint:"), "{refused}");
        std::fs::write(&path, format!("large={large}\n")).unwrap();
        assert_eq!(read_xcom_file(&path, None).unwrap_err(), refused);
        std::fs::write(&path, format!("{}=1\n", "k".repeat(600))).unwrap();
        assert!(read_xcom_file(&path, None).unwrap_err().contains("cannot be the key"));
        std::fs::write(&path, "no equals sign\n").unwrap();
        assert!(read_xcom_file(&path, None).unwrap_err().contains("line 1"));
    }
}
