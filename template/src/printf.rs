//! Text formatted with `%`, as Python does it: `"%05d" % n`, `"%s-%d" % (a, b)`, `"%(day)s" % {"day": ds}`.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::python;

/// No field is wider, and no number more precise.
const WIDTH_MAX: usize = 100_000;

/// `format % values`: a tuple is several values, anything else is one; a table is also asked by names.
pub(crate) fn operator(format: &str, values: &Value) -> Result<String, Error> {
    let several = if values.is_tuple() { values.try_iter()?.collect() } else { vec![values.clone()] };
    let named = (values.kind() == ValueKind::Map).then_some(values);
    render(format, &several, named)
}

/// Fills the fields of a format with values, in their order or by their names.
pub(crate) fn render(format: &str, values: &[Value], named: Option<&Value>) -> Result<String, Error> {
    let mut fields = Fields { values, named, next: 0 };
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (field, after) = Field::parse(after, &mut fields)?;
        if field.conversion == '%' {
            out.push('%');
        } else {
            let value = fields.value(field.name)?;
            out.push_str(&field.render(&value)?);
        }
        rest = after;
    }
    out.push_str(rest);
    if named.is_none() && fields.next < values.len() {
        return Err(wrong("not all values are used by the format"));
    }
    Ok(out)
}

/// The values, and how many of them are used.
struct Fields<'a> {
    values: &'a [Value],
    named: Option<&'a Value>,
    next: usize,
}

impl Fields<'_> {
    fn value(&mut self, name: Option<&str>) -> Result<Value, Error> {
        let Some(name) = name else {
            let value = self
                .values
                .get(self.next)
                .cloned()
                .ok_or_else(|| wrong("the format has more fields than there are values"));
            self.next += 1;
            return value;
        };
        let table = self.named.ok_or_else(|| wrong(format!("`%({name})` needs a table of values")))?;
        let value = table.get_item(&Value::from(name))?;
        if value.is_undefined() { Err(wrong(format!("there is no value `{name}` for the format"))) } else { Ok(value) }
    }

    fn number(&mut self) -> Result<i64, Error> {
        i64::try_from(self.value(None)?).map_err(|_| wrong("`*` in a format wants a whole number"))
    }
}

/// One `%` of a format.
#[derive(Debug, Default)]
struct Field<'a> {
    name: Option<&'a str>,
    is_left: bool,
    is_zero: bool,
    is_alternate: bool,
    sign: Option<char>,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl<'a> Field<'a> {
    fn parse(text: &'a str, fields: &mut Fields<'_>) -> Result<(Self, &'a str), Error> {
        let mut field = Field::default();
        let mut rest = text;
        if let Some(named) = rest.strip_prefix('(') {
            let (name, after) = named.split_once(')').ok_or_else(|| wrong("`%(` has no `)`"))?;
            (field.name, rest) = (Some(name), after);
        }
        while let Some(flag) = rest.chars().next().filter(|flag| "-+ #0".contains(*flag)) {
            match flag {
                '-' => field.is_left = true,
                '0' => field.is_zero = true,
                '#' => field.is_alternate = true,
                '+' => field.sign = Some('+'),
                _ => field.sign = field.sign.or(Some(' ')),
            }
            rest = &rest[1..];
        }
        let width;
        (width, rest) = count(rest, fields)?;
        if let Some(width) = width {
            field.is_left |= width < 0;
            field.width = limited(width.unsigned_abs())?;
        }
        if let Some(after) = rest.strip_prefix('.') {
            let precision;
            (precision, rest) = count(after, fields)?;
            field.precision = Some(limited(precision.unwrap_or(0).max(0).unsigned_abs())?);
        }
        rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        field.conversion = rest
            .chars()
            .next()
            .ok_or_else(|| wrong("the format ends within a field; write `%%` for a percent sign"))?;
        let length = field.conversion.len_utf8();
        Ok((field, &rest[length..]))
    }

    fn render(&self, value: &Value) -> Result<String, Error> {
        let shortened = |text: String| match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text,
        };
        let conversion = self.conversion;
        Ok(match conversion {
            's' => self.padded(&shortened(python::text(value))),
            'r' => self.padded(&shortened(python::repr(value))),
            'a' => self.padded(&shortened(ascii(&python::repr(value)))),
            'c' => self.padded(&character(value)?),
            'd' | 'i' | 'u' => self.integer(whole(value, conversion, true)?, ""),
            'o' | 'x' | 'X' => self.integer(whole(value, conversion, false)?, self.prefix()),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => self.float(real(value, conversion)?),
            other => {
                return Err(wrong(format!("`%{other}` is no field of a format; write `%%` for a percent sign")));
            }
        })
    }

    /// What says the base of a number, if it is asked for.
    fn prefix(&self) -> &'static str {
        match (self.is_alternate, self.conversion) {
            (true, 'o') => "0o",
            (true, 'x') => "0x",
            (true, 'X') => "0X",
            _ => "",
        }
    }

    fn integer(&self, number: i128, prefix: &str) -> String {
        let magnitude = number.unsigned_abs();
        let digits = match self.conversion {
            'o' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        };
        let precision = self.precision.unwrap_or(0);
        let digits = format!("{digits:0>precision$}");
        self.numeric(number < 0, prefix, &digits, true)
    }

    fn float(&self, number: f64) -> String {
        let precision = self.precision.unwrap_or(6);
        let magnitude = number.abs();
        let digits = if !number.is_finite() {
            python::float(magnitude)
        } else {
            match self.conversion.to_ascii_lowercase() {
                'e' => exponential(magnitude, precision),
                'f' => format!("{magnitude:.precision$}"),
                _ => general(magnitude, precision.max(1), self.is_alternate),
            }
        };
        let digits = if self.conversion.is_ascii_uppercase() { digits.to_ascii_uppercase() } else { digits };
        let digits = if self.is_alternate && precision == 0 && !digits.contains('.') { digits + "." } else { digits };
        self.numeric(number.is_sign_negative() && !number.is_nan(), "", &digits, number.is_finite())
    }

    fn numeric(&self, is_negative: bool, prefix: &str, digits: &str, may_have_zeros: bool) -> String {
        let sign = if is_negative { "-".to_owned() } else { self.sign.map(String::from).unwrap_or_default() };
        if self.is_zero && !self.is_left && may_have_zeros {
            let width = self.width.saturating_sub(sign.len() + prefix.len());
            return format!("{sign}{prefix}{digits:0>width$}");
        }
        self.padded(&format!("{sign}{prefix}{digits}"))
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        if self.is_left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }
}

