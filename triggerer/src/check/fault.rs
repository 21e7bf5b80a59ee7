//! Looks that break down on purpose, so that a test can see that they harm no other. Debug builds only.
//!
//! `FLOW_LOOK_FAULT=panic=/in/a,hang=/in/b`: a look whose trigger's summary contains the text panics, or never comes back.

use std::sync::LazyLock;

use flow_model::deferral::Trigger;

static FAULTS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let wanted = std::env::var("FLOW_LOOK_FAULT").unwrap_or_default();
    let pairs = wanted.split(',').filter_map(|one| one.split_once('='));
    pairs.map(|(kind, text)| (kind.to_owned(), text.to_owned())).collect()
});

/// Breaks down here if the environment says so.
pub(super) async fn pass(trigger: &Trigger) {
    if FAULTS.is_empty() {
        return;
    }
    let summary = trigger.summary();
    match FAULTS.iter().find(|(_, text)| summary.contains(text.as_str())).map(|(kind, _)| kind.as_str()) {
        Some("panic") => panic!("a look breaks down, as it was asked to"),
        Some("hang") => std::future::pending().await,
        _ => {}
    }
}
