//! What tasks do. [`prepare`] renders a task's fields into [`Work`]; the attempt carries it out.

mod ask;
mod choice;
mod docker;
mod http;
mod kubernetes;
pub(crate) mod notice;
mod plugin;
pub(crate) mod process;
mod sensor;
mod sql;
mod trigger_dag;

use std::time::Duration;

use flow_model::Timestamp;
pub(crate) use flow_model::error_chain as chain;
use flow_model::operator::Operator;
use flow_model::question::Question;
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

pub use docker::DockerWork;
pub use http::{HttpClient, HttpWork};
pub use kubernetes::KubernetesWork;
pub use notice::Notice;
pub use plugin::{Conversation, PluginResult, PluginWork, Until};
pub use process::{ProcessWork, Program, PythonCode, PythonProgram, ScriptFile};
pub use sensor::{Look, SensorWork};
pub use sql::{SqlWork, Statements};
pub use trigger_dag::TriggerDagWork;

/// A task with every template rendered.
#[derive(Debug)]
pub enum Work {
    /// A process to run.
    Process(ProcessWork),
    /// A process that speaks the plugin protocol.
    Plugin(Box<PluginWork>),
    /// A container to run.
    Docker(Box<DockerWork>),
    /// A pod to run.
    KubernetesPod(Box<KubernetesWork>),
    /// A request to send.
    Http(Box<HttpWork>),
    /// Time to pass.
    Sleep(Duration),
    /// Nothing to do but to leave a value that is known already.
    Value(Value),
    /// Statements for a database.
    Sql(Box<SqlWork>),
    /// A message to send.
    Notice(Box<Notice>),
    /// A question to ask people.
    Ask(Box<Question>),
    /// A run of another DAG to start.
    TriggerDag(Box<TriggerDagWork>),
    /// Time to pass in the triggerer.
    DeferredSleep(Duration),
    /// Something to wait for.
    Sensor(Box<SensorWork>),
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
    /// What this instance of a mapped task is called.
    pub map_label: Option<String>,
}

/// Renders the task of an order. `now` is for what depends on the present, `file` is the text of the task's file that may be a
/// template.
///
/// # Errors
/// A template is broken or names what does not exist; or an XCom has to be fetched first.
pub fn prepare(
    order: &WorkOrder,
    now: Timestamp,
    file: Option<&str>,
    renderer: &Renderer,
) -> Result<Prepared, TemplateError> {
    let task = order.task();
    let mut rendered = Map::new();
    let work = match &task.operator {
        Operator::Bash(bash) => Work::Process(process::bash(task, bash, file, renderer, &mut rendered)?),
        Operator::Command(command) => Work::Process(process::command(task, command, renderer, &mut rendered)?),
        Operator::Python(python) => Work::Process(process::python(task, python, renderer, &mut rendered)?),
        Operator::Http(http) => Work::Http(Box::new(http::prepare(http, renderer, &mut rendered)?)),
        Operator::Sql(sql) => Work::Sql(Box::new(sql::prepare(sql, file, renderer, &mut rendered)?)),
        Operator::Webhook(webhook) => {
            Work::Notice(Box::new(notice::webhook(webhook, notice::what(order), renderer, &mut rendered)?))
        }
        Operator::Slack(slack) => Work::Notice(Box::new(notice::slack(slack, renderer, &mut rendered)?)),
        Operator::Email(email) => Work::Notice(Box::new(notice::email(email, renderer, &mut rendered)?)),
        Operator::Plugin(plugin) => Work::Plugin(Box::new(plugin::prepare(task, plugin, renderer, &mut rendered)?)),
        Operator::KubernetesPod(pod) => {
            Work::KubernetesPod(Box::new(kubernetes::prepare(task, pod, renderer, &mut rendered)?))
        }
        Operator::Docker(docker) => Work::Docker(Box::new(docker::prepare(task, docker, renderer, &mut rendered)?)),
        Operator::Sleep(sleep) => {
            rendered.insert("duration".to_owned(), json!(flow_model::time::duration_text::format(sleep.duration)));
            if sleep.deferrable { Work::DeferredSleep(sleep.duration) } else { Work::Sleep(sleep.duration) }
        }
        Operator::Branch(branch) => choice::branch(order, branch, now, renderer, &mut rendered)?,
        Operator::ShortCircuit(short) => choice::short_circuit(task, short, renderer, &mut rendered)?,
        Operator::TriggerDag(asked) => {
            Work::TriggerDag(Box::new(trigger_dag::prepare(asked, renderer, &mut rendered)?))
        }
        Operator::LatestOnly(_) => Work::Value(json!(choice::is_latest(order, now))),
        Operator::Approval(approval) => Work::Ask(Box::new(ask::approval(approval, now, renderer, &mut rendered)?)),
        Operator::Form(form) => Work::Ask(Box::new(ask::form(form, now, renderer, &mut rendered)?)),
        Operator::Noop(_) => Work::Noop,
        sensor => match sensor::prepare(task, sensor, renderer, &mut rendered)? {
            Some(work) => Work::Sensor(Box::new(work)),
            None => Work::Noop,
        },
    };
    let template = task.map_index_template.as_ref().filter(|_| order.map_index >= 0);
    let map_label = template.map(|template| renderer.text("map_index_template", template)).transpose()?;
    Ok(Prepared { work, rendered, map_label })
}

#[cfg(test)]
mod declared;
