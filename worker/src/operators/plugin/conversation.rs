//! What a plugin says, line by line, and what follows from it.

use std::time::Duration;

use flow_model::Timestamp;
use flow_model::limits::{PLUGIN_MESSAGE_BYTES_MAX, XCOM_BYTES_MAX, XCOM_FILE_BYTES_MAX};
use flow_model::outside::without_mark;
use flow_secrets::Masker;
use flow_store::{NewXCom, check_xcom_key};
use serde::Deserialize;
use serde_json::Value;

use crate::output::xcom;
use flow_model::dag::RETURN_VALUE;

/// Characters of a plugin's own words in an error message.
const QUOTED_MAX: usize = 200;
/// A year: whoever waits longer has miscalculated.
const AFTER_SECONDS_MAX: f64 = 366.0 * 86_400.0;

const HINT: &str = "docs/plugins.md describes the protocol; standard output is for its messages, everything else goes to standard error";

/// A message of protocol 1.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Message {
    Log {
        #[serde(default)]
        level: Level,
        message: String,
    },
    Progress {
        #[serde(default, deserialize_with = "real")]
        fraction: Option<f64>,
        message: Option<String>,
    },
    Xcom {
        key: String,
        value: Value,
    },
    Result {
        state: State,
        value: Option<Value>,
        reason: Option<String>,
        #[serde(default = "yes")]
        retryable: bool,
        #[serde(default, deserialize_with = "real")]
        after_seconds: Option<f64>,
    },
    Defer {
        until: Option<Timestamp>,
        after_seconds: Option<f64>,
        resume: Option<Value>,
    },
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Success,
    Failed,
    Skipped,
    Retry,
}

/// What a plugin has decided.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginResult {
    /// It has done its work.
    Success,
    /// There was nothing to do.
    Skipped(String),
    /// It has failed; another try may do better.
    Failed(String),
    /// It has failed, and another try would not do better.
    FailedForGood(String),
    /// It has failed, and knows when the next try should start.
    RetryAfter(Duration, String),
    /// It goes on later, in another process that is told what it needs to know.
    Deferred {
        /// When.
        until: Until,
        /// What it is told then.
        resume: Option<Value>,
    },
}

/// When a deferred plugin goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Until {
    /// At an instant.
    At(Timestamp),
    /// After a while.
    After(Duration),
}

/// One plugin's messages, from the first to the last.
#[derive(Debug)]
pub struct Conversation {
    plugin: String,
    /// What is told of its words is cut: a piece of a secret would not be found any more.
    masker: Masker,
    xcoms: Vec<NewXCom>,
    xcom_bytes: usize,
    result: Option<PluginResult>,
    last_complaint: Option<String>,
}

impl Conversation {
    /// Nothing has been said.
    pub fn new(plugin: &str, masker: Masker) -> Self {
        Conversation {
            plugin: plugin.to_owned(),
            masker,
            xcoms: Vec::new(),
            xcom_bytes: 0,
            result: None,
            last_complaint: None,
        }
    }

    /// Takes in a line of standard output, and gives what of it belongs into the log. `cut` bytes have been left out of it.
    ///
    /// # Errors
    /// The line is no message, or one that must not come now; nothing that comes after it can be trusted.
    pub fn line(&mut self, text: &str, cut: u64) -> Result<Option<String>, String> {
        if cut > 0 {
            return Err(self.broken(&format!(
                "wrote a line longer than {PLUGIN_MESSAGE_BYTES_MAX} bytes: {}",
                quoted(&self.masker.mask(text))
            )));
        }
        let text = without_mark(text);
        if text.trim().is_empty() {
            return Ok(None);
        }
        let message: Message = serde_json::from_str(text).map_err(|error| {
            self.broken(&format!("wrote {}, which is no message: {error}", quoted(&self.masker.mask(text))))
        })?;
        if self.result.is_some() {
            return Err(self.broken(&format!("wrote {} after its result", quoted(&self.masker.mask(text)))));
        }
        match message {
            Message::Log { level: Level::Info, message } => Ok(Some(message)),
            Message::Log { level, message } => Ok(Some(format!("{}: {message}", level.name()))),
            Message::Progress { fraction, message } => Ok(Some(progress(fraction, message))),
            Message::Xcom { key, value } => self.keep(&key, &value).map(|()| None),
            Message::Result { state, value, reason, retryable, after_seconds } => {
                if let Some(value) = value.filter(|value| !value.is_null()) {
                    self.keep(RETURN_VALUE, &value)?;
                }
                self.result = Some(self.result(state, reason, retryable, after_seconds)?);
                Ok(None)
            }
            Message::Defer { until, after_seconds, resume } => {
                self.result = Some(self.deferral(until, after_seconds, resume)?);
                Ok(None)
            }
        }
    }

