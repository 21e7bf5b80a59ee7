//! PostgreSQL's values, as they come in binary, as JSON.

use serde_json::Value;
use sqlx::TypeInfo;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgTypeKind};

use crate::answer::{base64, real};
use crate::calendar;

/// Days from 1970 to 2000, where PostgreSQL begins to count.
const EPOCH_DAYS: i64 = 10_957;

/// Whether values of a type can be read.
pub(super) fn is_known(of: &PgTypeInfo) -> bool {
    match of.kind() {
        PgTypeKind::Array(element) => is_known(element),
        PgTypeKind::Domain(base) => is_known(base),
        PgTypeKind::Enum(_) => true,
        _ => scalar(&name(of)).is_some(),
    }
}

/// A value that is not NULL.
pub(super) fn value(of: &PgTypeInfo, bytes: &[u8]) -> Result<Value, BoxDynError> {
    match of.kind() {
        PgTypeKind::Array(element) => array(element, bytes),
        PgTypeKind::Domain(base) => value(base, bytes),
        PgTypeKind::Enum(_) => text(bytes),
        _ => match scalar(&name(of)) {
            Some(read) => read(bytes),
            None => Err(format!("values of type {of} cannot be read").into()),
        },
    }
}

fn name(of: &PgTypeInfo) -> String {
    of.name().trim_matches('"').to_ascii_lowercase()
}

type Read = fn(&[u8]) -> Result<Value, BoxDynError>;

fn scalar(name: &str) -> Option<Read> {
    Some(match name {
        "bool" => |bytes| Ok(Value::Bool(fixed::<1>(bytes)? != [0])),
        "int2" => |bytes| Ok(i16::from_be_bytes(fixed(bytes)?).into()),
        "int4" => |bytes| Ok(i32::from_be_bytes(fixed(bytes)?).into()),
        "int8" => |bytes| Ok(i64::from_be_bytes(fixed(bytes)?).into()),
        "oid" | "xid" | "cid" => |bytes| Ok(u32::from_be_bytes(fixed(bytes)?).into()),
        // The shortest text that means this very number, not the digits of its double.
        "float4" => |bytes| Ok(real(f32::from_be_bytes(fixed(bytes)?).to_string().parse()?)),
        "float8" => |bytes| Ok(real(f64::from_be_bytes(fixed(bytes)?))),
        "numeric" => |bytes| Ok(Value::String(numeric(bytes)?)),
        "text" | "varchar" | "bpchar" | "char" | "name" | "unknown" | "citext" | "xml" | "cstring" => text,
        "json" => |bytes| Ok(serde_json::from_slice(bytes)?),
        "jsonb" => |bytes| Ok(serde_json::from_slice(bytes.get(1..).unwrap_or_default())?),
        "bytea" => |bytes| Ok(base64(bytes)),
        "uuid" => |bytes| Ok(Value::String(uuid(&fixed(bytes)?))),
        "date" => |bytes| Ok(Value::String(date(i32::from_be_bytes(fixed(bytes)?)))),
        "time" => |bytes| Ok(Value::String(calendar::time(i64::from_be_bytes(fixed(bytes)?)))),
        "timetz" => |bytes| Ok(Value::String(time_with_zone(&fixed(bytes)?))),
        "timestamp" => |bytes| Ok(Value::String(timestamp(i64::from_be_bytes(fixed(bytes)?), ""))),
        "timestamptz" => |bytes| Ok(Value::String(timestamp(i64::from_be_bytes(fixed(bytes)?), "+00:00"))),
        "interval" => |bytes| Ok(Value::String(interval(&fixed(bytes)?))),
        "inet" | "cidr" => |bytes| Ok(Value::String(network(bytes)?)),
        "bit" | "varbit" => |bytes| Ok(Value::String(bits(bytes)?)),
        "void" => |_| Ok(Value::Null),
        _ => return None,
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BoxDynError> {
    bytes.try_into().map_err(|_| format!("{} bytes came where {N} belong", bytes.len()).into())
}

fn text(bytes: &[u8]) -> Result<Value, BoxDynError> {
    Ok(Value::String(std::str::from_utf8(bytes)?.to_owned()))
}

/// Reads a value from its beginning.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], BoxDynError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("the value ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn short(&mut self) -> Result<i16, BoxDynError> {
        Ok(i16::from_be_bytes(fixed(self.take(2)?)?))
    }

    fn int(&mut self) -> Result<i32, BoxDynError> {
        Ok(i32::from_be_bytes(fixed(self.take(4)?)?))
    }
}

/// Digits to the base of 10,000, a weight, a sign and a scale.
fn numeric(bytes: &[u8]) -> Result<String, BoxDynError> {
    let mut cursor = Cursor(bytes);
    let (count, weight) = (cursor.short()?, i32::from(cursor.short()?));
    let (sign, scale) = (cursor.short()?.cast_unsigned(), usize::try_from(cursor.short()?)?);
    match sign {
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        0xF000 => return Ok("-Infinity".to_owned()),
        _ => {}
    }
    let digits: Vec<i16> = (0..count).map(|_| cursor.short()).collect::<Result<_, _>>()?;
    let digit =
        |position: i32| usize::try_from(weight - position).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0);
    let mut whole = String::new();
    for position in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", digit(position)));
    }
    let whole = whole.trim_start_matches('0');
    let mut fraction = String::new();
    let mut position = -1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", digit(position)));
        position -= 1;
    }
    fraction.truncate(scale);
    let sign = if sign == 0x4000 { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => calendar::date(i64::from(days) + EPOCH_DAYS),
    }
}

