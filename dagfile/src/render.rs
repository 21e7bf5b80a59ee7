//! Mistakes as text, in the way of compilers: message, place with the line and a caret, hint.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::check::CheckedFile;
use crate::diagnostic::{Diagnostic, Severity};

/// Everything that was found in a file, for a terminal or a page.
pub fn render(file: &CheckedFile, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    file.diagnostics()
        .iter()
        .map(|diagnostic| renderer.render(&[group(file, diagnostic)]).to_string())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn group<'a>(file: &'a CheckedFile, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let mut group = if file.source.is_empty() {
        title.element(annotate_snippets::Origin::path(file.path.as_str()))
    } else {
        let label = diagnostic.label.as_deref().unwrap_or("");
        title.element(
            Snippet::source(file.source.as_str())
                .path(file.path.as_str())
                .annotation(AnnotationKind::Primary.span(span(&file.source, diagnostic)).label(label)),
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
