//! What can be said about a template without rendering it: whether the engine can read it, and whether what it names can ever
//! be there. Every mistake is found, not only the first; only a text that the engine cannot read ends at its first one.

mod blocks;
mod probe;
mod references;
mod syntax;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};

use crate::braces::{Guarded, Reading};
use crate::names::from_airflow_2;
use crate::operators::compare_constants;
use crate::program::Program;
use crate::sinks::sql::NO_SAFE;
pub(crate) use blocks::captures;
use flow_model::suggest::{listed, nearest};
use probe::Engine;
pub use references::{Argument, Reference, Step};
pub(crate) use references::{refuse_comparisons, refuse_comparisons_in};
pub(crate) use syntax::explain;

/// Something about a template that is wrong, or probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The bytes of the template that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Whether it may be right after all.
    pub is_warning: bool,
}

impl Fault {
    /// A mistake.
    pub fn error(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault { span, message: message.into(), hint: hint.into(), is_warning: false }
    }

    /// Something that works, and is probably not meant.
    pub fn warning(span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault { is_warning: true, ..Fault::error(span, message, hint) }
    }
}

/// What the names of a template stand for, as far as the file tells.
pub trait Vocabulary {
    /// The top-level names that mean something, besides the engine's own.
    fn names(&self) -> Vec<String>;

    /// Whether other names may be there, too: nobody knows before the run.
    fn is_open(&self) -> bool;

    /// Everything that is wrong with a path that begins with one of the names.
    fn look_at(&self, reference: &Reference<'_>) -> Vec<Fault>;
}

/// Everything that is wrong with a template, in order of the places. `is_shell`: it is shell code, which has braces of its own.
pub fn analyse(source: &str, is_shell: bool, vocabulary: &dyn Vocabulary) -> Vec<Fault> {
    let faults = if is_shell { syntax::lengths_in_shell(source) } else { Vec::new() };
    analysed(source, faults, Engine::new(), vocabulary)
}

/// As [`analyse`], of SQL. `template`: whether its author says that it is one.
pub fn analyse_sql(source: &str, template: Option<bool>, vocabulary: &dyn Vocabulary) -> Vec<Fault> {
    let guarded = guarded(source, template, true, vocabulary);
    if !guarded.is_template {
        return Vec::new();
    }
    let mut faults = analysed(&guarded.text, Vec::new(), Engine::of_sql(), vocabulary);
    faults.extend(captures(&guarded.text));
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    for fault in &mut faults {
        let is_own = guarded.doubtful.iter().any(|place| place.contains(&fault.span.start));
        let escape = "braces that are SQL's own stand between `{% raw %}` and `{% endraw %}`";
        if is_own && !fault.is_warning {
            fault.hint = format!("{}; {escape}", fault.hint);
        }
    }
    faults
}

/// As [`analyse`], of a script file for a shell. `template`: whether its author says that it is one.
pub fn analyse_shell_file(source: &str, template: Option<bool>, vocabulary: &dyn Vocabulary) -> Vec<Fault> {
    if template == Some(true) {
        return analyse(source, true, vocabulary);
    }
    let guarded = guarded(source, template, false, vocabulary);
    let mut faults = Vec::new();
    if guarded.is_template {
        faults = analysed(&guarded.text, faults, Engine::new(), vocabulary);
    }
    for place in guarded.doubtful {
        faults.push(Fault::warning(
            place.clone(),
            format!("`{}` is not rendered: it names nothing that templates know", &source[place]),
            "`template = true` beside `script` makes every brace the template's, and `template = false` none",
        ));
    }
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    faults
}

fn guarded(source: &str, template: Option<bool>, takes_doubtful: bool, vocabulary: &dyn Vocabulary) -> Guarded {
    let (names, is_open) = (vocabulary.names(), vocabulary.is_open());
    let knows = |name: &str| is_open || names.iter().any(|known| known == name);
    Guarded::read(source, &Reading { template, takes_doubtful, knows: &knows })
}

fn analysed(source: &str, mut faults: Vec<Fault>, engine: Engine, vocabulary: &dyn Vocabulary) -> Vec<Fault> {
    match parse(source, "template", minijinja::syntax::SyntaxConfig::default()) {
        Err(error) => {
            if faults.is_empty() {
                faults.push(syntax::explain(source, &error));
            }
        }
        Ok(root) => {
            let mut visitor = Visitor::new(source, &root, engine, vocabulary);
            visitor.statement(&root);
            faults.extend(visitor.faults);
            // What only the code generator refuses.
            if faults.is_empty()
                && let Err(error) = Program::template("template", source)
            {
                faults.push(syntax::explain(source, &error));
            }
        }
    }
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    faults.dedup();
    faults
}

/// Walks through a template.
struct Visitor<'a, 'v> {
    source: &'a str,
    vocabulary: &'v dyn Vocabulary,
    engine: Engine,
    /// Names that the template itself gives a meaning somewhere.
    locals: HashSet<&'a str>,
    /// Paths that the template asks about before it uses them.
    guarded: BTreeSet<String>,
    faults: Vec<Fault>,
}

impl<'a, 'v> Visitor<'a, 'v> {
    fn new(source: &'a str, root: &Stmt<'a>, engine: Engine, vocabulary: &'v dyn Vocabulary) -> Self {
        let (locals, guarded) = references::declared(root);
        Visitor { source, vocabulary, engine, locals, guarded, faults: Vec::new() }
    }

    fn statement(&mut self, statement: &Stmt<'a>) {
        references::children(statement, &mut |child| match child {
            references::Child::Statement(statement) => self.statement(statement),
            references::Child::Whole(expression, span) => self.whole(expression, span),
            references::Child::Block(filter) => self.expression(filter),
            references::Child::Foreign(what, span) => self.foreign(what, span),
        });
    }

