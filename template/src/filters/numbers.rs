//! Filters for numbers.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, Value};

use crate::arguments::{Arguments, invalid};
use crate::macros::random;
use crate::python;

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment
        .add_filter("filesizeformat", |value: Value, binary: Option<bool>| size(&value, binary.unwrap_or(false)));
    environment.add_filter("random", |values: Value| random::choice(&values));
    environment.add_filter("int", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("int", &["value", "default", "base"], &args, &named)?;
        let base = u32::try_from(arguments.integer(2)?.unwrap_or(10)).map_err(|_| arguments.wrong(2, "0 to 36"))?;
        let value = arguments.required(0)?;
        let default = || arguments.value(1).cloned().unwrap_or_else(|| Value::from(0));
        Ok::<_, Error>(whole(value, base).unwrap_or_else(default))
    });
    environment.add_filter("float", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("float", &["value", "default"], &args, &named)?;
        let value = arguments.required(0)?;
        let default = arguments.number(1)?.unwrap_or(0.0);
        Ok::<_, Error>(Value::from(real(value).unwrap_or(default)))
    });
    environment.add_filter("round", |args: Rest<Value>, named: Kwargs| {
        let arguments = Arguments::of("round", &["value", "precision", "method"], &args, &named)?;
        let precision = i32::try_from(arguments.integer(1)?.unwrap_or(0)).map_err(|_| arguments.wrong(1, "smaller"))?;
        let value = arguments.required(0)?;
        let number = real(value).filter(|_| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
        let number = number.ok_or_else(|| arguments.wrong(0, "a number"))?;
        let factor = 10_f64.powi(precision);
        match arguments.text(2)?.unwrap_or("common") {
            "common" if value.is_integer() && precision >= 0 => Ok(value.clone()),
            "common" if value.is_integer() => whole_rounded(value, precision),
            "common" => Ok(Value::from(rounded(number, precision))),
            "ceil" => Ok(Value::from((number * factor).ceil() / factor)),
            "floor" => Ok(Value::from((number * factor).floor() / factor)),
            other => Err(invalid(format!("`{other}` is no way to round; there are `common`, `ceil` and `floor`"))),
        }
    });
}

/// Rounds as Python does: to the decimal number that is nearest to the number itself.
fn rounded(number: f64, precision: i32) -> f64 {
    match usize::try_from(precision) {
        Ok(places) if number.is_finite() => format!("{number:.0$}", places.min(340)).parse().unwrap_or(number),
        Ok(_) => number,
        Err(_) => {
            let factor = 10_f64.powi(-precision);
            (number / factor).round_ties_even() * factor
        }
    }
}

fn whole_rounded(value: &Value, precision: i32) -> Result<Value, Error> {
    let out_of_range = || invalid("`round`: the number is out of range");
    let number = i128::try_from(value.clone()).map_err(|_| out_of_range())?;
    let Some(factor) = 10_i128.checked_pow(precision.unsigned_abs()) else { return Ok(Value::from(0)) };
    let (quotient, rest) = (number.div_euclid(factor), number.rem_euclid(factor));
    let is_up = rest * 2 > factor || rest * 2 == factor && quotient % 2 != 0;
    (quotient + i128::from(is_up)).checked_mul(factor).map(Value::from).ok_or_else(out_of_range)
}

fn whole(value: &Value, base: u32) -> Option<Value> {
    match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok().and_then(cut),
        ValueKind::String => {
            let text = value.as_str()?.trim();
            let number = parsed(text, base);
            number.map(Value::from).or_else(|| text.parse().ok().and_then(cut))
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit is none")]
fn cut(number: f64) -> Option<Value> {
    (number.is_finite() && number.abs() < 1e38).then(|| Value::from(number.trunc() as i128))
}

/// A number in a base; base 0 is told by the prefix.
fn parsed(text: &str, base: u32) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find(|(prefix, of)| lower.starts_with(prefix) && (base == 0 || base == *of));
    let (digits, base) = match prefixed {
        Some((prefix, of)) => (&lower[prefix.len()..], of),
        None => (lower.as_str(), if base == 0 { 10 } else { base }),
    };
    if !(2..=36).contains(&base) || digits.starts_with(['+', '-']) {
        return None;
    }
    i128::from_str_radix(&digits.replace('_', ""), base).ok().map(|number| number * sign)
}

fn real(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => value.to_string().parse().ok(),
        ValueKind::String => value.as_str()?.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

/// `1.2 MB`, or with `binary` `1.2 MiB`.
fn size(value: &Value, is_binary: bool) -> Result<String, Error> {
    let bytes =
        real(value).ok_or_else(|| invalid(format!("`filesizeformat` needs a number, not {}", python::repr(value))))?;
    let base: f64 = if is_binary { 1024.0 } else { 1000.0 };
    #[expect(clippy::float_cmp, reason = "one byte is one byte")]
    if bytes == 1.0 {
        return Ok("1 Byte".to_owned());
    }
    if bytes < base {
        return Ok(format!("{} Bytes", bytes.trunc()));
    }
    let units = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
    let (mut amount, mut unit) = (bytes / base, 0);
    while amount >= base && unit + 1 < units.len() {
        (amount, unit) = (amount / base, unit + 1);
    }
    let prefix = if is_binary { units[unit].to_uppercase() + "i" } else { units[unit].to_owned() };
    Ok(format!("{amount:.1} {prefix}B"))
}
