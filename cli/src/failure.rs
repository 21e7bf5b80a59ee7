//! How commands fail: a message, its causes, a hint with the next step, and an exit code that scripts can trust.

use std::process::ExitCode;

use crate::output::tell;

/// Exit codes of `flowctl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked.
    Success = 0,
    /// It did not work, or the run that was waited for failed.
    Failed = 1,
    /// The command line, the configuration or the input cannot be used.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// The server or the database cannot be reached.
    Unreachable = 4,
    /// Not logged in, or not allowed.
    Denied = 5,
}

/// A failure with an exit code and a hint.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was attempted on which thing, and why it failed.
    pub message: String,
    /// What to do now.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A failure because of what the user gave.
pub fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// Prints an error with its causes and hint to stderr.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let mut exit = Exit::Failed;
    let mut hint = None;
    tell!("error: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !said.contains(&text) {
            tell!("  caused by: {text}");
            said.push_str(&text);
        }
    }
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            exit = failure.exit;
            hint = hint.or(failure.hint.clone());
        }
    }
    if let Some(hint) = hint {
        tell!("hint: {hint}");
    }
    exit.into()
}
