//! YAML as JSON values. A number keeps the digits in which it was written, and what begins with a zero that means nothing, a
//! postcode or an account's number, is text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, Spanned};

/// Reads a document.
///
/// # Errors
/// In words, and where: it is not YAML, or holds a number that is none in JSON.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        leading_zero_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let node: Spanned<Node> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    to_json(node, text)
}

/// A value as it comes. What is read as a double has not come with its digits: they are looked up where it stands.
enum Node {
    Plain(Value),
    Double(f64),
    List(Vec<Spanned<Node>>),
    Table(Vec<(String, Spanned<Node>)>),
}

fn to_json(node: Spanned<Node>, text: &str) -> Result<Value, String> {
    match node.value {
        Node::Plain(value) => Ok(value),
        Node::Double(double) => number(double, node.defined, text).map(Value::Number),
        Node::List(items) => items.into_iter().map(|item| to_json(item, text)).collect(),
        Node::Table(entries) => {
            let entries = entries.into_iter().map(|(key, value)| Ok((key, to_json(value, text)?)));
            entries.collect::<Result<Map<String, Value>, String>>().map(Value::Object)
        }
    }
}

fn number(double: f64, at: Location, text: &str) -> Result<Number, String> {
    let start = usize::try_from(at.span().offset()).unwrap_or(usize::MAX);
    let length = usize::try_from(at.span().len()).unwrap_or(0);
    let written: String = text.chars().skip(start).take(length).filter(|c| *c != '_').collect();
    as_in_json(written.trim()).or_else(|| Number::from_f64(double)).ok_or_else(|| {
        format!("line {}: `{}` is no number in JSON; put it into quotes if it is text", at.line(), written.trim())
    })
}

/// JSON has no plus sign, and digits on both sides of a point.
fn as_in_json(written: &str) -> Option<Number> {
    let (sign, digits) = match written.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", written.strip_prefix('+').unwrap_or(written)),
    };
    let end = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(end);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}{exponent}").parse().ok()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Double(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Node::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_what_was_written() {
        for (yaml, json) in [
            ("12345678901234567890123", "12345678901234567890123"),
            ("-99999999999999999999", "-99999999999999999999"),
            ("+18446744073709551616", "18446744073709551616"),
            ("9007199254740993", "9007199254740993"),
            ("1e400", "1e400"),
            ("0.1000000000000000000001", "0.1000000000000000000001"),
            (".5", "0.5"),
            ("01234", "\"01234\""),
            ("-007", "\"-007\""),
            ("00", "\"00\""),
            ("0", "0"),
            ("'12345678901234567890123'", "\"12345678901234567890123\""),
            ("1.5", "1.5"),
            ("0x10", "16"),
            ("~", "null"),
            ("true", "true"),
            ("2026-11-24", "\"2026-11-24\""),
        ] {
            let found = read(&format!("é: &a [1, {yaml}]\nb: {{c: {yaml} }}\nd: *a\n")).unwrap();
            let wanted = format!(r#"{{"é": [1, {json}], "b": {{"c": {json}}}, "d": [1, {json}]}}"#);
            assert_eq!(found, serde_json::from_str::<Value>(&wanted).unwrap(), "{yaml}");
        }
    }

    #[test]
    fn what_is_no_number_in_json_is_refused_with_its_line() {
        let refusal = read("a: 1\nb: .inf\n").unwrap_err();
        assert!(refusal.contains("line 2: `.inf` is no number"), "{refusal}");
        assert!(read("a: [1").is_err());
    }
}
