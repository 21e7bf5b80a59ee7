//! A day without a time, `logical_date.date()`; and a time without a day, `logical_date.time()`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use minijinja::value::{DynObject, Object, ObjectRepr};
use minijinja::{Error, State, Value};

use super::value::{At, DateValue};
use super::{fields, methods};

/// A day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DayValue(pub Date);

impl DayValue {
    pub fn value(day: Date) -> Value {
        Value::from_object(DayValue(day))
    }

    /// The same day with a time, in no zone.
    pub fn at_midnight(self) -> DateValue {
        DateValue(At::Naive(self.0.to_datetime(Time::midnight())))
    }

    /// As Python's `repr` shows it.
    pub fn repr(self) -> String {
        format!("Date({}, {}, {})", self.0.year(), self.0.month(), self.0.day())
    }
}

impl Object for DayValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        fields::of_day(self.0, key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        methods::of_day(self.0, method, args)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<DayValue>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A time of the day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeValue(pub Time);

impl TimeValue {
    pub fn text(self) -> String {
        match self.0.subsec_nanosecond() / 1_000 {
            0 => self.0.strftime("%H:%M:%S").to_string(),
            microseconds => format!("{}.{microseconds:06}", self.0.strftime("%H:%M:%S")),
        }
    }

    /// As Python's `repr` shows it.
    pub fn repr(self) -> String {
        let fraction = match self.0.subsec_nanosecond() / 1_000 {
            0 => String::new(),
            microseconds => format!(", {microseconds}"),
        };
        format!("Time({}, {}, {}{fraction})", self.0.hour(), self.0.minute(), self.0.second())
    }
}

impl Object for TimeValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        fields::of_time(self.0, key.as_str()?)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        methods::of_time(self.0, method, args)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<TimeValue>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