    /// Takes in a line of standard error: what a plugin says last tells best why it gave up.
    pub fn complaint(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.last_complaint = Some(self.masker.mask(text).chars().take(QUOTED_MAX + 1).collect());
        }
    }

    /// What follows when the plugin has ended, with its XComs. `ending` says how its process ended, in words.
    pub fn finish(self, is_clean_exit: bool, ending: &str) -> (PluginResult, Vec<NewXCom>) {
        match &self.result {
            None => {
                let last_words = match &self.last_complaint {
                    Some(complaint) => format!("; its last words: {}", quoted(complaint)),
                    None => String::new(),
                };
                (
                    PluginResult::Failed(self.broken(&format!("ended without a result ({ending}){last_words}"))),
                    Vec::new(),
                )
            }
            // Something went wrong after it had thought that it was done.
            Some(PluginResult::Success | PluginResult::Skipped(_) | PluginResult::Deferred { .. })
                if !is_clean_exit =>
            {
                (
                    PluginResult::Failed(self.broken(&format!("reported its result and then failed ({ending})"))),
                    Vec::new(),
                )
            }
            Some(result) => (result.clone(), self.xcoms),
        }
    }

    fn result(
        &self,
        state: State,
        reason: Option<String>,
        retryable: bool,
        after_seconds: Option<f64>,
    ) -> Result<PluginResult, String> {
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        let because = |default: &str| reason.clone().unwrap_or_else(|| format!("plugin `{}` {default}", self.plugin));
        Ok(match state {
            State::Success => PluginResult::Success,
            State::Skipped => PluginResult::Skipped(because("had nothing to do")),
            State::Failed if !retryable => PluginResult::FailedForGood(because("failed")),
            State::Failed => PluginResult::Failed(because("failed")),
            State::Retry => match after_seconds {
                None => PluginResult::Failed(because("asked for another try")),
                Some(seconds) => PluginResult::RetryAfter(self.delay(seconds)?, because("asked for another try")),
            },
        })
    }

    fn deferral(
        &self,
        until: Option<Timestamp>,
        after_seconds: Option<f64>,
        resume: Option<Value>,
    ) -> Result<PluginResult, String> {
        if !self.xcoms.is_empty() {
            return Err(self.broken("wrote XComs and then deferred: they belong to the part that ends with a result; carry them in `resume`"));
        }
        let until = match (until, after_seconds) {
            (Some(until), None) => Until::At(until),
            (None, Some(seconds)) => Until::After(self.delay(seconds)?),
            _ => {
                return Err(
                    self.broken("deferred without saying when: it takes `until` or `after_seconds`, one of them")
                );
            }
        };
        if resume.as_ref().is_some_and(|resume| resume.to_string().len() > XCOM_BYTES_MAX) {
            return Err(self.broken(&format!("deferred with a `resume` larger than {} MiB", XCOM_BYTES_MAX >> 20)));
        }
        Ok(PluginResult::Deferred { until, resume })
    }

    fn delay(&self, seconds: f64) -> Result<Duration, String> {
        if (0.0..=AFTER_SECONDS_MAX).contains(&seconds) {
            Ok(Duration::from_secs_f64(seconds))
        } else {
            Err(self.broken(&format!("wants to wait for {seconds} seconds, which is not between 0 and a year")))
        }
    }

    fn keep(&mut self, key: &str, value: &Value) -> Result<(), String> {
        check_xcom_key(key).map_err(|why| {
            self.broken(&format!("wrote an XCom: {}", why.split("; hint").next().unwrap_or_default()))
        })?;
        let xcom = xcom(key, value);
        if xcom.value.len() > XCOM_BYTES_MAX {
            let message =
                format!("wrote an XCom larger than {} MiB: {}", XCOM_BYTES_MAX >> 20, quoted(&self.masker.mask(key)));
            return Err(self.broken(&message));
        }
        self.xcom_bytes += key.len() + xcom.value.len();
        if self.xcom_bytes as u64 > XCOM_FILE_BYTES_MAX {
            return Err(self.broken(&format!("wrote more than {} MiB of XComs", XCOM_FILE_BYTES_MAX >> 20)));
        }
        self.xcoms.retain(|known| known.key != key);
        self.xcoms.push(xcom);
        Ok(())
    }

    fn broken(&self, what: &str) -> String {
        format!("plugin `{}` {what}\nhint: {HINT}", self.plugin)
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warning",
            Level::Error => "error",
        }
    }
}

/// A number, however it is written: in a tagged table serde has only those that are written as it would write them.
fn real<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let number: Option<serde_json::Number> = Deserialize::deserialize(deserializer)?;
    let real = |number: serde_json::Number| {
        number.as_f64().ok_or_else(|| serde::de::Error::custom(format!("the number {number} is too large")))
    };
    number.map(real).transpose()
}

const fn yes() -> bool {
    true
}

fn progress(fraction: Option<f64>, message: Option<String>) -> String {
    let message = message.unwrap_or_default();
    match fraction {
        Some(fraction) => format!("{:.0} % {message}", fraction.clamp(0.0, 1.0) * 100.0).trim_end().to_owned(),
        None => message,
    }
}

/// A plugin's own words, not too many of them, on one line.
fn quoted(text: &str) -> String {
    let mut words: String = text.chars().take(QUOTED_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(QUOTED_MAX).is_some() {
        words.push_str("...");
    }
    format!("`{words}`")
}

#[cfg(test)]
mod tests;
