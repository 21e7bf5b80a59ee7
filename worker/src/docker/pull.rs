//! Pulls of images: which one is meant, and what the daemon tells while it pulls.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The name of an image, in the two parts in which a pull wants it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// Registry and name.
    pub name: &'a str,
    /// Tag or digest; without one, a pull would fetch every tag that there is.
    pub tag: &'a str,
}

impl<'a> Reference<'a> {
    pub fn parse(image: &'a str) -> Self {
        if let Some((name, digest)) = image.split_once('@') {
            return Reference { name, tag: digest };
        }
        // A colon before the last slash belongs to the registry's port.
        match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => Reference { name, tag },
            _ => Reference { name: image, tag: "latest" },
        }
    }
}

/// What a daemon has told about a pull so far.
#[derive(Debug, Default)]
pub(crate) struct PullProgress {
    partial: Vec<u8>,
    layers: BTreeMap<String, Layer>,
    last_status: String,
    error: Option<String>,
}

#[derive(Debug, Default)]
struct Layer {
    bytes: u64,
    bytes_total: u64,
    is_there: bool,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    status: String,
    #[serde(default)]
    id: String,
    #[serde(rename = "progressDetail", default)]
    progress: Option<Progress>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Progress {
    #[serde(default)]
    current: u64,
    #[serde(default)]
    total: u64,
}

/// A line of progress is short; whatever is longer is none.
const LINE_BYTES_MAX: usize = 64 * 1024;

impl PullProgress {
    /// Takes in bytes of the answer: JSON objects, one a line, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.partial.len() + part.len() <= LINE_BYTES_MAX {
                self.partial.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.line();
            }
        }
    }

    /// Ends the pull: the daemon's last word.
    ///
    /// # Errors
    /// The daemon said that it failed, and why.
    pub fn finish(mut self) -> Result<String, String> {
        self.line();
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.last_status),
        }
    }

    fn line(&mut self) {
        let message = serde_json::from_slice::<Message>(&self.partial);
        self.partial.clear();
        let Ok(message) = message else { return };
        if let Some(error) = message.error {
            self.error.get_or_insert(error);
        } else if message.id.is_empty() {
            self.last_status = message.status;
        } else if !message.status.starts_with("Pulling from") {
            self.layer(message);
        }
    }

    fn layer(&mut self, message: Message) {
        let layer = self.layers.entry(message.id).or_default();
        layer.is_there = matches!(message.status.as_str(), "Pull complete" | "Already exists");
        if let Some(progress) = message.progress.filter(|_| message.status == "Downloading") {
            layer.bytes = progress.current;
            layer.bytes_total = progress.total.max(progress.current);
        }
        // Small layers are there before the daemon tells about them.
        if matches!(message.status.as_str(), "Download complete" | "Extracting" | "Pull complete") {
            layer.bytes = layer.bytes_total;
        }
    }

    /// How far it is, in one line; nothing is known at first.
    pub fn summary(&self) -> Option<String> {
        let there = self.layers.values().filter(|layer| layer.is_there).count();
        let sum = |bytes: fn(&Layer) -> u64| mebibytes(self.layers.values().map(bytes).sum());
        let (bytes, total) = (sum(|layer| layer.bytes), sum(|layer| layer.bytes_total));
        (!self.layers.is_empty())
            .then(|| format!("{there} of {} layers, {bytes} of {total} MiB downloaded", self.layers.len()))
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_with_a_tag_or_a_digest() {
        for (image, name, tag) in [
            ("alpine", "alpine", "latest"),
            ("alpine:3.20", "alpine", "3.20"),
            ("localhost:5000/team/app", "localhost:5000/team/app", "latest"),
            ("localhost:5000/team/app:1", "localhost:5000/team/app", "1"),
            ("alpine@sha256:beef", "alpine", "sha256:beef"),
        ] {
            assert_eq!(Reference::parse(image), Reference { name, tag }, "{image}");
        }
    }

    const TOLD: &str = r#"{"status":"Pulling from library/alpine","id":"3.20"}
{"status":"Pulling fs layer","progressDetail":{},"id":"aa"}
{"status":"Already exists","progressDetail":{},"id":"bb"}
{"status":"Downloading","progressDetail":{"current":1572864,"total":3145728},"progress":"[=>]","id":"aa"}
"#;

    #[test]
    fn progress_is_added_up_wherever_it_is_cut() {
        for at in 0..TOLD.len() {
            let mut progress = PullProgress::default();
            assert_eq!(progress.summary(), None);
            progress.push(&TOLD.as_bytes()[..at]);
            progress.push(&TOLD.as_bytes()[at..]);
            assert_eq!(progress.summary().unwrap(), "1 of 2 layers, 1.5 of 3.0 MiB downloaded", "cut at {at}");
            progress.push(b"{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"aa\"}\n");
            assert_eq!(progress.summary().unwrap(), "2 of 2 layers, 3.0 of 3.0 MiB downloaded");
            progress.push(b"{\"status\":\"Status: Downloaded newer image for alpine:3.20\"}");
            assert_eq!(progress.finish().unwrap(), "Status: Downloaded newer image for alpine:3.20");
        }
    }

    #[test]
    fn a_failure_in_the_middle_of_the_answer_is_one() {
        let mut progress = PullProgress::default();
        progress.push(TOLD.as_bytes());
        progress.push(b"{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"no space left\"}\r\n");
        progress.push(b"not JSON at all\n");
        assert_eq!(progress.finish().unwrap_err(), "no space left");
    }
}
