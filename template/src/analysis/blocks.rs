//! Blocks of SQL that cannot mean there what they mean elsewhere.

use minijinja::machinery::Span;
use minijinja::machinery::ast::Stmt;
use minijinja::machinery::parse;

use super::references::{Child, children};
use super::{Fault, range};

/// Blocks that make a value of the text in them: a value is bound, and would be no SQL any more.
pub(crate) fn captures(source: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    // What cannot be read is told by whoever renders it.
    if let Ok(root) = parse(source, "template", minijinja::syntax::SyntaxConfig::default()) {
        visit(&root, &mut faults);
    }
    faults
}

fn visit(statement: &Stmt<'_>, faults: &mut Vec<Fault>) {
    if let Some((word, span)) = captured(statement) {
        faults.push(Fault::error(
            range(span),
            format!("`{{% {word} %}}` would make one value of the SQL in it, and a value is bound, not run"),
            "write the SQL where it belongs, with `{% if %}` and `{% for %}` around what differs",
        ));
    }
    children(statement, &mut |child| {
        if let Child::Statement(inner) = child {
            visit(inner, faults);
        }
    });
}

fn captured(statement: &Stmt<'_>) -> Option<(&'static str, Span)> {
    match statement {
        Stmt::SetBlock(block) => Some(("set", block.span())),
        Stmt::Macro(block) => Some(("macro", block.span())),
        Stmt::CallBlock(block) => Some(("call", block.span())),
        Stmt::FilterBlock(block) => Some(("filter", block.span())),
        Stmt::AutoEscape(block) => Some(("autoescape", block.span())),
        _ => None,
    }
}
