//! What starts runs from outside: webhooks, Redis streams, files that arrive.

use std::time::Duration;

use flow_model::start::{FileArrival, RedisStream, SignatureScheme, Start, Webhook};
use serde::de::DeserializeOwned;

use super::check_id;
use crate::diagnostic::Problems;
use crate::tree::Node;

const KEYS: [&str; 3] = ["webhook", "stream", "files"];

/// The widest window for the time of a signature.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What names a source is part of the key of each of its events.
const NAME_BYTES_MAX: usize = 800;

/// Whether a table of the schedule names something outside, readable or not.
pub(super) fn is_one(node: &Node) -> bool {
    KEYS.iter().any(|key| node.get(key).is_some())
}

/// Reads what a table of the schedule names, onto `starts`. Returns whether all of it is usable.
pub(super) fn read(node: &Node, starts: &mut Vec<Start>, problems: &mut Problems) -> bool {
    let mut is_good = true;
    for key in KEYS {
        let Some(named) = node.get(key) else { continue };
        let before = problems.len();
        let start = match key {
            "webhook" => parse(named).map(Start::Webhook),
            "stream" => parse(named).map(Start::Stream),
            _ => parse(named).map(Start::Files),
        };
        match start {
            Ok(start) => {
                check(named, &start, problems);
                is_good &= problems.len() == before;
                if starts.iter().any(|other| other.kind() == start.kind() && other.name() == start.name()) {
                    problems
                        .add(named.span.clone(), format!("`{}` is named twice", start.summary()))
                        .hint("take one of the two away");
                }
                starts.push(start);
            }
            // Without the right shape, the walk has complained about it.
            Err(_) => is_good = false,
        }
    }
    is_good
}

fn check(node: &Node, start: &Start, problems: &mut Problems) {
    match start {
        Start::Webhook(it) => webhook(node, it, problems),
        Start::Stream(it) => stream(node, it, problems),
        Start::Files(it) => files(node, it, problems),
    }
}

fn parse<T: DeserializeOwned>(node: &Node) -> Result<T, serde_json::Error> {
    serde_json::from_value(node.to_json())
}

fn webhook(node: &Node, webhook: &Webhook, problems: &mut Problems) {
    check_id(&span(node, "name"), &webhook.name, "name of a webhook", problems);
    let is_name = |character: char| character.is_alphanumeric() || "_.-/".contains(character);
    if webhook.previous_secret.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(is_name)) {
        problems
            .add(span(node, "previous_secret"), "`previous_secret` is not the name of a variable")
            .hint("name the variable that holds the secret before, or take the line away");
    }
    if webhook.secret.is_empty() || !webhook.secret.chars().all(is_name) {
        problems
            .add(span(node, "secret"), "`secret` is not the name of a variable")
            .hint("put the secret into a variable, `flowctl variables set <name>`, and name the variable here");
    }
    if webhook.window < Duration::from_secs(1) || webhook.window > WINDOW_MAX {
        problems.add(span(node, "window"), "`window` must be between one second and a day").hint("the default is `5m`");
    }
    if webhook.scheme == SignatureScheme::Github && node.get("window").is_some() {
        problems
            .add(span(node, "window"), "`window` means nothing with `scheme = \"github\"`")
            .hint("GitHub does not sign the time: take the line away; a delivery counts once, whenever it comes");
    }
    if webhook.key.as_deref() == Some("") {
        problems.add(span(node, "key"), "`key` is empty").hint("name the key of `conf` that gets the body");
    }
}

fn stream(node: &Node, stream: &RedisStream, problems: &mut Problems) {
    for (key, text, what) in [
        (
            "connection",
            Some(&stream.connection),
            "name the connection that says where Redis is, such as `redis_default`",
        ),
        ("stream", Some(&stream.stream), "name the stream's key in Redis"),
        ("group", stream.group.as_ref(), "name a consumer group, or take the line away"),
    ] {
        if text.is_some_and(|text| text.trim().is_empty()) {
            problems.add(span(node, key), format!("`{key}` is empty")).hint(what);
        } else if text.is_some_and(|text| text.len() > NAME_BYTES_MAX) {
            problems.add(span(node, key), format!("`{key}` has more than {NAME_BYTES_MAX} bytes")).hint(what);
        }
    }
}

fn files(node: &Node, files: &FileArrival, problems: &mut Problems) {
    if !files.path.starts_with('/') {
        problems
            .add(span(node, "path"), format!("`{}` is not an absolute path", files.path))
            .hint("triggerers look for it, and it must mean the same in all of their folders: begin it with `/`");
    } else if files.path.ends_with('/') {
        problems
            .add(span(node, "path"), format!("`{}` names a folder", files.path))
            .hint(format!("name the files in it: `{}*`", files.path));
    }
    if files.path.len() > NAME_BYTES_MAX {
        problems
            .add(span(node, "path"), format!("`path` has more than {NAME_BYTES_MAX} bytes"))
            .hint("shorten it, with a link for instance");
    }
    if files.poke_interval < Duration::from_secs(1) {
        problems
            .add(span(node, "poke_interval"), "`poke_interval` must be at least one second")
            .hint("the default is `10s`");
    }
}

fn span(node: &Node, key: &str) -> std::ops::Range<usize> {
    node.get(key).map_or_else(|| node.span.clone(), |node| node.span.clone())
}
