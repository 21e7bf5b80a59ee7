//! The `plugin` operator: an executable that speaks the protocol of docs/plugins.md.

mod conversation;

use flow_model::Task;
use flow_model::operator::Plugin;
use serde_json::{Map, Value};

use super::process::{self, ProcessWork, Program};
use crate::template::{Renderer, TemplateError};

pub use conversation::{Conversation, PluginResult, Until};

/// A plugin with what it is told.
#[derive(Debug)]
pub struct PluginWork {
    /// The plugin's name.
    pub name: String,
    /// Its `with`, rendered.
    pub with: Value,
    /// Its process.
    pub process: ProcessWork,
}

pub(super) fn prepare(
    task: &Task,
    plugin: &Plugin,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<PluginWork, TemplateError> {
    let with = renderer.json("with", &Value::Object(plugin.with.clone()))?;
    rendered.insert("with".to_owned(), with.clone());
    let env = process::environment(task, renderer, rendered)?;
    let program = Program::Plugin { name: plugin.name.clone() };
    let process = process::finish(task, program, Vec::new(), env, None, &[], renderer)?;
    Ok(PluginWork { name: plugin.name.clone(), with, process })
}