    /// An expression that stands by itself: its value is what is printed, asked or gone through.
    fn whole(&mut self, expression: &Expr<'a>, span: Range<usize>) {
        let before = self.faults.len();
        self.expression(expression);
        if self.faults.len() == before {
            let fault = self.engine.try_out(self.source, span, expression, &self.locals);
            self.faults.extend(fault);
        }
    }

    fn foreign(&mut self, what: &str, span: Span) {
        self.faults.push(Fault::error(
            range(span),
            format!("`{{% {what} %}}` leads nowhere: a template of a DAG file stands alone"),
            "write the text here; code that is shared goes into a script file",
        ));
    }

    fn expression(&mut self, expression: &Expr<'a>) {
        if let Err(error) = compare_constants(expression) {
            let message = error.detail().unwrap_or_default().to_owned();
            let hint = "compare values of one kind: `| int`, `| float` and `| string` change it";
            self.faults.push(Fault::error(references::extent(expression), message, hint));
        }
        match expression {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expression, None),
            Expr::Call(call) => {
                match &call.expr {
                    Expr::Var(function) if !self.locals.contains(function.id) => {
                        self.function(function.id, range(function.span()));
                    }
                    path => self.path(path, Some(&call.args)),
                }
                self.arguments(&call.args);
            }
            Expr::Filter(filter) => {
                let span = starting(expression.span(), filter.name);
                if !self.engine.has_filter(filter.name) {
                    let hint = self.engine.filter_hint(filter.name);
                    self.faults.push(Fault::error(span, format!("there is no filter `{}`", filter.name), hint));
                } else if filter.name == "safe" && self.engine.is_of_sql {
                    let (message, hint) = NO_SAFE;
                    self.faults.push(Fault::error(span, message, hint));
                }
                filter.expr.iter().for_each(|inner| self.expression(inner));
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                let span = starting(expression.span(), test.name);
                if !self.engine.has_test(test.name) {
                    let hint = self.engine.test_hint(test.name);
                    self.faults.push(Fault::error(span, format!("there is no test `{}`", test.name), hint));
                }
                self.expression(&test.expr);
                self.arguments(&test.args);
            }
            // `xcom.load-all` is a subtraction: what stands on its right is a part of the id that was meant.
            Expr::BinOp(operation) => {
                let before = self.faults.len();
                self.expression(&operation.left);
                let is_part = self.faults.len() > before && references::is_dashed(operation);
                if !is_part {
                    self.expression(&operation.right);
                }
            }
            other => references::inside(other, &mut |inner| self.expression(inner)),
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => {
                    self.expression(value);
                }
            }
        }
    }

    fn function(&mut self, name: &str, span: Range<usize>) {
        if self.engine.has_global(name) || self.vocabulary.is_open() {
            return;
        }
        if self.vocabulary.names().iter().any(|known| known == name) {
            self.faults.push(Fault::error(
                span,
                format!("`{name}` is a value, not a function"),
                format!("write `{name}` without the parentheses"),
            ));
            return;
        }
        let meant = (from_airflow_2(name), nearest(name, self.engine.globals()), self.engine.filter_meant(name));
        let hint = match meant {
            (Some(hint), ..) => hint.to_owned(),
            (None, Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, None, Some(meant)) => format!("that is a filter here: `{{{{ value | {meant} }}}}`"),
            (None, None, None) => format!(
                "the functions are {}; most things are filters here, such as `| length`",
                listed(self.engine.globals())
            ),
        };
        self.faults.push(Fault::error(span, format!("there is no function `{name}`"), hint));
    }

    fn path(&mut self, expression: &Expr<'a>, arguments: Option<&[CallArg<'a>]>) {
        let Some(mut reference) = references::read(expression, arguments) else {
            references::inside(expression, &mut |inner| self.expression(inner));
            return;
        };
        references::subscripts(expression, &mut |inner| self.expression(inner));
        let first = reference.steps[0].name.clone();
        if self.locals.contains(first.as_str()) {
            return;
        }
        reference.is_guarded = self.is_guarded(&reference);
        reference.dashed = references::after_dash(self.source, &reference);
        let names = self.vocabulary.names();
        if names.contains(&first) {
            self.faults.extend(self.vocabulary.look_at(&reference));
        } else if !self.engine.has_global(&first) && !self.vocabulary.is_open() {
            self.unknown(&reference, &names);
        }
    }

    /// Whether the template asks first whether what the path leads to is there.
    fn is_guarded(&self, reference: &Reference<'_>) -> bool {
        let path = reference.path();
        self.guarded.iter().any(|guarded| {
            let leads_on = |longer: &str, shorter: &str| {
                longer.strip_prefix(shorter).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            leads_on(&path, guarded) || leads_on(guarded, &path)
        })
    }

    fn unknown(&mut self, reference: &Reference<'_>, names: &[String]) {
        let Step { name, span } = reference.steps[0].clone();
        let hint = match (from_airflow_2(&name), nearest(&name, names.iter().map(String::as_str))) {
            (Some(hint), _) => hint.to_owned(),
            (None, Some(meant)) => format!("did you mean `{meant}`?"),
            (None, None) => format!("templates know {}", listed(names.iter().map(String::as_str))),
        };
        let message = format!("`{name}` means nothing in a template");
        let fault =
            if reference.is_guarded { Fault::warning(span, message, hint) } else { Fault::error(span, message, hint) };
        self.faults.push(fault);
    }
}

pub(crate) fn range(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

/// The first part of a span, as long as a name.
fn starting(span: Span, name: &str) -> Range<usize> {
    let start = span.start_offset as usize;
    start..start + name.len()
}

#[cfg(test)]
mod tests;
