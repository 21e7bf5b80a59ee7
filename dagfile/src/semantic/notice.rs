//! What the types of `webhook`, `slack` and `email` cannot say; as operators and as notifiers.

use flow_model::operator::{Email, Slack, Webhook};

use super::sensors::check_url;
use super::sql::check_connection;
use crate::diagnostic::Problems;
use crate::tree::Node;

pub(crate) fn check_webhook(webhook: &Webhook, node: &Node, problems: &mut Problems) {
    if let Some(connection) = &webhook.connection {
        check_connection(connection, node, problems);
    }
    check_url(&webhook.url, webhook.connection.as_deref(), node, problems);
    check_headers(node, problems);
    if webhook.secret.as_ref().is_some_and(|secret| secret.trim().is_empty() || secret.contains("{{")) {
        problems
            .add(node.deepest(&["secret"]).span.clone(), "`secret` is the name of a variable, not its value")
            .hint("set the key with `flowctl variables set <name> - --secret`, then name the variable here");
    }
}

pub(crate) fn check_slack(slack: &Slack, node: &Node, problems: &mut Problems) {
    check_connection(&slack.connection, node, problems);
    if slack.text.trim().is_empty() {
        problems.add(node.deepest(&["text"]).span.clone(), "the message is empty").hint("write what is to be said");
    }
}

pub(crate) fn check_email(email: &Email, node: &Node, problems: &mut Problems) {
    check_connection(&email.connection, node, problems);
    if email.text.is_none() && email.html.is_none() {
        problems
            .add(node.span.clone(), "`email` has no message")
            .absent(["text", "html"])
            .hint("give it a `text`, or `html`, or both");
    }
    for (key, texts) in [("to", &email.to), ("cc", &email.cc), ("bcc", &email.bcc)] {
        let place = node.deepest(&[key]);
        for (index, text) in texts.iter().enumerate() {
            let place = place.items().get(index).unwrap_or(place);
            check_addresses(text, place, problems);
        }
    }
    if let Some(from) = &email.from {
        check_addresses(from, node.deepest(&["from"]), problems);
    }
}

/// Names of headers, for every request.
pub(super) fn check_headers(node: &Node, problems: &mut Problems) {
    for entry in node.get("headers").map(Node::entries).unwrap_or_default() {
        // RFC 9110, section 5.6.2.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if entry.key.is_empty() || !entry.key.bytes().all(is_token) {
            problems
                .add(entry.key_span.clone(), format!("`{}` cannot name a header", entry.key))
                .hint("names have letters, digits and `-`, for instance \"X-Request-Id\"");
        }
    }
}

/// One address, or several with commas between them. What a template gives is seen when it runs.
fn check_addresses(text: &str, node: &Node, problems: &mut Problems) {
    if text.contains("{{") || text.contains("{%") {
        return;
    }
    let wrong = text.split(',').map(str::trim).find(|address| !is_address(address));
    if let Some(wrong) = wrong {
        problems
            .add(node.span.clone(), format!("`{wrong}` is not an e-mail address"))
            .hint("for instance \"ada@example.org\" or \"Ada <ada@example.org>\"");
    }
}

fn is_address(text: &str) -> bool {
    let address = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) => address,
        None => text,
    };
    let is_clean = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>@".contains(c));
    address.rsplit_once('@').is_some_and(|(name, host)| is_clean(name) && is_clean(host))
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses() {
        for good in ["ada@example.org", "Ada L <ada@example.org>", "ada+flow@localhost", "<ada@example.org>"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada @example.org",
            "a@b@c",
            "Ada <ada@example.org",
            "ada@example.org bob@example.org",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
