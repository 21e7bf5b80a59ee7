//! What no text can hold: NUL, lone surrogates, and bytes that are not UTF-8. PostgreSQL cannot keep the first, nobody can
//! keep the others; they are refused here, at every route and on every database, before anything is done with them.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flow_model::outside::{has_nul, without_mark};
use percent_encoding::percent_decode;
use serde_json::Value;

use crate::error::{WebError, is_api};
use crate::pages::PageError;

/// What is wrong with a text.
type Problem = &'static str;

const NUL: Problem = "holds a NUL character";
const SURROGATE: Problem = "holds one half of a surrogate pair";
const NOT_UTF8: Problem = "is not UTF-8";

/// Refuses requests that hold such a text in path, query or body. The body may have so many bytes.
pub(crate) async fn check(State(body_bytes_max): State<usize>, request: Request, next: Next) -> Response {
    let is_page = is_page(request.uri().path());
    match checked(request, body_bytes_max).await {
        Ok(request) => next.run(request).await,
        Err(error) if is_page => PageError(error).into_response(),
        Err(error) => error.into_response(),
    }
}

fn is_page(path: &str) -> bool {
    !is_api(path) && !path.starts_with("/hooks/")
}

async fn checked(request: Request, body_bytes_max: usize) -> Result<Request, WebError> {
    let uri = request.uri();
    check_encoded(uri.path().as_bytes()).map_err(|problem| refused("path", problem))?;
    check_encoded(uri.query().unwrap_or_default().as_bytes()).map_err(|problem| refused("query", problem))?;
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, body_bytes_max).await.map_err(|error| cannot_be_read(&error))?;
    check_body(is_page(parts.uri.path()), &parts.headers, &body).map_err(|problem| refused("body", problem))?;
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn refused(place: &str, problem: Problem) -> WebError {
    WebError::unprocessable(format!("the {place} {problem}, which no text here can hold"))
        .hint("leave it out; bytes that are no text can be sent as base64")
}

/// The answer to a body that is too large, or that breaks off.
pub(crate) fn cannot_be_read(error: &axum::Error) -> WebError {
    let is_too_large = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
        .any(|error| error.to_string().contains("length limit exceeded"));
    if is_too_large {
        return too_large();
    }
    WebError::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))
}

/// The answer to a body that is too large.
pub(crate) fn too_large() -> WebError {
    WebError::new(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large")
        .hint("values have at most 1 MiB: keep larger ones in a file or an object store, and set their place")
}

fn check_body(is_page: bool, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    check_bytes(body)?;
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if content_type.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded") {
        check_encoded(body)?;
    }
    // Where programs ask, a body is JSON whatever it calls itself.
    if is_page { Ok(()) } else { check_escapes(body) }
}

fn check_bytes(bytes: &[u8]) -> Result<(), Problem> {
    match std::str::from_utf8(bytes) {
        Err(_) => Err(NOT_UTF8),
        Ok(text) if text.contains('\0') => Err(NUL),
        Ok(_) => Ok(()),
    }
}

fn check_encoded(encoded: &[u8]) -> Result<(), Problem> {
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    check_bytes(&bytes)
}

/// Looks at the escapes `\uXXXX` of JSON. Outside of strings JSON has no backslash, so it need not be parsed.
fn check_escapes(json: &[u8]) -> Result<(), Problem> {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        rest = &rest[at..];
        let Some(unit) = escaped(rest) else {
            rest = rest.get(2..).unwrap_or_default();
            continue;
        };
        rest = &rest[6..];
        match unit {
            0 => return Err(NUL),
            0xd800..=0xdbff => match escaped(rest) {
                Some(0xdc00..=0xdfff) => rest = &rest[6..],
                _ => return Err(SURROGATE),
            },
            0xdc00..=0xdfff => return Err(SURROGATE),
            _ => {}
        }
    }
    Ok(())
}

/// The unit of UTF-16 that `\uXXXX` at the beginning stands for.
fn escaped(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// JSON that stands in a text, such as a field of a form: its escapes may say what the text around it cannot hold.
///
/// # Errors
/// In words: it is no JSON, or holds NUL.
pub(crate) fn json_inside(text: &str) -> Result<Value, String> {
    match serde_json::from_str(without_mark(text)) {
        Ok(value) if has_nul(&value) => Err("it holds a NUL character, which no text here can hold".to_owned()),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("this is not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_read_as_json_reads_them() {
        for (text, expected) in [
            (r#""\u0000""#, Err(NUL)),
            (r#"{"a": ["\\\u0000"]}"#, Err(NUL)),
            (r#"{"\u0000": 1}"#, Err(NUL)),
            (r#""\\u0000""#, Ok(())),
            (r#""\ud83d\ude00""#, Ok(())),
            (r#""\uD83D\uDE00 \u00e9""#, Ok(())),
            (r#""\ud83d""#, Err(SURROGATE)),
            (r#""\ud83d\u0041""#, Err(SURROGATE)),
            (r#""\ud83d\ud83d\ude00""#, Err(SURROGATE)),
            (r#""\ude00\ud83d""#, Err(SURROGATE)),
            (r#""\u00"#, Ok(())),
            ("\\", Ok(())),
        ] {
            assert_eq!(check_escapes(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        /// Every text that JSON can hold passes, unless it has NUL.
        #[test]
        fn only_nul_is_refused_of_what_is_text(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(check_escapes(json.as_bytes()).is_ok() && check_bytes(json.as_bytes()).is_ok(), !text.contains('\0'));
            let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(check_escapes(format!("\"{ascii}\"").as_bytes()).is_ok(), !text.contains('\0'));
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(check_encoded(encoded.as_bytes()).is_ok(), !text.contains('\0'));
        }

        /// What is no text in UTF-16 never passes as JSON.
        #[test]
        fn units_that_are_no_text_are_refused(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xd800_u16..0xe000], 1..8)) {
            let json: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let is_text = String::from_utf16(&units).is_ok_and(|text| !text.contains('\0'));
            prop_assert_eq!(check_escapes(format!("\"{json}\"").as_bytes()).is_ok(), is_text);
        }
    }
}
