//! `macros.random()`: a number between 0 and 1, as Airflow has it; and what else people expect of `random`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use crate::arguments::{Arguments, invalid};

#[derive(Debug)]
pub(super) struct RandomModule;

impl Object for RandomModule {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        Arguments::bind("macros.random", &[], args)?;
        Ok(Value::from(rand::random::<f64>()))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "random" => {
                Arguments::bind("macros.random.random", &[], args)?;
                Ok(Value::from(rand::random::<f64>()))
            }
            "randint" => {
                let arguments = Arguments::bind("macros.random.randint", &["a", "b"], args)?;
                let whole = |index| arguments.integer(index)?.ok_or_else(|| arguments.wrong(index, "a whole number"));
                let (low, high): (i64, i64) = (whole(0)?, whole(1)?);
                if low > high {
                    return Err(invalid("`macros.random.randint`: `a` is larger than `b`"));
                }
                Ok(Value::from(rand::random_range(low..=high)))
            }
            "choice" => {
                let arguments = Arguments::bind("macros.random.choice", &["seq"], args)?;
                choice(arguments.required(0)?)
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no `macros.random.{method}`; there are `random`, `randint` and `choice`"),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("macros.random")
    }
}

/// One of the items, whichever.
///
/// # Errors
/// There is none, or it is no list.
pub(crate) fn choice(values: &Value) -> Result<Value, Error> {
    let items: Vec<Value> = match values.as_str() {
        Some(text) => text.chars().map(|c| Value::from(c.to_string())).collect(),
        None => values.try_iter()?.collect(),
    };
    if items.is_empty() {
        return Err(invalid("there is nothing to choose from"));
    }
    Ok(items[rand::random_range(0..items.len())].clone())
}
