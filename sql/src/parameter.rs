//! Parameters for MySQL and SQLite, which do not say what a place wants: each value is bound as what it is.

use flow_model::number::{exact_double, is_whole};
use serde_json::{Map, Number, Value};

use crate::{Dialect, Script, SqlError, Statement};

/// Digits that a decimal of MySQL has at most, and how many of them behind the point.
const DECIMAL_DIGITS_MAX: (usize, usize) = (65, 30);

/// A value as it is bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bound {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    /// A number that only the database's own type holds.
    Cast {
        text: String,
        to: String,
    },
}

impl Bound {
    /// MySQL's placeholder with what turns the text into the type.
    pub fn placeholder(&self) -> String {
        match self {
            Bound::Cast { to, .. } => format!("cast(? as {to})"),
            _ => "?".to_owned(),
        }
    }
}

/// The values of a statement's placeholders.
///
/// # Errors
/// The database has no such value, or none where it stands.
pub(crate) fn bound(
    script: &Script<'_>,
    statement: &Statement,
    names: &[String],
    parameters: &Map<String, Value>,
) -> Result<Vec<Bound>, SqlError> {
    let dialect = script.dialect();
    let one = |name: &String| {
        let value = &parameters[name];
        if value.is_array() && script.is_alone_in_a_list(statement, name) {
            return Err(format!(
                "is a list, and {} binds it as one value, its JSON\n{}",
                dialect.name(),
                hint(dialect, name)
            ));
        }
        of(dialect, value)
    };
    let refused = |name: &str, why: &str| SqlError::Request(format!("the parameter `:{name}` {why}"));
    names.iter().map(|name| one(name).map_err(|why| refused(name, &why))).collect()
}

fn of(dialect: Dialect, value: &Value) -> Result<Bound, String> {
    Ok(match value {
        Value::Null => Bound::Null,
        Value::Bool(value) => Bound::Bool(*value),
        Value::Number(number) => return of_number(dialect, number),
        Value::String(text) => Bound::Text(text.clone()),
        // Neither has lists and tables, and both have functions for JSON.
        list_or_table => Bound::Text(list_or_table.to_string()),
    })
}

fn of_number(dialect: Dialect, number: &Number) -> Result<Bound, String> {
    if let Some(integer) = number.as_i64() {
        return Ok(Bound::Integer(integer));
    }
    if let Some(double) = exact_double(number).filter(|_| !is_whole(number)) {
        return Ok(Bound::Real(double));
    }
    match (dialect, decimal(number)) {
        (Dialect::MySql, Some(to)) => Ok(Bound::Cast { text: number.to_string(), to }),
        _ => Err(format!(
            "is {number}, and {} has no number with these digits\nhint: pass it as text (`{{{{ ... | string }}}}`), or round it",
            dialect.name()
        )),
    }
}

/// The type of MySQL that holds a number.
fn decimal(number: &Number) -> Option<String> {
    if number.as_u64().is_some() {
        return Some("unsigned".to_owned());
    }
    let digits = number.as_str().trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (total, behind) = (whole.len() + fraction.len(), fraction.len());
    let is_plain = !digits.contains(['e', 'E']);
    (is_plain && total <= DECIMAL_DIGITS_MAX.0 && behind <= DECIMAL_DIGITS_MAX.1)
        .then(|| format!("decimal({total}, {behind})"))
}

fn hint(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("hint: write `in (select value from json_each(:{name}))`"),
        _ => format!(
            "hint: write `in (select v from json_table(:{name}, '$[*]' columns (v varchar(255) path '$')) as items)`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(dialect: Dialect, text: &str) -> Result<Bound, String> {
        of_number(dialect, &text.parse().unwrap())
    }

    #[test]
    fn numbers_are_bound_as_what_they_are_or_refused() {
        let cast = |text: &str, to: &str| Ok(Bound::Cast { text: text.to_owned(), to: to.to_owned() });
        for dialect in [Dialect::MySql, Dialect::Sqlite] {
            assert_eq!(number(dialect, "-9223372036854775808"), Ok(Bound::Integer(i64::MIN)));
            assert_eq!(number(dialect, "1.50"), Ok(Bound::Real(1.5)));
            assert_eq!(number(dialect, "1e22"), Ok(Bound::Real(1e22)));
            for text in ["1e400", "1e-400"] {
                assert!(number(dialect, text).unwrap_err().contains("hint: "), "{text}");
            }
        }
        for (text, to) in [
            ("18446744073709551615", "unsigned"),
            ("-12345678901234567890123", "decimal(23, 0)"),
            ("12345678901234567.89", "decimal(19, 2)"),
        ] {
            assert_eq!(number(Dialect::MySql, text), cast(text, to));
            assert!(number(Dialect::Sqlite, text).unwrap_err().contains("SQLite has no number with these digits"));
        }
        assert!(number(Dialect::MySql, &"9".repeat(66)).is_err());
    }
}
