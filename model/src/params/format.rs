//! The formats of text: JSON Schema's, which are asserted, and those of Airflow that only say how a form asks.

use jsonschema::ValidationOptions;

use crate::time::duration_text;

/// Formats that a declaration may name, with what fits them, in words.
pub const FORMATS: &[(&str, &str)] = &[
    ("date", "a date such as `2026-01-31`"),
    ("date-time", "an instant with an offset such as `2026-01-31T06:00:00Z`"),
    ("time", "a time of day such as `06:30` or `06:30:00`"),
    ("duration", "a duration such as `90s`, `1h 30m` or `PT1H30M`"),
    ("email", "an e-mail address"),
    ("uri", "an address with a scheme such as `https://example.org/`"),
    ("hostname", "a host's name"),
    ("ipv4", "an IPv4 address"),
    ("ipv6", "an IPv6 address"),
    ("uuid", "a UUID"),
    ("regex", "a regular expression"),
    ("json-pointer", "a JSON pointer such as `/a/0`"),
    ("multiline", "text of several lines"),
];

/// Whether a declaration may name this format.
pub fn is_format(name: &str) -> bool {
    FORMATS.iter().any(|(known, _)| *known == name)
}

/// How values are validated: formats count.
pub(super) fn options<'a>() -> ValidationOptions<'a> {
    jsonschema::options()
        .should_validate_formats(true)
        .with_format("time", is_time)
        .with_format("duration", is_duration)
        .with_format("multiline", |_: &str| true)
}

/// A time of day; an offset, which RFC 3339 wants, is not needed: the browsers' fields have none.
fn is_time(text: &str) -> bool {
    let clock = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    // The sign of an offset is the only sign in a time.
    let clock = match clock.find(['+', '-']) {
        Some(at) if is_clock(&clock[at + 1..]) => &clock[..at],
        Some(_) => return false,
        None => clock,
    };
    is_clock(clock)
}

fn is_clock(text: &str) -> bool {
    text.len() >= 5 && text.as_bytes()[2] == b':' && text.parse::<jiff::civil::Time>().is_ok()
}

/// A duration as everywhere in Flow, or as in ISO 8601.
fn is_duration(text: &str) -> bool {
    duration_text::parse(text).is_ok() || (text.starts_with('P') && text.parse::<jiff::Span>().is_ok())
}

#[cfg(test)]
mod tests {
    use crate::params::Param;

    use super::*;

    fn fits(format: &str, text: &str) -> bool {
        let schema = serde_json::json!({ "type": "string", "format": format });
        serde_json::from_value::<Param>(schema).unwrap().check(&text.into()).is_ok()
    }

    #[test]
    fn formats_are_asserted() {
        for (format, good, bad) in [
            ("date", "2026-02-28", "2026-02-30"),
            ("date-time", "2026-01-31T06:00:00Z", "2026-01-31 06:00"),
            ("time", "06:30", "25:00"),
            ("time", "06:30:01.5+02:00", "06:30+99:00"),
            ("duration", "1h 30m", "soon"),
            ("duration", "PT1H30M", "P"),
            ("email", "ada@example.org", "ada"),
            ("uri", "https://example.org/", "example.org"),
            ("hostname", "example.org", "-"),
            ("ipv4", "127.0.0.1", "127.0.0.256"),
            ("ipv6", "::1", ":::1"),
            ("uuid", "0190a0c0-0000-7000-8000-000000000000", "0190a0c0"),
            ("regex", "a+", "("),
            ("json-pointer", "/a/0", "a"),
        ] {
            assert!(fits(format, good), "`{good}` is a {format}");
            assert!(!fits(format, bad), "`{bad}` is no {format}");
        }
        assert!(fits("multiline", "a\nb"));
    }

    #[test]
    fn every_listed_format_but_one_refuses_something() {
        let refuses = |format: &str| !["", "\0", "(", "x y"].iter().all(|text| fits(format, text));
        let lenient: Vec<&str> = FORMATS.iter().map(|(name, _)| *name).filter(|name| !refuses(name)).collect();
        assert_eq!(lenient, ["multiline"]);
    }
}
