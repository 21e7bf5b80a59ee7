//! Mistakes as text, in the way of compilers: message, place with the line and a caret, hint.

use std::borrow::Cow;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::check::CheckedFile;
use crate::diagnostic::{Diagnostic, Severity};

/// Everything that was found in a file, for a terminal or a page.
pub fn render(file: &CheckedFile, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    file.diagnostics()
        .iter()
        .map(|diagnostic| {
            let (path, source) = match &diagnostic.script {
                Some(script) => (script_path(&file.path, &script.path), &*script.source),
                None => (file.path.clone(), file.source.as_str()),
            };
            let (path, source) = (flow_model::visible(&path), excerpts(source));
            renderer.render(&[group(&path, &source, &visible(diagnostic))]).to_string()
        })
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// How a script's path is written, next to how the DAG file's is.
pub fn script_path(dag_file: &str, script: &str) -> String {
    let folder = dag_file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let joined = if folder.is_empty() { script.to_owned() } else { format!("{folder}/{script}") };
    let mut steps: Vec<&str> = Vec::new();
    for step in joined.split('/') {
        match steps.last() {
            Some(last) if step == ".." && !matches!(*last, ".." | "" | ".") => drop(steps.pop()),
            _ => steps.push(step),
        }
    }
    steps.join("/")
}

/// The text that excerpts are taken from: a character that is not seen has one in its place that is, with as many bytes, so
/// that places stay the same. Controls are shown by the renderer.
fn excerpts(source: &str) -> Cow<'_, str> {
    if !source.contains(flow_model::is_hidden) {
        return Cow::Borrowed(source);
    }
    let shown = |character: char| match character.len_utf8() {
        _ if !flow_model::is_hidden(character) => character,
        1 => character,
        2 => '\u{b7}',
        3 => char::REPLACEMENT_CHARACTER,
        _ => '\u{1f6c7}',
    };
    Cow::Owned(source.chars().map(shown).collect())
}

/// A diagnostic whose words quote the file without giving orders to a terminal.
fn visible(diagnostic: &Diagnostic) -> Diagnostic {
    let shown = |text: &String| flow_model::visible(text).into_owned();
    Diagnostic {
        message: shown(&diagnostic.message),
        label: diagnostic.label.as_ref().map(shown),
        hint: diagnostic.hint.as_ref().map(shown),
        ..diagnostic.clone()
    }
}

fn group<'a>(path: &'a str, source: &'a str, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let mut group = if source.is_empty() {
        title.element(annotate_snippets::Origin::path(path))
    } else {
        let label = diagnostic.label.as_deref().unwrap_or("");
        title.element(
            Snippet::source(source)
                .path(path)
                .annotation(AnnotationKind::Primary.span(span(source, diagnostic)).label(label)),
        )
    };
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    group
}

/// A span that can be drawn: within the text, on whole characters, and on its first line where it covers many.
fn span(source: &str, diagnostic: &Diagnostic) -> std::ops::Range<usize> {
    let floor = |at: usize| (0..=at.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
    let start = floor(diagnostic.span.start);
    let line_end = source[start..].find('\n').map_or(source.len(), |length| start + length);
    let end = floor(diagnostic.span.end).clamp(start, line_end.max(start));
    start..end
}
