//! What templates come to, with names of our own in place of a run's.

mod values;

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::Value as Json;

use crate::{Renderer, Scope, from_json};

/// Names for templates: the keys of a table.
#[derive(Debug)]
struct Names(Json);

impl Object for Names {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).map(from_json)
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
