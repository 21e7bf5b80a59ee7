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
    /// What it has to do with others.
    #[serde(skip)]
    pub(crate) about: About,
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

/// Whether a mistake may be the other side of another one. Tables are named by the keys that lead to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum About {
    /// It stands for itself.
    #[default]
    Itself,
    /// A key in a table that does not know it.
    Stray { key: String, meant: Option<String>, table: Vec<String> },
    /// One of these keys is missing.
    Absent { keys: Vec<&'static str>, table: Vec<String> },
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
            about: About::Itself,
        });
        self.0.last_mut().expect("one was just added")
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps of what was noted after the first `count` only what is worth telling.
    pub fn forget_after(&mut self, count: usize, is_worth: impl Fn(&Range<usize>) -> bool) {
        let later = self.0.split_off(count);
        self.0.extend(later.into_iter().filter(|problem| is_worth(problem.place())));
    }

    /// Says in which table is missing what was found missing after the first `count`.
    pub fn place_absences(&mut self, count: usize, place: &[String]) {
        for problem in self.0.iter_mut().skip(count) {
            if let About::Absent { table, .. } = &mut problem.about {
                *table = place.to_vec();
            }
        }
    }

    /// A key in the wrong table is one mistake: that the right one lacks it is no second one.
    pub fn forget_echoes(&mut self) {
        let strays: Vec<About> =
            self.0.iter().map(|it| it.about.clone()).filter(|about| matches!(about, About::Stray { .. })).collect();
        self.0.retain(|it| !strays.iter().any(|stray| stray.explains(&it.about)));
    }

    /// What was told of a place gives way to something better.
    pub fn forget_at(&mut self, span: &Range<usize>) {
        self.0.retain(|problem| *problem.place() != *span);
    }

    /// What is missing may stand in what could not be read.
    pub fn forget_absences(&mut self) {
        self.0.retain(|problem| !matches!(problem.about, About::Absent { .. }));
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

impl About {
    /// Whether what is missing there is this key.
    fn explains(&self, absence: &About) -> bool {
        let (About::Stray { key, meant, table }, About::Absent { keys, table: lacking }) = (self, absence) else {
            return false;
        };
        let is_meant = meant.as_deref().is_some_and(|meant| table == lacking && keys.contains(&meant));
        lacking.starts_with(around(table)) && (is_meant || keys.contains(&key.as_str()))
    }
}

/// The part of a file that a stray key was meant for: the task that its table belongs to, else all that is in the table.
fn around(table: &[String]) -> &[String] {
    let mut at = 0;
    while at + 1 < table.len() && matches!(table[at].as_str(), "tasks" | "task_groups") {
        at += 2;
        if table[at - 2] == "tasks" {
            break;
        }
    }
    &table[..at]
}

impl Diagnostic {
    /// Bytes of the DAG file that it is about.
    fn place(&self) -> &Range<usize> {
        self.script.as_ref().map_or(&self.span, |script| &script.named_at)
    }

    /// Says which keys are missing: one of them would do.
    pub(crate) fn absent(&mut self, keys: impl IntoIterator<Item = &'static str>) -> &mut Self {
        self.about = About::Absent { keys: keys.into_iter().collect(), table: Vec::new() };
        self
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
