//! Python's operators where the engine has none: `%` formats text, dates are added and subtracted, and values of different
//! kinds are not compared in silence.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::machinery::ast::{BinOpKind, CompareOpKind, Expr};
use minijinja::machinery::{self, Instruction, Instructions};
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};

use crate::engine::is_missing;
use crate::{dates, printf, python};

pub(crate) const ADD: &str = "operator:+";
pub(crate) const SUBTRACT: &str = "operator:-";
pub(crate) const MULTIPLY: &str = "operator:*";
pub(crate) const DIVIDE: &str = "operator:/";
pub(crate) const FLOOR_DIVIDE: &str = "operator://";
pub(crate) const REMAINDER: &str = "operator:%";
pub(crate) const NEGATE: &str = "operator:negate";
pub(crate) const EQUAL: &str = "operator:==";
pub(crate) const NOT_EQUAL: &str = "operator:!=";
pub(crate) const LESS: &str = "operator:<";
pub(crate) const LESS_OR_EQUAL: &str = "operator:<=";
pub(crate) const GREATER: &str = "operator:>";
pub(crate) const GREATER_OR_EQUAL: &str = "operator:>=";
pub(crate) const CONCATENATE: &str = "operator:~";

/// Makes the operators known under names that no author can write.
pub(crate) fn add_operators(environment: &mut Environment<'_>) {
    for operator in [ADD, SUBTRACT, MULTIPLY, DIVIDE, FLOOR_DIVIDE] {
        environment.add_filter(
            operator,
            move |state: &State<'_, '_>, left: Value, right: Value| match dates::arithmetic(
                symbol(operator),
                &left,
                &right,
            ) {
                Some(result) => result,
                None => engine(state, operator, left, right),
            },
        );
    }
    environment.add_filter(REMAINDER, |state: &State<'_, '_>, left: Value, right: Value| match left.as_str() {
        Some(format) if !right.is_undefined() => printf::operator(format, &right).and_then(|text| charged(state, text)),
        _ => match dates::arithmetic("%", &left, &right) {
            Some(result) => result,
            None => engine(state, REMAINDER, left, right),
        },
    });
    environment.add_filter(NEGATE, |state: &State<'_, '_>, operand: Value| match dates::negative(&operand) {
        Some(result) => result,
        None => engine(state, NEGATE, operand, Value::from(())),
    });
    for operator in [LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL] {
        environment.add_filter(operator, move |state: &State<'_, '_>, left: Value, right: Value| {
            comparable(symbol(operator), &left, &right)?;
            engine(state, operator, left, right)
        });
    }
    environment.add_filter(EQUAL, |left: Value, right: Value| defined(&left, &right).map(|()| left == right));
    environment.add_filter(NOT_EQUAL, |left: Value, right: Value| defined(&left, &right).map(|()| left != right));
    environment.add_filter(CONCATENATE, |state: &State<'_, '_>, left: Value, right: Value| {
        if left.is_undefined() || right.is_undefined() {
            return engine(state, CONCATENATE, left, right);
        }
        charged(state, python::text(&left) + &python::text(&right))
    });
}

/// What is not defined equals nothing and differs from nothing: the engine alone would say no.
fn defined(left: &Value, right: &Value) -> Result<(), Error> {
    if is_missing(left) || is_missing(right) { Err(ErrorKind::UndefinedError.into()) } else { Ok(()) }
}

fn symbol(operator: &'static str) -> &'static str {
    operator.trim_start_matches("operator:")
}

fn charged(state: &State<'_, '_>, text: String) -> Result<Value, Error> {
    state.consume_fuel(text.len() as u64 / 64)?;
    Ok(Value::from(text))
}

/// Python refuses to order values of different kinds.
///
/// # Errors
/// In words: they are of different kinds.
pub(crate) fn comparable(operator: &str, left: &Value, right: &Value) -> Result<(), Error> {
    let order = |value: &Value| match value.kind() {
        ValueKind::Bool => ValueKind::Number,
        ValueKind::Iterable => ValueKind::Seq,
        kind => kind,
    };
    if left.is_undefined() || right.is_undefined() {
        // The engine says so.
        return Ok(());
    }
    // Of two tables, or two nones, neither is less than the other.
    let has_order = !matches!(order(left), ValueKind::Map | ValueKind::None);
    let are_alike = order(left) == order(right) && python::is_tuple(left) == python::is_tuple(right);
    if !are_alike || !has_order || !dates::are_comparable(left, right) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("`{operator}` does not compare {} with {}", dates::kind(left), dates::kind(right)),
        ));
    }
    if order(left) == ValueKind::Seq {
        let differing = left.try_iter()?.zip(right.try_iter()?).find(|(one, other)| one != other);
        return differing.map_or(Ok(()), |(one, other)| comparable(operator, &one, &other));
    }
    Ok(())
}

