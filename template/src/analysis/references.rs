//! Paths such as `xcom.load.rows[0]` in the syntax tree of a template.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{BinOp, BinOpKind, CallArg, Expr, Macro, Stmt};

use minijinja::Error;

use super::range;
use crate::operators::compare_constants;

/// A name on a path, and where it stands in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name; of a position in a list its number.
    pub name: String,
    /// Its bytes.
    pub span: Range<usize>,
}

/// An argument of a call, as far as it is written out.
#[derive(Debug, Clone)]
pub struct Argument<'a> {
    /// Its name, if it has one; `*` if it stands for several.
    pub name: Option<&'a str>,
    /// What it says; `None`: that is known when it is rendered.
    pub value: Option<serde_json::Value>,
    /// Its bytes.
    pub span: Range<usize>,
}

/// A path of names that are written out. It ends where a value decides how it goes on.
#[derive(Debug)]
pub struct Reference<'a> {
    /// Its names; the first is a top-level one.
    pub steps: Vec<Step>,
    /// The arguments, if what the path leads to is called.
    pub call: Option<Vec<Argument<'a>>>,
    /// Whether the template asks first whether it is there: with `is defined`, `default`, or `in`.
    pub is_guarded: bool,
    /// What stands behind a `-` after it without a space: ids with dashes are often written so.
    pub dashed: Option<&'a str>,
}

impl Reference<'_> {
    /// The path in dots.
    pub fn path(&self) -> String {
        self.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// The bytes from the first name to the last.
    pub fn span(&self) -> Range<usize> {
        let first = self.steps.first().map_or(0..0, |step| step.span.clone());
        first.start..self.steps.last().map_or(first.end, |step| step.span.end)
    }
}

/// Reads a path; `None`: it begins with something else than a name.
pub(super) fn read<'a>(expression: &Expr<'a>, arguments: Option<&[CallArg<'a>]>) -> Option<Reference<'a>> {
    let (steps, is_whole) = steps(expression)?;
    let call = arguments.filter(|_| is_whole).map(|arguments| arguments.iter().map(argument).collect());
    Some(Reference { steps, call, is_guarded: false, dashed: None })
}

/// The steps of a path, and whether they are all of it.
fn steps(expression: &Expr<'_>) -> Option<(Vec<Step>, bool)> {
    let (before, next) = match expression {
        Expr::Var(variable) => {
            return Some((vec![Step { name: variable.id.to_owned(), span: range(variable.span()) }], true));
        }
        Expr::GetAttr(attribute) => {
            let end = attribute.span().end_offset as usize;
            let span = end.saturating_sub(attribute.name.len())..end;
            (&attribute.expr, Some(Step { name: attribute.name.to_owned(), span }))
        }
        Expr::GetItem(item) => (&item.expr, written(&item.subscript_expr)),
        _ => return None,
    };
    let (mut found, is_whole) = steps(before)?;
    match next.filter(|_| is_whole) {
        Some(step) => {
            found.push(step);
            Some((found, true))
        }
        None => Some((found, false)),
    }
}

/// A subscript that is written out: a text or a number.
fn written(subscript: &Expr<'_>) -> Option<Step> {
    let Expr::Const(constant) = subscript else { return None };
    let name = match constant.value.as_str() {
        Some(text) => text.to_owned(),
        None => constant.value.as_i64()?.to_string(),
    };
    Some(Step { name, span: range(constant.span()) })
}

fn argument<'a>(argument: &CallArg<'a>) -> Argument<'a> {
    let (name, value) = match argument {
        CallArg::Pos(value) => (None, value),
        CallArg::Kwarg(name, value) => (Some(*name), value),
        CallArg::PosSplat(value) | CallArg::KwargSplat(value) => (Some("*"), value),
    };
    let written = value.as_const().and_then(|value| serde_json::to_value(value).ok());
    Argument { name, value: written, span: range(value.span()) }
}

/// The subscripts on a path, which are expressions of their own.
pub(super) fn subscripts<'t, 'a>(expression: &'t Expr<'a>, visit: &mut dyn FnMut(&'t Expr<'a>)) {
    match expression {
        Expr::GetAttr(attribute) => subscripts(&attribute.expr, visit),
        Expr::GetItem(item) => {
            subscripts(&item.expr, visit);
            visit(&item.subscript_expr);
        }
        _ => {}
    }
}

/// Whether an operation is a `-` between a path and a name: an id with a dash, if the path leads nowhere.
pub(super) fn is_dashed(operation: &BinOp<'_>) -> bool {
    matches!(operation.op, BinOpKind::Sub)
        && matches!(operation.right, Expr::Var(_) | Expr::GetAttr(_) | Expr::Const(_))
}

/// The word behind a `-` that follows a path at once.
pub(super) fn after_dash<'a>(source: &'a str, reference: &Reference<'_>) -> Option<&'a str> {
    let rest = source.get(reference.span().end..)?.strip_prefix('-')?;
    let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    let word = rest[..length].trim_end_matches('-');
    (!word.is_empty()).then_some(word)
}

