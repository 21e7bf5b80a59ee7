//! What templates come to, with names of our own in place of a run's.

mod anything;
mod languages;
mod recorded;
mod risky;
mod shell;
mod values;

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use proptest::test_runner::Config;
use serde_json::Value as Json;

use crate::{Renderer, Scope, from_json};

/// Names for templates: the keys of a table.
#[derive(Debug)]
struct Names(Json);

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "at" => Some(crate::DateValue::value("2026-03-05T06:30:00Z".parse().ok()?)),
            name => self.0.get(name).map(from_json),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl Scope for Names {
    fn knows(&self, path: &str) -> bool {
        self.0.pointer(&format!("/{}", path.replace('.', "/"))).is_some()
    }

    fn hint_for(&self, path: &str) -> String {
        format!("define `{path}`")
    }
}

/// A renderer with names.
fn renderer(names: Json) -> Renderer {
    Renderer::new(Arc::new(Names(names)))
}

/// How many examples a property is tried with: `PROPTEST_CASES`, or so many.
fn examples(usually: u32) -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config { failure_persistence: None, ..Config::default() };
    if asked { config } else { Config { cases: usually, ..config } }
}
