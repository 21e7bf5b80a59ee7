//! What is wrong with a template, in words for its author.

use crate::words::words;

/// A template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot render the template of `{field}`{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct TemplateError {
    /// The task's field.
    pub field: String,
    /// Line within the field's text; 1 is the first.
    pub line: Option<usize>,
    /// What is wrong, with a hint where there is one.
    pub message: String,
}

impl TemplateError {
    /// A text that a sink refuses.
    pub(crate) fn refused(field: &str, message: String) -> Self {
        TemplateError { field: field.to_owned(), line: None, message }
    }

    /// A template that the engine cannot read.
    pub(crate) fn syntax(field: &str, source: &str, error: &minijinja::Error) -> Self {
        let fault = crate::analysis::explain(source, error);
        let message = format!("{}\nhint: {}", fault.message, fault.hint);
        TemplateError { field: field.to_owned(), line: error.line(), message }
    }

    /// A template that the engine cannot render; `expression` is what it was working out.
    pub(crate) fn of(field: &str, error: &minijinja::Error, expression: Option<&str>) -> Self {
        let (message, hint) = words(error, expression);
        let hint = if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") };
        TemplateError { field: field.to_owned(), line: error.line(), message: format!("{message}{hint}") }
    }
}
