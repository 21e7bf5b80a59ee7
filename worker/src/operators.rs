//! What tasks do. [`prepare`] renders a task's fields into [`Work`]; the attempt carries it out.

mod http;
mod process;

use std::time::Duration;

use flow_model::Task;
use flow_model::operator::Operator;
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

pub use http::{HttpClient, HttpWork};
pub use process::{ProcessWork, Program, ScriptFile};

/// A task with every template rendered.
#[derive(Debug)]
pub enum Work {
    /// A process to run.
    Process(ProcessWork),
    /// A request to send.
    Http(Box<HttpWork>),
    /// Time to pass.
    Sleep(Duration),
    /// Nothing.
    Noop,
}

/// Rendered work, and the rendered fields to show to people.
#[derive(Debug)]
pub struct Prepared {
    /// What to do.
    pub work: Work,
    /// The rendered fields by name.
    pub rendered: Map<String, Value>,
}

/// Renders a task.
///
/// # Errors
/// A template is broken or names what does not exist; or an XCom has to be fetched first.
pub fn prepare(task: &Task, renderer: &Renderer) -> Result<Prepared, TemplateError> {
    let mut rendered = Map::new();
    let work = match &task.operator {
        Operator::Bash(bash) => Work::Process(process::bash(task, bash, renderer, &mut rendered)?),
        Operator::Command(command) => Work::Process(process::command(task, command, renderer, &mut rendered)?),
        Operator::Python(python) => Work::Process(process::python(task, python, renderer, &mut rendered)?),
        Operator::Http(http) => Work::Http(Box::new(http::prepare(http, renderer, &mut rendered)?)),
        Operator::Sleep(sleep) => {
            rendered.insert("duration".to_owned(), json!(flow_model::time::duration_text::format(sleep.duration)));
            Work::Sleep(sleep.duration)
        }
        Operator::Noop(_) => Work::Noop,
    };
    Ok(Prepared { work, rendered })
}
