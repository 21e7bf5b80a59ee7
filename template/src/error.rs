//! What is wrong with a template, in words for its author.

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
    pub(crate) fn syntax(field: &str, error: &minijinja::Error) -> Self {
        TemplateError { field: field.to_owned(), line: error.line(), message: describe(error) }
    }
}

/// What the engine says, without the chain of places.
pub(crate) fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
