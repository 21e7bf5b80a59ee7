//! MySQL's values as JSON. They come as text from statements without parameters, in binary from the others.

use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::mysql::MySqlRow;
use sqlx::{Column, MySql, Row, Type, TypeInfo, ValueRef};

use crate::answer::{base64, real};
use crate::calendar;

/// A value.
pub(super) fn value(row: &MySqlRow, index: usize, is_text: bool) -> Result<Value, BoxDynError> {
    if row.try_get_raw(index)?.is_null() {
        return Ok(Value::Null);
    }
    let bytes = || row.try_get_unchecked::<Vec<u8>, _>(index);
    let text = || Ok::<_, BoxDynError>(String::from_utf8(bytes()?)?);
    let name = row.column(index).type_info().name();
    Ok(match name {
        "NULL" => Value::Null,
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            row.try_get_unchecked::<i64, _>(index)?.into()
        }
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED" | "BIGINT UNSIGNED"
        | "YEAR" | "BIT" => row.try_get_unchecked::<u64, _>(index)?.into(),
        "FLOAT" if !is_text => real(row.try_get_unchecked::<f32, _>(index)?.to_string().parse()?),
        "FLOAT" | "DOUBLE" => real(row.try_get_unchecked(index)?),
        "JSON" => serde_json::from_slice(&bytes()?)?,
        "DATE" if is_text => Value::String(text()?),
        "DATETIME" if is_text => Value::String(text()?.replacen(' ', "T", 1)),
        "TIMESTAMP" if is_text => Value::String(format!("{}+00:00", text()?.replacen(' ', "T", 1))),
        "TIME" if is_text => Value::String(text()?),
        "DATE" => Value::String(date_time(&bytes()?)?.0),
        "DATETIME" => Value::String(date_time(&bytes()?).map(|(date, time)| format!("{date}T{time}"))?),
        "TIMESTAMP" => Value::String(date_time(&bytes()?).map(|(date, time)| format!("{date}T{time}+00:00"))?),
        "TIME" => Value::String(time(&bytes()?)?),
        // Text that is compared byte by byte (`utf8mb4_bin`, and so MariaDB's JSON) has the names of bytes.
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB"
            if <String as Type<MySql>>::compatible(row.column(index).type_info()) =>
        {
            Value::String(text()?)
        }
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" | "GEOMETRY" => base64(&bytes()?),
        // DECIMAL comes as text either way; CHAR, ENUM, SET and the rest are text.
        _ => Value::String(text()?),
    })
}

/// A length, then year, month, day, and where they are not zero, the time and its fraction.
fn date_time(bytes: &[u8]) -> Result<(String, String), BoxDynError> {
    let rest = bytes.get(1..).unwrap_or_default();
    let date = match rest {
        [y0, y1, month, day, ..] => format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([*y0, *y1])),
        [] => "0000-00-00".to_owned(),
        _ => return Err("the date is too short".into()),
    };
    let seconds = match rest {
        [_, _, _, _, hours, minutes, seconds, ..] => {
            (i64::from(*hours) * 60 + i64::from(*minutes)) * 60 + i64::from(*seconds)
        }
        _ => 0,
    };
    Ok((date, calendar::time(seconds * 1_000_000 + fraction(rest.get(7..)))))
}

/// A length, a sign, days, hours, minutes, seconds, and a fraction where there is one.
fn time(bytes: &[u8]) -> Result<String, BoxDynError> {
    let rest = bytes.get(1..).unwrap_or_default();
    match rest {
        [] => Ok(calendar::time(0)),
        [is_negative, d0, d1, d2, d3, hours, minutes, seconds, ..] => {
            let days = i64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3]));
            let hours = days * 24 + i64::from(*hours);
            let seconds = (hours * 60 + i64::from(*minutes)) * 60 + i64::from(*seconds);
            let sign = if *is_negative == 0 { "" } else { "-" };
            Ok(format!("{sign}{}", calendar::time(seconds * 1_000_000 + fraction(rest.get(8..)))))
        }
        _ => Err("the time is too short".into()),
    }
}

fn fraction(bytes: Option<&[u8]>) -> i64 {
    bytes.and_then(|bytes| bytes.first_chunk()).map_or(0, |micros| u32::from_le_bytes(*micros).into())
}
