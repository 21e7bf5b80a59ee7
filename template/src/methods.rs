//! Methods of Python's own types: texts, lists, tables, numbers.

mod str_format;
mod texts;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use crate::arguments::{Arguments, invalid};
use crate::dates;

pub(crate) use texts::capitalized;

/// A method that the engine does not know.
///
/// # Errors
/// There is no such method, or it cannot do what it is asked for.
pub(crate) fn call(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let answer = match value.kind() {
        ValueKind::String => texts::call(value.as_str().unwrap_or_default(), method, args),
        ValueKind::Number => number(value, method, args),
        ValueKind::Seq => list(value, method, args),
        ValueKind::Map if method == "copy" => Arguments::bind(method, &[], args).map(|_| Some(value.clone())),
        ValueKind::Map if ["update", "pop", "setdefault", "clear", "popitem"].contains(&method) => {
            Err(unchanging("table", method))
        }
        _ => Ok(None),
    };
    if let Some(answer) = answer? {
        return Ok(answer);
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args).map_err(|error| {
        if error.kind() != ErrorKind::UnknownMethod || error.detail().is_some() {
            return error;
        }
        Error::new(ErrorKind::UnknownMethod, format!("{} has no method `{method}`", dates::kind(value)))
    })
}

fn unchanging(what: &str, method: &str) -> Error {
    let hint = "hint: make a new one: `a + [b]`, `dict(a, b=1)`, or keep what changes in `namespace()`";
    invalid(format!("`{method}` would change the {what}; values in templates do not change\n{hint}"))
}

fn list(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "index" => {
            let arguments = Arguments::bind(method, &["value"], args)?;
            let wanted = arguments.required(0)?;
            let index = value.try_iter()?.position(|item| item == *wanted);
            index
                .map(Value::from)
                .ok_or_else(|| invalid(format!("{} is not in the list", crate::python::repr(wanted))))?
        }
        "copy" => {
            Arguments::bind(method, &[], args)?;
            value.clone()
        }
        "append" | "extend" | "insert" | "pop" | "remove" | "sort" | "reverse" | "clear" if !value.is_tuple() => {
            return Err(unchanging("list", method));
        }
        _ => return Ok(None),
    }))
}

fn number(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let answer = match method {
        "is_integer" if !value.is_integer() => {
            f64::try_from(value.clone()).map(|number| Value::from(number.fract() == 0.0))?
        }
        "is_integer" => Value::from(true),
        "bit_length" if value.is_integer() => {
            let number = i128::try_from(value.clone())?;
            Value::from(128 - number.unsigned_abs().leading_zeros())
        }
        _ => return Ok(None),
    };
    Arguments::bind(method, &[], args)?;
    Ok(Some(answer))
}
