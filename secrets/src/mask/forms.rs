//! The forms in which a value turns up in output.

use std::collections::BTreeSet;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 leaves as it is.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// JavaScript's `encodeURIComponent`.
const COMPONENT: AsciiSet = UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// Python's `urllib.parse.quote`.
const PATH: AsciiSet = UNRESERVED.remove(b'/');
/// What a browser's address bar shows in a query.
const QUERY: AsciiSet = percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\'');
/// User names and passwords in a URL, as the URL standard writes them.
const USERINFO: AsciiSet = QUERY
    .remove(b'\'')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'=')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'|');
/// Forms of web pages, where a space becomes a plus sign.
const FORM: AsciiSet = UNRESERVED.add(b'~').remove(b'*').remove(b' ');
/// Python's `urllib.parse.quote_plus`.
const PLUS: AsciiSet = UNRESERVED.remove(b' ');

/// Every form of a value, itself among them.
pub(super) fn of(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    forms.extend(escaped(value));
    forms.extend(percent(value));
    forms.extend(quoted(value));
    forms.extend(base64(value.as_bytes()));
    forms.extend(hexadecimal(value.as_bytes()));
    forms.extend(html(value));
    forms
}

/// JSON, with and without `\u` for what is not ASCII, with `\/`; Python's and Rust's way of showing text.
fn escaped(value: &str) -> Vec<String> {
    let json = serde_json::Value::from(value).to_string();
    // Without the quotation marks around it.
    let json = json[1..json.len() - 1].to_owned();
    let ascii = |upper: bool| -> String { json.chars().map(|c| unicode(c, upper)).collect() };
    let python = value.replace('\\', "\\\\").replace('\'', "\\'");
    let debug = value.escape_debug().to_string();
    vec![json.replace('/', "\\/"), ascii(false), ascii(true), json.clone(), python, value.replace('\\', "\\\\"), debug]
}

/// A character that is not ASCII as `\u` and its UTF-16 units.
fn unicode(c: char, upper: bool) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    let unit = |unit: &u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
    c.encode_utf16(&mut [0; 2]).iter().map(unit).collect()
}

fn percent(value: &str) -> Vec<String> {
    let sets = [&UNRESERVED, &COMPONENT, &PATH, &QUERY, &USERINFO, NON_ALPHANUMERIC];
    let mut forms: Vec<String> = sets.iter().map(|set| utf8_percent_encode(value, set).to_string()).collect();
    for set in [&FORM, &PLUS] {
        forms.push(utf8_percent_encode(value, set).to_string().replace(' ', "+"));
    }
    let lower: Vec<String> = forms.iter().map(|form| lower_percent(form)).collect();
    forms.extend(lower);
    forms
}

/// `%2F` as `%2f`.
fn lower_percent(text: &str) -> String {
    let mut left = 0;
    let lower = |c: char| {
        left = if c == '%' { 2 } else { left };
        let is_digit = c != '%' && left > 0;
        left -= u8::from(is_digit);
        if is_digit { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(lower).collect()
}

/// Inside single and double quotes of a shell, and with backslashes, as `printf %q` writes it.
fn quoted(value: &str) -> Vec<String> {
    let behind = |special: &str| -> String {
        let escape = |c: char| if special.contains(c) { format!("\\{c}") } else { c.to_string() };
        value.chars().map(escape).collect()
    };
    vec![
        value.replace('\'', "'\\''"),
        value.replace('\'', "'\"'\"'"),
        value.replace('\'', "''"),
        behind("\"\\$`"),
        behind("\"\\$`!"),
        behind(" \t!\"#$&'()*,;<>?[\\]^`{|}~"),
        behind(" \t!\"$&'()*,;<>?[\\]^`{|}"),
    ]
}

/// Characters of a line of base64, as `base64` and as PEM files have them.
const BASE64_LINES: [usize; 2] = [76, 64];
/// A last line that is shorter would hide ordinary words.
const BASE64_REST_MIN: usize = 6;

/// Base64 of the value itself, in one line or in several, and of longer text that has it inside: what does not depend on its
/// neighbours.
fn base64(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        for before in 0..3 {
            let text = engine.encode([vec![0; before], value.to_vec()].concat());
            let (from, to) = ((before * 8).div_ceil(6), (before + value.len()) * 8 / 6);
            forms.push(text[from..to].to_owned());
            if before == 0 {
                let lines = BASE64_LINES.iter().flat_map(|&line| text.as_bytes()[..to].chunks(line));
                let lines = lines.filter(|line| line.len() >= BASE64_REST_MIN && line.len() < to);
                forms.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
            }
        }
        forms.push(engine.encode(value));
    }
    forms
}

fn hexadecimal(value: &[u8]) -> Vec<String> {
    let lower = flow_model::dag::hex(value);
    vec![lower.to_uppercase(), lower]
}

fn html(value: &str) -> Vec<String> {
    let escape = |apostrophe: &str, quote: &str| {
        let text = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', quote).replace('\'', apostrophe)
    };
    vec![escape("&#39;", "&quot;"), escape("&#x27;", "&quot;"), escape("'", "\""), escape("&#39;", "&#34;")]
}
