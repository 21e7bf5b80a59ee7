//! Mistakes, with their place and a hint.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It works, and is probably not meant.
    Warning,
}

/// A mistake in a DAG file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it keeps the file from being used.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What stands at the place, in a few words.
    pub label: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Line; 1 is the first.
    pub line: usize,
    /// Column in characters; 1 is the first.
    pub column: usize,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// The file that line, column and span belong to, where it is not the DAG file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<Script>,
}

/// Another file that a mistake is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Script {
    /// Its path relative to the DAG file.
    pub path: String,
    /// Its text.
    #[serde(skip)]
    pub source: Arc<str>,
    /// Bytes of the DAG file that name it.
    #[serde(skip)]
    pub named_at: Range<usize>,
}

/// Collects mistakes; lines and columns are worked out at the end.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Diagnostic>);

impl Problems {
    /// Notes a mistake.
    pub fn add(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        let message = message.into();
        self.0.push(Diagnostic {
            severity: Severity::Error,
            message,
            label: None,
            hint: None,
            line: 1,
            column: 1,
            span,
            script: None,
        });
        self.0.last_mut().expect("one was just added")
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a mistake at a place already.
    pub fn has_at(&self, span: &Range<usize>) -> bool {
        self.0.iter().any(|problem| *problem.place() == *span)
    }

    /// Keeps of what was noted after the first `count` only what is worth telling.
    pub fn forget_after(&mut self, count: usize, is_worth: impl Fn(&Range<usize>) -> bool) {
        let later = self.0.split_off(count);
        self.0.extend(later.into_iter().filter(|problem| is_worth(problem.place())));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes in order of their places, each told once.
    pub fn finish(mut self, source: &str) -> Vec<Diagnostic> {
        for problem in &mut self.0 {
            let source = problem.script.as_ref().map_or(source, |script| &script.source);
            let start = (0..=problem.span.start.min(source.len())).rev().find(|at| source.is_char_boundary(*at));
            let before = &source[..start.unwrap_or(0)];
            problem.line = before.matches('\n').count() + 1;
            problem.column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        }
        self.0.sort_by_key(|problem| {
            let place = problem.place();
            (place.start, place.end, problem.script.is_some(), problem.span.start, problem.span.end)
        });
        self.0.dedup();
        self.0
    }
}

impl Problems {
    /// Takes in what is not a mistake, only probably not meant.
    pub fn take_warnings(&mut self, warnings: Problems) {
        let warnings = warnings.0.into_iter().map(|it| Diagnostic { severity: Severity::Warning, ..it });
        self.0.extend(warnings);
    }
}

impl From<Vec<Diagnostic>> for Problems {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Problems(diagnostics)
    }
}

impl Diagnostic {
    /// Bytes of the DAG file that it is about.
    fn place(&self) -> &Range<usize> {
        self.script.as_ref().map_or(&self.span, |script| &script.named_at)
    }

    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }
}
