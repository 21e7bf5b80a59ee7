//! Arguments of a call as Python binds them: by position or by name.

use flow_model::suggest::listed;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// The arguments of a call; what was not passed is missing.
pub(crate) struct Arguments<'n> {
    function: &'n str,
    names: &'n [&'n str],
    values: Vec<Option<Value>>,
}

impl<'n> Arguments<'n> {
    /// Binds what was passed to the names of the parameters, in their order.
    ///
    /// # Errors
    /// There are more values than names, a name that the function does not have, or one that is passed twice.
    pub fn bind(function: &'n str, names: &'n [&'n str], args: &[Value]) -> Result<Self, Error> {
        let (positional, named) = match args.split_last() {
            Some((last, positional)) if last.is_kwargs() => (positional, Kwargs::try_from(last.clone())?),
            _ => (args, Kwargs::from_iter::<[(&str, Value); 0]>([])),
        };
        Self::of(function, names, positional, &named)
    }

    /// As [`Arguments::bind`], with both kinds told apart already.
    ///
    /// # Errors
    /// As [`Arguments::bind`].
    pub fn of(function: &'n str, names: &'n [&'n str], positional: &[Value], named: &Kwargs) -> Result<Self, Error> {
        let takes = || match names {
            [] => "takes no arguments".to_owned(),
            names => format!("takes {}", listed(names.iter().copied())),
        };
        if positional.len() > names.len() {
            return Err(invalid(format!("`{function}` {}", takes())));
        }
        let mut values: Vec<Option<Value>> = positional.iter().cloned().map(Some).collect();
        values.resize(names.len(), None);
        for name in named.args() {
            let value = named.get::<Value>(name)?;
            let Some(index) = names.iter().position(|known| *known == name) else {
                return Err(invalid(format!("`{function}` has no argument `{name}`; it {}", takes())));
            };
            if values[index].replace(value).is_some() {
                return Err(invalid(format!("`{function}` got two values for `{name}`")));
            }
        }
        Ok(Arguments { function, names, values })
    }

    /// Whether an argument was passed.
    pub fn has(&self, index: usize) -> bool {
        self.values[index].is_some()
    }

    /// An argument, unless it is missing or none.
    pub fn value(&self, index: usize) -> Option<&Value> {
        self.values[index].as_ref().filter(|value| !value.is_none())
    }

    /// An argument that has to be there.
    ///
    /// # Errors
    /// It is not.
    pub fn required(&self, index: usize) -> Result<&Value, Error> {
        self.values[index].as_ref().ok_or_else(|| invalid(format!("`{}` needs `{}`", self.function, self.names[index])))
    }

    /// A text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, index: usize) -> Result<Option<&str>, Error> {
        self.value(index).map(|value| value.as_str().ok_or_else(|| self.wrong(index, "a text"))).transpose()
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is something else.
    pub fn integer(&self, index: usize) -> Result<Option<i64>, Error> {
        let whole = |value: &Value| match value.kind() {
            ValueKind::Number if value.is_integer() => i64::try_from(value.clone()).ok(),
            ValueKind::Bool => Some(i64::from(value.is_true())),
            _ => None,
        };
        self.value(index).map(|value| whole(value).ok_or_else(|| self.wrong(index, "a whole number"))).transpose()
    }

    /// A length: a whole number, 0 or more.
    ///
    /// # Errors
    /// It is something else.
    pub fn length(&self, index: usize) -> Result<Option<usize>, Error> {
        let length = |number| usize::try_from(number).map_err(|_| self.wrong(index, "0 or more"));
        self.integer(index)?.map(length).transpose()
    }

    /// A number.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, index: usize) -> Result<Option<f64>, Error> {
        let number =
            |value: &Value| (value.kind() == ValueKind::Number).then(|| value.to_string().parse().ok()).flatten();
        self.value(index).map(|value| number(value).ok_or_else(|| self.wrong(index, "a number"))).transpose()
    }

    /// Yes or no, as Python understands it.
    pub fn is_true(&self, index: usize) -> bool {
        self.value(index).is_some_and(Value::is_true)
    }

    /// What is wrong with an argument.
    pub fn wrong(&self, index: usize, needs: &str) -> Error {
        invalid(format!("`{}` of `{}` must be {needs}", self.names[index], self.function))
    }
}

/// Something that cannot be done.
pub(crate) fn invalid(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_string())
}
