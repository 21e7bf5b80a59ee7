//! What of a task's standard output, and of its XCom file, becomes XComs.

use std::io::Read;
use std::path::Path;

use flow_model::dag::Output;
use flow_model::limits::{XCOM_BYTES_MAX, XCOM_FILE_BYTES_MAX};
use flow_model::outside::{bytes_without_mark, without_mark};
use flow_store::{NewXCom, check_xcom_key, check_xcom_size, json_text};
use serde_json::Value;

use crate::artifacts::open_left;
use flow_model::dag::RETURN_VALUE;

/// Collects what the task's output setting asks for while it runs, from the bytes as they come: what the log keeps of a line is
/// no measure for it.
#[derive(Debug)]
pub struct OutputCapture {
    output: Output,
    /// All of the output; of `last_line` the line that is not yet at its end.
    text: Kept,
    last_line: Option<Kept>,
}

/// Bytes, until they are more than an XCom may have.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    is_too_large: bool,
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        self.is_too_large |= self.bytes.len() + bytes.len() > XCOM_BYTES_MAX;
        if self.is_too_large {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn is_blank(&self) -> bool {
        !self.is_too_large && String::from_utf8_lossy(&self.bytes).trim().is_empty()
    }

    /// # Errors
    /// There was more.
    fn text(self, what: &str) -> Result<String, String> {
        if self.is_too_large {
            return Err(format!(
                "{what} is larger than an XCom may be ({} MiB)\nhint: write it to a file below `$FLOW_ARTIFACTS` or to an object store, and print where it is",
                XCOM_BYTES_MAX >> 20
            ));
        }
        Ok(without_mark(&String::from_utf8_lossy(&self.bytes)).to_owned())
    }
}

impl OutputCapture {
    /// Collects nothing yet.
    pub fn new(output: Output) -> Self {
        OutputCapture { output, text: Kept::default(), last_line: None }
    }

    /// Bytes of standard output.
    pub fn bytes(&mut self, mut bytes: &[u8]) {
        match self.output {
            Output::None => {}
            Output::Text | Output::Json => self.text.add(bytes),
            Output::LastLine => {
                while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                    self.text.add(&bytes[..end]);
                    self.end_line();
                    bytes = &bytes[end + 1..];
                }
                self.text.add(bytes);
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.text);
        if !line.is_blank() {
            self.last_line = Some(line);
        }
    }

    /// The task's `return_value`, if it has one.
    ///
    /// # Errors
    /// The output is too large, or is not the JSON that it should be.
    pub fn finish(mut self) -> Result<Option<NewXCom>, String> {
        match self.output {
            Output::None => Ok(None),
            Output::LastLine => {
                self.end_line();
                let line = self.last_line.map(|line| line.text("the last line of the output")).transpose()?;
                Ok(line.map(|line| xcom(RETURN_VALUE, &Value::from(line.strip_suffix('\r').unwrap_or(&line)))))
            }
            Output::Text => Ok(Some(xcom(RETURN_VALUE, &Value::String(self.text.text("the output")?)))),
            Output::Json => match serde_json::from_str::<Value>(&self.text.text("the output")?) {
                Ok(value) => Ok(Some(xcom(RETURN_VALUE, &value))),
                Err(error) => Err(format!(
                    "the output is not JSON, which `output = \"json\"` asks for: {error}\nhint: print messages to stderr, so that stdout holds the JSON alone"
                )),
            },
        }
    }
}

/// Refuses what is larger than an XCom may be, whoever leaves it.
///
/// # Errors
/// In words, with a hint.
pub(crate) fn check_sizes(xcoms: &[NewXCom]) -> Result<(), String> {
    xcoms.iter().try_for_each(|xcom| check_size(&xcom.key, xcom.value.len()))
}

/// Refuses a value of so many bytes of JSON if an XCom may not have as many.
///
/// # Errors
/// In words, with a hint.
pub(crate) fn check_size(key: &str, bytes: usize) -> Result<(), String> {
    check_xcom_size(key, bytes).map_err(|why| why.replace("; hint: ", "\nhint: "))
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
    check_size(key, value.len()).map_err(std::io::Error::other)?;
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
    let text = String::from_utf8_lossy(bytes_without_mark(&bytes));
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
        check_size(key, value.len())?;
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
        text.as_bytes().chunks(7).for_each(|bytes| capture.bytes(bytes));
        capture.finish().map(|xcom| xcom.map(|xcom| xcom.value))
    }

    #[test]
    fn the_setting_decides_what_is_kept() {
        assert_eq!(captured(Output::LastLine, "a\nb\n\n").unwrap(), Some("\"b\"".to_owned()));
        assert_eq!(captured(Output::LastLine, "").unwrap(), None);
        assert_eq!(captured(Output::LastLine, "a\r\n \r\n").unwrap(), Some("\"a\"".to_owned()));
        assert_eq!(captured(Output::Text, "a\nb\n").unwrap(), Some("\"a\\nb\\n\"".to_owned()));
        assert_eq!(captured(Output::Json, " {\"n\": [1, 2]}\n").unwrap(), Some("{\"n\":[1,2]}".to_owned()));
        assert_eq!(captured(Output::None, "a").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_a_hint() {
        assert!(captured(Output::Json, "loading...\n{}").unwrap_err().contains("hint: print messages to stderr"));
        let large = "x".repeat(XCOM_BYTES_MAX + 1);
        for output in [Output::Text, Output::Json, Output::LastLine] {
            let refusal = captured(output, &format!("first\n{large}\n")).unwrap_err();
            assert!(refusal.contains("larger than an XCom") && refusal.contains("$FLOW_ARTIFACTS"), "{refusal}");
        }
        // A line that is not the last one may be as long as it likes.
        let last = format!("{large}\n{}\n\n", "y".repeat(100_000));
        assert_eq!(captured(Output::LastLine, &last).unwrap().unwrap().len(), 100_002);
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
