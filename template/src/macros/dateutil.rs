//! `macros.dateutil`: `parser.parse`, `relativedelta.relativedelta`, `tz.gettz`.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use crate::arguments::Arguments;
use crate::dates;

/// The package, or a module of it.
#[derive(Debug)]
pub(super) struct Dateutil(pub Module);

#[derive(Debug, Clone, Copy)]
pub(super) enum Module {
    Package,
    Parser,
    Relativedelta,
    Tz,
}

impl Object for Dateutil {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let module = match (self.0, key.as_str()?) {
            (Module::Package, "parser") => Module::Parser,
            (Module::Package, "relativedelta") => Module::Relativedelta,
            (Module::Package, "tz") => Module::Tz,
            (Module::Relativedelta, day) => return weekday(day).map(Value::from),
            (Module::Tz, "UTC") => return dates::zone(&Value::from("UTC")).ok(),
            _ => return None,
        };
        Some(Value::from_object(Dateutil(module)))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match (self.0, method) {
            (Module::Parser, "parse" | "isoparse") => {
                let arguments = Arguments::bind("macros.dateutil.parser.parse", &["timestr"], args)?;
                let text = arguments.text(0)?.ok_or_else(|| arguments.wrong(0, "a text"))?;
                dates::parse(text).map(Value::from_object)
            }
            (Module::Relativedelta, "relativedelta") => dates::relativedelta(args),
            (Module::Tz, "gettz") => {
                let arguments = Arguments::bind("macros.dateutil.tz.gettz", &["name"], args)?;
                dates::zone(arguments.required(0)?)
            }
            (Module::Tz, "tzutc") => {
                Arguments::bind("macros.dateutil.tz.tzutc", &[], args)?;
                dates::zone(&Value::from("UTC"))
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!(
                    "there is no `{method}` in `macros.dateutil` here; there are `parser.parse`, `relativedelta.relativedelta`, `tz.gettz` and `tz.tzutc`"
                ),
            )),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<module 'dateutil'>")
    }
}

fn weekday(name: &str) -> Option<i64> {
    let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    days.iter().position(|day| *day == name).and_then(|index| i64::try_from(index).ok())
}
