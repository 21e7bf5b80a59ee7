//! Whether a request to a webhook is signed with the hook's secret. Pure: the time is an argument.

use axum::http::HeaderMap;
use flow_model::start::{SignatureScheme, Webhook, is_event_id, signed_text};
use flow_model::{SecretText, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A request that is signed well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Tells its event from all others of the hook.
    pub(crate) event_id: String,
}

/// Checks a request.
///
/// # Errors
/// Why it does not count, for the log: the sender is told nothing.
pub(crate) fn check(
    webhook: &Webhook,
    secret: &SecretText,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Signed, &'static str> {
    match webhook.scheme {
        SignatureScheme::Flow => flow(webhook, secret, headers, body, now),
        SignatureScheme::Github => github(secret, headers, body),
    }
}

fn flow(
    webhook: &Webhook,
    secret: &SecretText,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Signed, &'static str> {
    let timestamp = text(headers, "x-flow-timestamp").ok_or("it has no X-Flow-Timestamp")?;
    let seconds: i64 = timestamp.parse().map_err(|_| "its X-Flow-Timestamp is no number of seconds")?;
    let event_id = match headers.get("x-flow-event-id") {
        None => None,
        Some(_) => {
            let id = text(headers, "x-flow-event-id").filter(|id| is_event_id(id));
            Some(id.ok_or("its X-Flow-Event-Id has other characters than letters, digits, `_`, `-` and `:`")?)
        }
    };
    let signature = text(headers, "x-flow-signature").ok_or("it has no X-Flow-Signature")?;
    verify(secret, &signed_text(timestamp, event_id, body), signature)?;
    let apart = now.as_micros().abs_diff(seconds.saturating_mul(1_000_000));
    if u128::from(apart) > webhook.window.as_micros() {
        return Err("its X-Flow-Timestamp is too far from now");
    }
    // Without an id, a request is the same event only if it is the same to the last byte; time and body are in the signature.
    Ok(Signed { event_id: event_id.map_or_else(|| signature.to_ascii_lowercase(), str::to_owned) })
}

fn github(secret: &SecretText, headers: &HeaderMap, body: &[u8]) -> Result<Signed, &'static str> {
    let signature = text(headers, "x-hub-signature-256").ok_or("it has no X-Hub-Signature-256")?;
    let delivery =
        text(headers, "x-github-delivery").filter(|id| is_event_id(id)).ok_or("it has no X-GitHub-Delivery")?;
    verify(secret, body, signature)?;
    Ok(Signed { event_id: delivery.to_owned() })
}

/// Compares in constant time.
fn verify(secret: &SecretText, signed: &[u8], signature: &str) -> Result<(), &'static str> {
    let bytes =
        signature.strip_prefix("sha256=").and_then(unhex).ok_or("its signature is not `sha256=` and 64 hex digits")?;
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose().as_bytes()).map_err(|_| "its secret is no key")?;
    mac.update(signed);
    mac.verify_slice(&bytes).map_err(|_| "its signature does not fit")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// 32 bytes from 64 hex digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_767_247_200;

    fn webhook(more: &Value) -> Webhook {
        let mut keys = json!({ "name": "orders", "secret": "key" });
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(keys).unwrap()
    }

    fn checked(webhook: &Webhook, headers: &[(&'static str, &str)], body: &[u8]) -> Result<String, &'static str> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = Timestamp::UNIX_EPOCH + Duration::from_secs(NOW as u64);
        check(webhook, &SecretText::new("It's a Secret to Everybody"), &headers, body, now)
            .map(|signed| signed.event_id)
    }

    /// GitHub's own example from "Validating webhook deliveries".
    #[test]
    fn githubs_signature_is_understood() {
        let github = webhook(&json!({ "scheme": "github" }));
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = [("x-hub-signature-256", signature), ("x-github-delivery", "72d3162e-cc78")];
        assert_eq!(checked(&github, &headers, b"Hello, World!").unwrap(), "72d3162e-cc78");
        assert!(checked(&github, &headers, b"Hello, World?").is_err());
        assert!(checked(&github, &headers[..1], b"Hello, World!").is_err(), "without an id it could not count once");
        assert!(checked(&webhook(&json!({})), &headers, b"Hello, World!").is_err(), "another scheme");
    }

    /// `printf '%s' '1767247200.{"a":1}' | openssl dgst -sha256 -hmac "It's a Secret to Everybody"`, and with an id.
    const PLAIN: &str = "sha256=2b758e4900af49d11551cc30e9fb72b574a4e5d0427965ba7d18b92726965025";
    const WITH_ID: &str = "sha256=e78f6caeb3cc522bdfe89419a13d4832c464836d2f3852d29a1687abfdb19f21";

    #[test]
    fn time_id_and_body_are_signed() {
        let hook = webhook(&json!({}));
        let plain = [("x-flow-timestamp", "1767247200"), ("x-flow-signature", PLAIN)];
        assert_eq!(checked(&hook, &plain, br#"{"a":1}"#).unwrap(), PLAIN);
        assert!(checked(&hook, &plain, br#"{"a":2}"#).is_err());
        let later = [("x-flow-timestamp", "1767247201"), ("x-flow-signature", PLAIN)];
        assert!(checked(&hook, &later, br#"{"a":1}"#).is_err());
        let with_id = |id| [plain[0], ("x-flow-signature", WITH_ID), ("x-flow-event-id", id)];
        assert_eq!(checked(&hook, &with_id("order-4"), br#"{"a":1}"#).unwrap(), "order-4");
        assert!(checked(&hook, &with_id("order-5"), br#"{"a":1}"#).is_err(), "another id needs another signature");
        assert!(checked(&hook, &[plain[0], plain[1], ("x-flow-event-id", "order-4")], br#"{"a":1}"#).is_err());
        assert!(checked(&hook, &with_id("order-4")[..2], br#"{"a":1}"#).is_err(), "the id cannot be left out");
        for signature in ["", "sha256=", "sha1=aa", &PLAIN[..70], "sha256=zz"] {
            assert!(
                checked(&hook, &[plain[0], ("x-flow-signature", signature)], br#"{"a":1}"#).is_err(),
                "{signature}"
            );
        }
    }

    #[test]
    fn an_old_signature_does_not_count() {
        let narrow = webhook(&json!({ "window": "1s" }));
        let plain = [("x-flow-timestamp", "1767247200"), ("x-flow-signature", PLAIN)];
        assert!(checked(&narrow, &plain, br#"{"a":1}"#).is_ok());
        let old = Timestamp::UNIX_EPOCH + Duration::from_secs(NOW as u64 + 2);
        let headers = plain.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let secret = SecretText::new("It's a Secret to Everybody");
        assert_eq!(
            check(&narrow, &secret, &headers, br#"{"a":1}"#, old),
            Err("its X-Flow-Timestamp is too far from now")
        );
        assert!(check(&webhook(&json!({})), &secret, &headers, br#"{"a":1}"#, old).is_ok());
    }
}