/// The engine orders values that are written out by itself, whatever their kinds are: what Python refuses of that.
///
/// # Errors
/// As [`comparable`].
pub(crate) fn compare_constants(expression: &Expr<'_>) -> Result<(), Error> {
    let orders = |left: &Value, operator: &CompareOpKind, right: &Value| match operator {
        CompareOpKind::Lt => comparable("<", left, right).map(|()| Some(left < right)),
        CompareOpKind::Lte => comparable("<=", left, right).map(|()| Some(left <= right)),
        CompareOpKind::Gt => comparable(">", left, right).map(|()| Some(left > right)),
        CompareOpKind::Gte => comparable(">=", left, right).map(|()| Some(left >= right)),
        _ => Ok(None),
    };
    if let Expr::BinOp(operation) = expression {
        let operator = match operation.op {
            BinOpKind::Lt => CompareOpKind::Lt,
            BinOpKind::Lte => CompareOpKind::Lte,
            BinOpKind::Gt => CompareOpKind::Gt,
            BinOpKind::Gte => CompareOpKind::Gte,
            _ => return Ok(()),
        };
        if let (Some(left), Some(right)) = (operation.left.as_const(), operation.right.as_const()) {
            orders(&left, &operator, &right)?;
        }
        return Ok(());
    }
    let Expr::Compare(chain) = expression else { return Ok(()) };
    let mut left = chain.expr.as_const();
    for operand in &chain.ops {
        let right = operand.expr.as_const();
        let (Some(one), Some(other)) = (&left, &right) else { break };
        // What comes behind is asked only if this holds.
        if orders(one, &operand.op, other)? != Some(true) {
            break;
        }
        left = right;
    }
    Ok(())
}

/// What the engine's own operator makes of it.
fn engine(state: &State<'_, '_>, operator: &'static str, left: Value, right: Value) -> Result<Value, Error> {
    static NO_BLOCKS: BTreeMap<&str, Instructions<'static>> = BTreeMap::new();
    let instructions = &ENGINE[operator];
    let operands = Value::from_pairs([("left", left), ("right", right)]);
    let mut nothing = String::new();
    let mut output = machinery::make_string_output(&mut nothing);
    let (value, used) = machinery::eval(state.env(), instructions, operands, &NO_BLOCKS, &mut output, AutoEscape::None)
        // Without the place, which is none of the author's.
        .map_err(|error| Error::new(error.kind(), error.detail().unwrap_or_default().to_owned()))?;
    state.consume_fuel(used.fuel_levels().map_or(0, |(used, _)| used))?;
    Ok(value.unwrap_or_default())
}

static ENGINE: LazyLock<BTreeMap<&str, Instructions<'static>>> = LazyLock::new(|| {
    [
        (ADD, Instruction::Add),
        (SUBTRACT, Instruction::Sub),
        (MULTIPLY, Instruction::Mul),
        (DIVIDE, Instruction::Div),
        (FLOOR_DIVIDE, Instruction::IntDiv),
        (REMAINDER, Instruction::Rem),
        (NEGATE, Instruction::Neg),
        (LESS, Instruction::Lt),
        (LESS_OR_EQUAL, Instruction::Lte),
        (GREATER, Instruction::Gt),
        (GREATER_OR_EQUAL, Instruction::Gte),
        (CONCATENATE, Instruction::StringConcat),
    ]
    .into_iter()
    .map(|(operator, instruction)| {
        let mut instructions = Instructions::new(operator, "");
        instructions.add(Instruction::Lookup("left"));
        if operator != NEGATE {
            instructions.add(Instruction::Lookup("right"));
        }
        instructions.add(instruction);
        (operator, instructions)
    })
    .collect()
});
