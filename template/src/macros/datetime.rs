//! `macros.datetime`: Python's class `datetime.datetime`; and `macros.time`: its module `time`.

use std::fmt;
use std::sync::Arc;

use flow_model::Timestamp;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use crate::arguments::{Arguments, invalid};
use crate::dates::{self, DateValue};

/// The class, with the moment that it takes for now.
#[derive(Debug)]
pub(super) struct DateTimeClass(pub Timestamp);

impl Object for DateTimeClass {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        dates::datetime(args)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let name = format!("macros.datetime.{method}");
        match method {
            "now" => {
                let arguments = Arguments::bind(&name, &["tz"], args)?;
                dates::in_zone_or_naive(&DateValue::at(self.0), arguments.value(0))
            }
            "utcnow" | "today" => {
                Arguments::bind(&name, &[], args)?;
                dates::in_zone_or_naive(&DateValue::at(self.0), None)
            }
            "strptime" => {
                let arguments = Arguments::bind(&name, &["date_string", "format"], args)?;
                let text = |index| arguments.text(index)?.ok_or_else(|| arguments.wrong(index, "a text"));
                dates::strptime(text(0)?, text(1)?).map(Value::from_object)
            }
            "fromisoformat" => {
                let arguments = Arguments::bind(&name, &["date_string"], args)?;
                let text = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
                dates::from_iso(text).map(Value::from_object)
            }
            "fromtimestamp" | "utcfromtimestamp" => {
                let arguments = Arguments::bind(&name, &["timestamp", "tz"], args)?;
                let seconds = arguments.number(0)?.ok_or_else(|| arguments.wrong(0, "a number"))?;
                dates::in_zone_or_naive(&dates::from_seconds(seconds)?, arguments.value(1))
            }
            "combine" => {
                let arguments = Arguments::bind(&name, &["date", "time"], args)?;
                dates::combine(arguments.required(0)?, arguments.required(1)?)
            }
            _ => Err(Error::new(ErrorKind::UnknownMethod, format!("there is no `{name}`"))),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<class 'datetime.datetime'>")
    }
}

/// The module, with the moment that it takes for now.
#[derive(Debug)]
pub(super) struct TimeModule(pub Timestamp);

impl Object for TimeModule {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let now = DateValue::at(self.0);
        match method {
            "time" => {
                Arguments::bind("macros.time.time", &[], args)?;
                Ok(Value::from(dates::seconds(&now)))
            }
            "time_ns" => {
                Arguments::bind("macros.time.time_ns", &[], args)?;
                Ok(Value::from(dates::microseconds(&now).saturating_mul(1_000)))
            }
            "strftime" => {
                let arguments = Arguments::bind("macros.time.strftime", &["format"], args)?;
                let format = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
                dates::strftime(&now, format).map(Value::from)
            }
            "sleep" => Err(invalid("templates do not wait; write a task with `sleep`, or a sensor")),
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no `macros.time.{method}`; there are `time`, `time_ns` and `strftime`"),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<module 'time'>")
    }
}
