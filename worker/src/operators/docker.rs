//! The `docker` operator: what the container is made of, with every template rendered.

use std::collections::BTreeMap;

use flow_model::Task;
use flow_model::operator::Docker;
use serde_json::{Map, Value, json};

use super::process;
use crate::template::{Renderer, TemplateError};

/// A container to run.
#[derive(Debug)]
pub struct DockerWork {
    /// The operator, rendered.
    pub asked: Docker,
    /// What the task and the operator set in the environment; a later value wins.
    pub env: Vec<(String, String)>,
}

impl DockerWork {
    /// What everybody can read who may look at the machine's containers or processes.
    pub fn command_line(&self) -> impl Iterator<Item = &String> {
        let Docker { image, command, entrypoint, labels, .. } = &self.asked;
        std::iter::once(image).chain(command).chain(entrypoint.iter().flatten()).chain(labels.values())
    }
}

pub(super) fn prepare(
    task: &Task,
    docker: &Docker,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<DockerWork, TemplateError> {
    let mut env = process::environment(task, renderer, rendered)?;
    env.extend(variables(&docker.env, renderer)?);
    if !env.is_empty() {
        rendered.insert("env".to_owned(), env.iter().map(|(name, value)| (name.clone(), json!(value))).collect());
    }
    let text =
        |field: &str, source: &Option<String>| source.as_ref().map(|source| renderer.text(field, source)).transpose();
    let list = |field: &str, items: &[String]| {
        items.iter().map(|item| renderer.text(field, item)).collect::<Result<Vec<_>, _>>()
    };
    let mut asked = docker.clone();
    asked.image = renderer.image("image", &docker.image)?;
    asked.command = list("command", &docker.command)?;
    asked.entrypoint = docker.entrypoint.as_ref().map(|items| list("entrypoint", items)).transpose()?;
    let path = |field: &str, source: &str| renderer.path(field, source, str::to_owned);
    asked.working_dir = docker.working_dir.as_ref().map(|source| path("working_dir", source)).transpose()?;
    asked.user = text("user", &docker.user)?;
    asked.network = text("network", &docker.network)?;
    asked.labels = pairs("labels", &docker.labels, renderer)?.into_iter().collect();
    for mount in &mut asked.mounts {
        mount.source = mount.source.as_ref().map(|source| path("mounts.source", source)).transpose()?;
        mount.target = path("mounts.target", &mount.target)?;
    }
    rendered.insert("image".to_owned(), json!(asked.image));
    if !asked.command.is_empty() {
        rendered.insert("command".to_owned(), json!(asked.command));
    }
    Ok(DockerWork { asked, env })
}

/// Rendered environment variables.
pub(super) fn variables(
    entries: &BTreeMap<String, String>,
    renderer: &Renderer,
) -> Result<Vec<(String, String)>, TemplateError> {
    let variable =
        |(name, value): (&String, &String)| Ok((name.clone(), renderer.variable(&format!("env.{name}"), name, value)?));
    entries.iter().map(variable).collect()
}

/// Rendered texts by name.
pub(super) fn pairs(
    field: &str,
    entries: &BTreeMap<String, String>,
    renderer: &Renderer,
) -> Result<Vec<(String, String)>, TemplateError> {
    entries.iter().map(|(name, value)| Ok((name.clone(), renderer.text(&format!("{field}.{name}"), value)?))).collect()
}
