//! JSON values as templates see them. JSON's numbers have as many digits as somebody has written; the engine's have
//! 128 bits, or are doubles. What does not fit is carried as its digits: it is printed and handed on as it is, and nobody
//! calculates with it.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use flow_model::number::{exact_double, is_whole};
use minijinja::Value;
use minijinja::value::{DynObject, Object, ObjectRepr};
use serde_json::{Map, Number, Value as Json};

/// Doubles up to here have every whole number; beyond it, digits before the point are lost.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A JSON value as templates see it.
pub fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => from_number(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from_iter(items.iter().map(from_json)),
        Json::Object(table) => from_table(table),
    }
}

/// A table of JSON values as templates see it.
pub fn from_table(table: &Map<String, Json>) -> Value {
    Value::from_pairs(table.iter().map(|(key, value)| (key.as_str(), from_json(value))))
}

/// The digits of a number that the engine has no type for.
pub(crate) fn digits(value: &Value) -> Option<&Number> {
    value.downcast_object_ref::<Digits>().map(|digits| &digits.0)
}

fn from_number(number: &Number) -> Value {
    let text = number.as_str();
    if is_whole(number) {
        let small = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
        let wide = || text.parse::<i128>().map(Value::from).or_else(|_| text.parse::<u128>().map(Value::from));
        return small.or_else(|| wide().ok()).unwrap_or_else(|| Value::from_object(Digits(number.clone())));
    }
    match text.parse::<f64>() {
        Ok(double) if double.abs() < EXACT_MAX && (double != 0.0 || is_zero(text)) => Value::from(double),
        _ => exact_double(number).map_or_else(|| Value::from_object(Digits(number.clone())), Value::from),
    }
}

fn is_zero(text: &str) -> bool {
    text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

/// A number that the engine has no type for.
#[derive(Debug)]
struct Digits(Number);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Digits>()?;
        (self.0 == other.0).then_some(Ordering::Equal)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::to_json;

    fn read(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_print_their_digits_and_come_back() {
        for text in [
            "0",
            "-1",
            "9007199254740993",
            "18446744073709551616",
            "12345678901234567890123",
            "-170141183460469231731687303715884105728",
            "340282366920938463463374607431768211455",
            "340282366920938463463374607431768211456",
            "-99999999999999999999999999999999999999999999",
            "12345678901234567.89",
            "1e+400",
            "-2.5e-400",
        ] {
            let value = from_json(&read(text));
            assert_eq!(value.to_string(), text);
            assert_eq!(to_json(&value).unwrap(), read(text), "{text}");
        }
    }

    #[test]
    fn what_fits_can_be_calculated_with() {
        let environment = minijinja::Environment::new();
        let value = |text: &str| minijinja::context! { n => from_json(&read(text)) };
        let calculated = |text: &str, expression: &str| {
            environment.compile_expression(expression).unwrap().eval(value(text)).unwrap().to_string()
        };
        assert_eq!(calculated("12345678901234567890123", "n + 1"), "12345678901234567890124");
        assert_eq!(calculated("19.990", "n * 2"), "39.98");
        assert_eq!(calculated("0.33333333333333333333", "n < 0.5"), "True");
        assert_eq!(calculated("1e22", "n > 1"), "True");
        assert_eq!(calculated("0.0e7", "n == 0"), "True");
        assert!(environment.compile_expression("n + 1").unwrap().eval(value("1e400")).is_err());
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            "-?[1-9][0-9]{0,60}".prop_map(|text| read(&text)),
            any::<f64>().prop_filter("finite", |double| double.is_finite()).prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_goes_through_templates_unchanged(value in json()) {
            prop_assert_eq!(to_json(&from_json(&value)).unwrap(), value);
        }
    }
}
