//! The pages about DAG files against the code: their examples are good, and they name every key.

use std::path::Path;

use flow_dagfile::{check_text, render, schema};
use serde_json::Value;

const REFERENCE: &str = include_str!("../../docs/dag-file.md");

const STARTS: &str = include_str!("../../docs/starts.md");

/// Pages about parts of a DAG file.
const PAGES: &[&str] = &[
    include_str!("../../docs/artifacts.md"),
    include_str!("../../docs/callbacks.md"),
    include_str!("../../docs/docker.md"),
    include_str!("../../docs/kubernetes.md"),
    include_str!("../../docs/params.md"),
    include_str!("../../docs/people.md"),
    include_str!("../../docs/plugins.md"),
    include_str!("../../docs/sensors.md"),
    include_str!("../../docs/secrets.md"),
    include_str!("../../docs/sensors.md"),
    include_str!("../../docs/sql.md"),
    STARTS,
];

#[test]
fn its_examples_are_good() {
    examples_are_good(REFERENCE);
    PAGES.iter().copied().for_each(examples_are_good);
}

#[track_caller]
fn examples_are_good(page: &str) {
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for block in blocks {
        let text =
            if block.contains("[tasks.") { block.to_owned() } else { format!("{block}\n[tasks.a]\nnoop = true\n") };
        let file = check_text("example.toml", &text, None);
        assert!(file.result.is_ok(), "{}", render(&file, false));
    }
}

#[test]
fn its_schedules_are_good() {
    let schedules: Vec<&str> =
        REFERENCE.split("| `schedule = ").skip(1).map(|rest| rest.split("` |").next().unwrap()).collect();
    assert_eq!(schedules.len(), 14);
    for schedule in schedules {
        let file = check_text("example.toml", &format!("schedule = {schedule}\n[tasks.a]\nnoop = true\n"), None);
        assert!(file.result.is_ok(), "{}", render(&file, false));
    }
}

#[test]
fn it_names_every_key() {
    let schema = schema();
    let mut missing = Vec::new();
    let task = &schema["$defs"]["task"]["properties"];
    let mut look = |properties: &Value| {
        for key in properties.as_object().into_iter().flatten().map(|(key, _)| key) {
            if !REFERENCE.contains(&format!("`{key}`")) {
                missing.push(key.clone());
            }
        }
    };
    look(&schema["properties"]);
    look(&schema["$defs"]["task_group"]["properties"]);
    // The operators themselves are among these; their keys are on the page that is made from the types.
    look(task);
    assert!(missing.is_empty(), "docs/dag-file.md does not name {missing:?}");
}

#[test]
fn the_page_about_starts_names_their_keys() {
    let schema = schema();
    let table = &schema["properties"]["schedule"]["anyOf"][1]["properties"];
    for kind in ["webhook", "stream", "files"] {
        let keys = table[kind]["properties"].as_object().unwrap();
        let missing: Vec<&String> = keys.keys().filter(|key| !STARTS.contains(&format!("| `{key}` |"))).collect();
        assert!(missing.is_empty() && keys.len() > 3, "docs/starts.md does not name {missing:?} of {kind}");
    }
}

#[test]
fn it_names_every_trigger_rule() {
    for rule in flow_model::TriggerRule::ALL {
        assert!(REFERENCE.contains(&format!("| `{rule}` |")), "{rule}");
    }
}

/// docs/reference.md is written by this test when `UPDATE_DOCS` is set.
#[test]
fn the_page_of_keys_is_made_from_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let page = flow_dagfile::reference::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference.md is not what the types say\nhint: UPDATE_DOCS=1 cargo test -p flow-dagfile"
    );
}

#[test]
fn every_operator_has_an_example_that_is_good() {
    let operators = flow_dagfile::reference::sections().into_iter().filter(|section| section.short_form.is_some());
    for operator in operators {
        let example = operator.example.unwrap_or_else(|| panic!("`{}` has no example", operator.name));
        assert!(example.contains(&operator.name), "the example of `{}` is about something else", operator.name);
        assert!(!operator.description.contains("```"), "{}", operator.description);
        let file = check_text("example.toml", &example, None);
        assert!(file.result.is_ok(), "`{}`: {}", operator.name, render(&file, false));
    }
}
