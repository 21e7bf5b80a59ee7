//! Values that are taken as they are: `{{ ... | safe }}` in shell code or in a URL.

use crate::diagnostic::Problems;
use crate::tree::{Kind, Node};

/// Keys whose text is shell code.
const CODE: [&str; 3] = ["bash", "command", "command_sensor"];
/// Keys whose text is a URL.
const URLS: [&str; 4] = ["url", "http", "http_sensor", "webhook"];

/// Points at such values: people who may trigger the DAG may be able to set them.
pub(super) fn warn(root: &Node, warnings: &mut Problems) {
    for entry in root.entries() {
        match &entry.node.kind {
            Kind::Text(text) if is_raw(text) => warn_of(&entry.key, &entry.node, warnings),
            Kind::List(items) => items.iter().for_each(|item| warn(item, warnings)),
            _ => warn(&entry.node, warnings),
        }
    }
}

/// The same of a script file.
pub(super) fn warn_of_script(text: &str, node: &Node, warnings: &mut Problems) {
    if is_raw(text) {
        warn_of("bash", node, warnings);
    }
}

fn warn_of(key: &str, node: &Node, warnings: &mut Problems) {
    let (what, may) = if CODE.contains(&key) {
        ("shell code", "run any command")
    } else if URLS.contains(&key) {
        ("a part of the URL", "choose where the request goes")
    } else {
        return;
    };
    warnings.add(node.span.clone(), format!("a value becomes {what} as it is, because of `| safe`")).hint(format!(
        "without `| safe` it is quoted for where it stands; keep it only if whoever sets the value may {may}"
    ));
}

/// Whether a template uses the filter `safe`: `| safe`, `{% filter safe %}`, `map("safe")`.
pub(super) fn is_raw(text: &str) -> bool {
    let tags = |open: &'static str, close: &'static str| {
        text.split(open).skip(1).map(move |rest| rest.split(close).next().unwrap_or_default())
    };
    tags("{{", "}}").chain(tags("{%", "%}")).any(|tag| {
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        tag.match_indices("safe").any(|(at, name)| {
            let (before, after) = (tag[..at].trim_end(), &tag[at + name.len()..]);
            let is_filter = before.ends_with(['|', '\'', '"']) || before.ends_with("filter") && before.len() < at;
            is_filter && !after.starts_with(part_of_word)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::is_raw;

    #[test]
    fn what_is_taken_as_it_is() {
        for text in [
            "{{ a | safe }}",
            "x {{ b }} {{a|safe-}}",
            "{{ (a ~ b) |  safe}}",
            "{% set x = a | safe %}{{ x }}",
            "{{ a | safe | first }}",
            "{% filter safe %}{{ a }}{% endfilter %}",
            "{{ a | map('safe') | join }}",
        ] {
            assert!(is_raw(text), "{text}");
        }
        for text in [
            "{{ safe }}",
            "{{ a.safe }}",
            "echo | safe",
            "{{ a }} | safe",
            "{{ a | safety }}",
            "{{ unsafe }}",
            "{% if safe %}x{% endif %}",
        ] {
            assert!(!is_raw(text), "{text}");
        }
    }
}