fn timestamp(micros: i64, zone: &str) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        // The last instants are too far from 1970 for microseconds: days and the time of day are added up by themselves.
        micros => {
            let date = calendar::date(micros.div_euclid(calendar::DAY) + EPOCH_DAYS);
            format!("{date}T{}{zone}", calendar::time(micros.rem_euclid(calendar::DAY)))
        }
    }
}

fn time_with_zone(bytes: &[u8; 12]) -> String {
    let [micros @ .., a, b, c, d] = *bytes;
    // Seconds west of Greenwich.
    let offset = -i32::from_be_bytes([a, b, c, d]);
    let sign = if offset < 0 { '-' } else { '+' };
    let (minutes, seconds) = (offset.abs() / 60, offset.abs() % 60);
    let seconds = if seconds == 0 { String::new() } else { format!(":{seconds:02}") };
    format!("{}{sign}{:02}:{:02}{seconds}", calendar::time(i64::from_be_bytes(micros)), minutes / 60, minutes % 60)
}

/// ISO 8601: `P1Y2M3DT4H5M6.7S`. Each part has its own sign, because none can be turned into another.
fn interval(bytes: &[u8; 16]) -> String {
    let [m0, m1, m2, m3, m4, m5, m6, m7, d0, d1, d2, d3, o0, o1, o2, o3] = *bytes;
    let micros = i64::from_be_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
    let (days, months) = (i32::from_be_bytes([d0, d1, d2, d3]), i32::from_be_bytes([o0, o1, o2, o3]));
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return "infinity".to_owned(),
        (i64::MIN, i32::MIN, i32::MIN) => return "-infinity".to_owned(),
        _ => {}
    }
    let part = |value: i64, unit: char| if value == 0 { String::new() } else { format!("{value}{unit}") };
    let seconds = match (micros % 60_000_000 / 1_000_000, micros % 1_000_000) {
        (seconds, 0) => part(seconds, 'S'),
        (seconds, fraction) => {
            let sign = if fraction < 0 { "-" } else { "" };
            format!("{sign}{}.{:06}S", seconds.abs(), fraction.abs())
        }
    };
    let clock = format!("{}{}{seconds}", part(micros / 3_600_000_000, 'H'), part(micros / 60_000_000 % 60, 'M'));
    let date =
        format!("{}{}{}", part((months / 12).into(), 'Y'), part((months % 12).into(), 'M'), part(days.into(), 'D'));
    match (date.is_empty(), clock.is_empty()) {
        (true, true) => "PT0S".to_owned(),
        (_, true) => format!("P{date}"),
        (_, false) => format!("P{date}T{clock}"),
    }
}

fn uuid(bytes: &[u8; 16]) -> String {
    let hex = flow_model::dag::hex(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn network(bytes: &[u8]) -> Result<String, BoxDynError> {
    let [_, prefix, is_cidr, _, address @ ..] = bytes else { return Err("the address is too short".into()) };
    let address: std::net::IpAddr = match address.len() {
        4 => fixed::<4>(address)?.into(),
        _ => fixed::<16>(address)?.into(),
    };
    let is_host = *prefix == if address.is_ipv4() { 32 } else { 128 };
    Ok(if is_host && *is_cidr == 0 { address.to_string() } else { format!("{address}/{prefix}") })
}

fn bits(bytes: &[u8]) -> Result<String, BoxDynError> {
    let mut cursor = Cursor(bytes);
    let length = usize::try_from(cursor.int()?)?;
    let text: String = cursor.0.iter().map(|byte| format!("{byte:08b}")).collect();
    Ok(text.get(..length).ok_or("the bits end too early")?.to_owned())
}

fn array(element: &PgTypeInfo, bytes: &[u8]) -> Result<Value, BoxDynError> {
    let mut cursor = Cursor(bytes);
    let dimensions = cursor.int()?;
    // Whether there are NULLs, and the elements' type.
    cursor.take(8)?;
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(cursor.int()?)?);
        // Where the index begins is lost in JSON.
        cursor.take(4)?;
    }
    if lengths.is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    level(element, &lengths, &mut cursor)
}

fn level(element: &PgTypeInfo, lengths: &[usize], cursor: &mut Cursor<'_>) -> Result<Value, BoxDynError> {
    let Some((length, inner)) = lengths.split_first() else {
        let length = cursor.int()?;
        return if length < 0 { Ok(Value::Null) } else { value(element, cursor.take(usize::try_from(length)?)?) };
    };
    (0..*length).map(|_| level(element, inner, cursor)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}
