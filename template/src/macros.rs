//! `macros`: what Airflow hands to templates of Python's libraries.

mod datetime;
mod dateutil;
mod json;
mod locale;
pub(crate) mod random;
mod uuid;

use std::fmt;
use std::sync::Arc;

use flow_model::Timestamp;
use flow_model::suggest::listed;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

pub(crate) use json::{Style, dumps};

use crate::arguments::{Arguments, invalid};
use crate::dates::{self, DateValue};

/// What `macros` has.
pub const MACRO_NAMES: [&str; 11] = [
    "datetime",
    "timedelta",
    "dateutil",
    "time",
    "uuid",
    "json",
    "random",
    "ds_add",
    "ds_format",
    "ds_format_locale",
    "datetime_diff_for_humans",
];

/// `macros`. There is one moment that it takes for now, so that a template says the same however often it is rendered.
#[derive(Debug)]
pub struct Macros {
    now: Timestamp,
}

impl Macros {
    /// With the moment that templates take for now.
    pub fn new(now: Timestamp) -> Self {
        Macros { now }
    }
}

impl Object for Macros {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "datetime" => Value::from_object(datetime::DateTimeClass(self.now)),
            "timedelta" => Value::from_object(Named { name: "macros.timedelta", call: |args| dates::timedelta(args) }),
            "dateutil" => Value::from_object(dateutil::Dateutil(dateutil::Module::Package)),
            "time" => Value::from_object(datetime::TimeModule(self.now)),
            "uuid" => Value::from_object(uuid::UuidModule),
            "json" => Value::from_object(json::JsonModule),
            "random" => Value::from_object(random::RandomModule),
            "ds_add" => Value::from_object(Named { name: "macros.ds_add", call: ds_add }),
            "ds_format" => Value::from_object(Named { name: "macros.ds_format", call: ds_format }),
            "ds_format_locale" => Value::from_object(Named { name: "macros.ds_format_locale", call: ds_format_locale }),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method == "datetime_diff_for_humans" {
            return self.difference(args);
        }
        match self.get_value(&Value::from(method)) {
            Some(function) => function.call(state, args),
            None => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no `macros.{method}`; there are {}", names()),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("macros")
    }
}

impl Macros {
    fn difference(&self, args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::bind("macros.datetime_diff_for_humans", &["dt", "since"], args)?;
        let date = |value: &Value| {
            let date = value.downcast_object_ref::<DateValue>().cloned();
            date.ok_or_else(|| {
                invalid(format!("`macros.datetime_diff_for_humans` needs dates, not {}", dates::kind(value)))
            })
        };
        let at = date(arguments.required(0)?)?;
        match arguments.value(1) {
            Some(since) => dates::difference(&at, &date(since)?),
            None => dates::from_now(&at, &DateValue::at(self.now)),
        }
        .map(Value::from)
    }
}

fn names() -> String {
    listed(MACRO_NAMES)
}

/// A function that can also be named without calling it.
#[derive(Debug)]
struct Named {
    name: &'static str,
    call: fn(&[Value]) -> Result<Value, Error>,
}

impl Object for Named {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        (self.call)(args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// `macros.ds_add(ds, days)`: `YYYY-MM-DD`, days later.
fn ds_add(args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("macros.ds_add", &["ds", "days"], args)?;
    let day = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text, such as `ds`"))?;
    let days = arguments.integer(1)?.ok_or_else(|| arguments.wrong(1, "a whole number"))?;
    dates::day_later(day, days).map(Value::from)
}

/// `macros.ds_format(text, input_format, output_format)`.
fn ds_format(args: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::bind("macros.ds_format", &["ds", "input_format", "output_format"], args)?;
    let text = |index| arguments.text(index)?.ok_or_else(|| arguments.wrong(index, "a text"));
    dates::strftime(&dates::strptime(text(0)?, text(1)?)?, text(2)?).map(Value::from)
}

/// `macros.ds_format_locale(text, input_format, output_format, locale)`; the output format is that of CLDR.
fn ds_format_locale(args: &[Value]) -> Result<Value, Error> {
    let names = ["ds", "input_format", "output_format", "locale"];
    let arguments = Arguments::bind("macros.ds_format_locale", &names, args)?;
    let text = |index| arguments.text(index)?.ok_or_else(|| arguments.wrong(index, "a text"));
    let at = dates::strptime(text(0)?, text(1)?)?;
    locale::format(&at, text(2)?, arguments.text(3)?.unwrap_or("en_US")).map(Value::from)
}
