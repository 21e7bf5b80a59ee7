//! `on_success`, `on_failure`, `on_retry`, `on_skipped`.

use flow_model::callback::Notifier;
use flow_model::limits::NOTIFIERS_MAX;
use flow_model::suggest::listed;

use crate::diagnostic::Problems;
use crate::semantic::{check_email, check_slack, check_webhook};
use crate::tree::Node;

const KINDS: [&str; 4] = ["command", "webhook", "slack", "email"];

/// What the types cannot say of the callbacks in a table of settings.
pub(crate) fn check(settings: &Node, problems: &mut Problems) {
    for key in ["on_success", "on_failure", "on_retry", "on_skipped"] {
        let notifiers = settings.get(key).map(Node::items).unwrap_or_default();
        if let Some(surplus) = notifiers.get(NOTIFIERS_MAX) {
            problems
                .add(surplus.span.clone(), format!("`{key}` has more than {NOTIFIERS_MAX} notifiers"))
                .hint("let one of them tell the others");
        }
        for node in notifiers {
            check_one(key, node, problems);
        }
    }
}

fn check_one(key: &str, node: &Node, problems: &mut Problems) {
    // What cannot be read has been complained about.
    let Ok(notifier) = serde_json::from_value::<Notifier>(node.to_json()) else { return };
    let wrong = match notifier.kinds().as_slice() {
        [_] => None,
        [] => Some(format!("a notifier of `{key}` does nothing")),
        several => Some(format!("a notifier of `{key}` does several things: {}", listed(several.iter().copied()))),
    };
    if let Some(wrong) = wrong {
        problems.add(node.span.clone(), wrong).hint(format!("give each one of {}", listed(KINDS)));
    }
    if let Some(webhook) = &notifier.webhook {
        check_webhook(webhook, node.deepest(&["webhook"]), problems);
    }
    if let Some(slack) = &notifier.slack {
        check_slack(slack, node.deepest(&["slack"]), problems);
    }
    if let Some(email) = &notifier.email {
        check_email(email, node.deepest(&["email"]), problems);
    }
}