/// What a statement is made of.
pub(super) enum Child<'t, 'a> {
    Statement(&'t Stmt<'a>),
    /// An expression that is evaluated by itself, and all of its bytes.
    Whole(&'t Expr<'a>, Range<usize>),
    /// A filter without what it filters.
    Block(&'t Expr<'a>),
    /// A statement that wants another template.
    Foreign(&'static str, Span),
}

/// Goes through the parts of a statement in order.
pub(super) fn children<'t, 'a>(statement: &'t Stmt<'a>, visit: &mut dyn FnMut(Child<'t, 'a>)) {
    let all = |statements: &'t [Stmt<'a>], visit: &mut dyn FnMut(Child<'t, 'a>)| {
        statements.iter().for_each(|statement| visit(Child::Statement(statement)));
    };
    match statement {
        Stmt::Template(template) => all(&template.children, visit),
        Stmt::EmitExpr(emitted) => visit(Child::Whole(&emitted.expr, range(emitted.span()))),
        Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
        Stmt::ForLoop(each) => {
            visit(whole(&each.iter));
            each.filter_expr.iter().for_each(|filter| visit(whole(filter)));
            all(&each.body, visit);
            all(&each.else_body, visit);
        }
        Stmt::IfCond(branch) => {
            visit(whole(&branch.expr));
            all(&branch.true_body, visit);
            all(&branch.false_body, visit);
        }
        Stmt::WithBlock(with) => {
            with.assignments.iter().for_each(|(_, value)| visit(whole(value)));
            all(&with.body, visit);
        }
        Stmt::Set(set) => visit(whole(&set.expr)),
        Stmt::SetBlock(set) => {
            set.filter.iter().for_each(|filter| visit(Child::Block(filter)));
            all(&set.body, visit);
        }
        Stmt::AutoEscape(block) => {
            visit(whole(&block.enabled));
            all(&block.body, visit);
        }
        Stmt::FilterBlock(block) => {
            visit(Child::Block(&block.filter));
            all(&block.body, visit);
        }
        Stmt::Block(block) => all(&block.body, visit),
        Stmt::Macro(declared) => {
            declared.defaults.iter().for_each(|value| visit(whole(value)));
            all(&declared.body, visit);
        }
        Stmt::CallBlock(block) => {
            called(&block.call.expr, &block.call.args, visit);
            all(&block.macro_decl.body, visit);
        }
        Stmt::Do(action) => called(&action.call.expr, &action.call.args, visit),
        Stmt::Import(import) => visit(Child::Foreign("import", import.span())),
        Stmt::FromImport(import) => visit(Child::Foreign("from", import.span())),
        Stmt::Extends(extends) => visit(Child::Foreign("extends", extends.span())),
        Stmt::Include(include) => visit(Child::Foreign("include", include.span())),
    }
}

fn whole<'t, 'a>(expression: &'t Expr<'a>) -> Child<'t, 'a> {
    Child::Whole(expression, extent(expression))
}

/// All bytes of an expression: what the engine notes of a filter begins with the filter's name.
pub(super) fn extent(expression: &Expr<'_>) -> Range<usize> {
    let mut all = range(expression.span());
    inside(expression, &mut |inner| {
        let inner = extent(inner);
        all = all.start.min(inner.start)..all.end.max(inner.end);
    });
    all
}

fn called<'t, 'a>(function: &'t Expr<'a>, arguments: &'t [CallArg<'a>], visit: &mut dyn FnMut(Child<'t, 'a>)) {
    if !matches!(function, Expr::Var(_)) {
        visit(Child::Block(function));
    }
    for argument in arguments {
        match argument {
            CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                visit(whole(value));
            }
        }
    }
}

/// Goes through the expressions directly inside one.
pub(super) fn inside<'t, 'a>(expression: &'t Expr<'a>, visit: &mut dyn FnMut(&'t Expr<'a>)) {
    match expression {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::Slice(slice) => {
            visit(&slice.expr);
            [&slice.start, &slice.stop, &slice.step].into_iter().flatten().for_each(visit);
        }
        Expr::UnaryOp(operation) => visit(&operation.expr),
        Expr::BinOp(operation) => [&operation.left, &operation.right].into_iter().for_each(visit),
        Expr::Compare(comparison) => {
            visit(&comparison.expr);
            comparison.ops.iter().for_each(|operand| visit(&operand.expr));
        }
        Expr::IfExpr(choice) => {
            visit(&choice.test_expr);
            visit(&choice.true_expr);
            choice.false_expr.iter().for_each(visit);
        }
        Expr::Filter(filter) => {
            filter.expr.iter().for_each(&mut *visit);
            values(&filter.args, visit);
        }
        Expr::Test(test) => {
            visit(&test.expr);
            values(&test.args, visit);
        }
        Expr::GetAttr(attribute) => visit(&attribute.expr),
        Expr::GetItem(item) => [&item.expr, &item.subscript_expr].into_iter().for_each(visit),
        Expr::Call(call) => {
            visit(&call.expr);
            values(&call.args, visit);
        }
        Expr::List(list) => list.items.iter().for_each(visit),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(visit),
        Expr::Map(map) => map.keys.iter().chain(&map.values).for_each(visit),
    }
}