/// `12`, or `*` for a value.
fn count<'a>(text: &'a str, fields: &mut Fields<'_>) -> Result<(Option<i64>, &'a str), Error> {
    if let Some(rest) = text.strip_prefix('*') {
        return Ok((Some(fields.number()?), rest));
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    if digits.is_empty() {
        return Ok((None, rest));
    }
    let number = digits.parse().map_err(|_| wrong(format!("{digits} is too wide for a format")))?;
    Ok((Some(number), rest))
}

fn limited(width: u64) -> Result<usize, Error> {
    usize::try_from(width)
        .ok()
        .filter(|width| *width <= WIDTH_MAX)
        .ok_or_else(|| wrong(format!("{width} is too wide for a format; the limit is {WIDTH_MAX}")))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("cannot format with `%`: {}", message.into()))
}

fn whole(value: &Value, conversion: char, may_cut: bool) -> Result<i128, Error> {
    let needs = || wrong(format!("`%{conversion}` needs a number, not {}", crate::dates::kind(value)));
    if let Ok(flag) = bool::try_from(value.clone()) {
        return Ok(i128::from(flag));
    }
    if value.kind() != ValueKind::Number {
        return Err(needs());
    }
    if value.is_integer() {
        return i128::try_from(value.clone()).map_err(|_| needs());
    }
    let number = f64::try_from(value.clone()).map_err(|_| needs())?;
    if !may_cut || !number.is_finite() || number.abs() >= 1e38 {
        return Err(wrong(format!("`%{conversion}` needs a whole number, not {}", python::float(number))));
    }
    #[expect(clippy::cast_possible_truncation, reason = "as `int` does, and it fits")]
    Ok(number.trunc() as i128)
}

fn real(value: &Value, conversion: char) -> Result<f64, Error> {
    let needs = || wrong(format!("`%{conversion}` needs a number, not {}", crate::dates::kind(value)));
    if let Ok(flag) = bool::try_from(value.clone()) {
        return Ok(f64::from(u8::from(flag)));
    }
    if value.kind() != ValueKind::Number {
        return Err(needs());
    }
    // A number that is larger than a float is exact goes through its text.
    value.to_string().parse().map_err(|_| needs())
}

fn character(value: &Value) -> Result<String, Error> {
    let wrong = || wrong("`%c` needs one character, or its number");
    if let Some(text) = value.as_str() {
        return if text.chars().count() == 1 { Ok(text.to_owned()) } else { Err(wrong()) };
    }
    let number = u32::try_from(value.clone()).map_err(|_| wrong())?;
    char::from_u32(number).map(String::from).ok_or_else(wrong)
}

fn ascii(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c as u32 {
            0..=0x7f => out.push(c),
            code @ 0x80..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code @ 0x100..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
        out
    })
}

/// `1.500000e+05`.
fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// As many digits as `precision` says, in whichever form is shorter.
fn general(number: f64, precision: usize, keeps_zeros: bool) -> String {
    let scientific = exponential(number, precision - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i64 = exponent.parse().unwrap_or(0);
    let stripped = |text: &str| {
        if keeps_zeros || !text.contains('.') {
            return text.to_owned();
        }
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match usize::try_from(precision as i64 - 1 - power) {
        Ok(places) if power >= -4 => stripped(&format!("{number:.places$}")),
        _ => format!("{}e{exponent}", stripped(digits)),
    }
}
