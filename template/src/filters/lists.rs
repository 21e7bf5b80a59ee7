//! Filters that order lists. Python does not order values of different kinds, and does not guess here either.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::texts::attribute;
use crate::arguments::invalid;
use crate::operators::comparable;

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("sort", |state: &mut State<'_, '_>, values: Value, named: Kwargs| {
        in_order("sort", &values, &named)?;
        minijinja::filters::sort(state, values, named)
    });
    environment.add_filter("min", |state: &mut State<'_, '_>, values: Value, named: Kwargs| {
        in_order("min", &values, &named)?;
        minijinja::filters::min(state, values, named)
    });
    environment.add_filter("max", |state: &mut State<'_, '_>, values: Value, named: Kwargs| {
        in_order("max", &values, &named)?;
        minijinja::filters::max(state, values, named)
    });
    environment.add_test("odd", |value: Value| remainder(&value).map(|rest| rest == Some(1)));
    environment.add_test("even", |value: Value| remainder(&value).map(|rest| rest == Some(0)));
}

/// # Errors
/// Two of the values cannot be compared.
fn in_order(filter: &str, values: &Value, named: &Kwargs) -> Result<(), Error> {
    let path = named.peek::<Option<Value>>("attribute").ok().flatten();
    // Several attributes, one after the other, are for the engine.
    if path.as_ref().and_then(Value::as_str).is_some_and(|path| path.contains(',')) {
        return Ok(());
    }
    let items = values.try_iter()?.map(|item| attribute(&item, path.as_ref())).collect::<Result<Vec<_>, _>>()?;
    // As Python's: `sort` leaves equals alone, `min` and `max` compare them.
    let is_left = |one: &Value, other: &Value| filter == "sort" && one == other;
    let mut pairs = items.iter().zip(items.iter().skip(1)).filter(|(one, other)| !is_left(one, other));
    pairs.try_for_each(|(one, other)| comparable(filter, one, other))
}

/// What is left of a number that is divided by 2; nothing if that is no whole number.
fn remainder(value: &Value) -> Result<Option<i128>, Error> {
    if let Ok(number) = i128::try_from(value.clone()) {
        return Ok(Some(number.rem_euclid(2)));
    }
    if value.kind() == ValueKind::Number {
        return Ok(None);
    }
    Err(invalid(format!("only a number is odd or even, not {}", crate::dates::kind(value))))
}