fn values<'t, 'a>(arguments: &'t [CallArg<'a>], visit: &mut dyn FnMut(&'t Expr<'a>)) {
    for argument in arguments {
        match argument {
            CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                visit(value);
            }
        }
    }
}

/// Names that a template gives a meaning itself, and paths that it asks about (`is defined`, `| default`, `'x' in params`).
pub(super) fn declared<'a>(root: &Stmt<'a>) -> (HashSet<&'a str>, BTreeSet<String>) {
    let mut found = Declared::default();
    found.statement(root);
    (found.locals, found.guarded)
}

#[derive(Default)]
struct Declared<'a> {
    locals: HashSet<&'a str>,
    guarded: BTreeSet<String>,
}

impl<'a> Declared<'a> {
    fn statement(&mut self, statement: &Stmt<'a>) {
        match statement {
            Stmt::ForLoop(each) => {
                self.target(&each.target);
                self.locals.insert("loop");
            }
            Stmt::WithBlock(with) => with.assignments.iter().for_each(|(target, _)| self.target(target)),
            Stmt::Set(set) => self.target(&set.target),
            Stmt::SetBlock(set) => self.target(&set.target),
            Stmt::Macro(declared) => self.macro_of(declared),
            Stmt::CallBlock(block) => self.macro_of(&block.macro_decl),
            Stmt::Block(_) => self.locals.extend(["self", "super"]),
            Stmt::IfCond(branch) => self.asks_for_a_task(&branch.expr),
            _ => {}
        }
        children(statement, &mut |child| match child {
            Child::Statement(statement) => self.statement(statement),
            Child::Whole(expression, _) | Child::Block(expression) => self.expression(expression),
            Child::Foreign(..) => {}
        });
    }

    fn macro_of(&mut self, declared: &Macro<'a>) {
        self.locals.extend([declared.name, "caller", "varargs", "kwargs"]);
        declared.args.iter().for_each(|argument| self.target(argument));
    }

    fn target(&mut self, target: &Expr<'a>) {
        match target {
            Expr::Var(variable) => {
                self.locals.insert(variable.id);
            }
            other => inside(other, &mut |inner| self.target(inner)),
        }
    }

    fn expression(&mut self, expression: &Expr<'a>) {
        match expression {
            Expr::Test(test) if matches!(test.name, "defined" | "undefined") => self.guard(&test.expr, None),
            Expr::Filter(filter) if matches!(filter.name, "default" | "d") => {
                filter.expr.iter().for_each(|inner| self.guard(inner, None));
            }
            Expr::BinOp(operation) if matches!(operation.op, BinOpKind::In) => {
                if let Some(step) = written(&operation.left) {
                    self.guard(&operation.right, Some(step.name));
                }
            }
            Expr::IfExpr(choice) => self.asks_for_a_task(&choice.test_expr),
            Expr::Compare(comparison) => {
                if let (Some(step), [operand]) = (written(&comparison.expr), comparison.ops.as_slice()) {
                    self.guard(&operand.expr, Some(step.name));
                }
            }
            _ => {}
        }
        inside(expression, &mut |inner| self.expression(inner));
    }

    /// `{% if ti %}`: callbacks of a DAG know no task.
    fn asks_for_a_task(&mut self, condition: &Expr<'a>) {
        if let Expr::Var(variable) = condition
            && matches!(variable.id, "ti" | "task" | "task_instance")
        {
            self.guard(condition, None);
        }
    }

    fn guard(&mut self, expression: &Expr<'a>, member: Option<String>) {
        if let Some(reference) = read(expression, None) {
            let path = reference.path();
            self.guarded.insert(member.map_or(path.clone(), |member| format!("{path}.{member}")));
        }
    }
}

/// Refuses to order values of different kinds that are written out.
///
/// # Errors
/// The first of them.
pub(crate) fn refuse_comparisons(statement: &Stmt<'_>) -> Result<(), Error> {
    let mut refused = Ok(());
    children(statement, &mut |child| {
        if refused.is_ok() {
            refused = match child {
                Child::Statement(statement) => refuse_comparisons(statement),
                Child::Whole(expression, _) | Child::Block(expression) => refuse_comparisons_in(expression),
                Child::Foreign(..) => Ok(()),
            };
        }
    });
    refused
}

/// As [`refuse_comparisons`], of one expression.
///
/// # Errors
/// The first of them.
pub(crate) fn refuse_comparisons_in(expression: &Expr<'_>) -> Result<(), Error> {
    let mut refused = compare_constants(expression);
    inside(expression, &mut |inner| {
        if refused.is_ok() {
            refused = refuse_comparisons_in(inner);
        }
    });
    refused
}
