//! The `kubernetes_pod` operator: what the pod is made of, with every template rendered.

use flow_model::Task;
use flow_model::operator::KubernetesPod;
use serde_json::{Map, Value, json};

use super::docker::{pairs, variables};
use super::process;
use crate::template::{Renderer, TemplateError};

/// A pod to run.
#[derive(Debug)]
pub struct KubernetesWork {
    /// The operator, rendered.
    pub asked: KubernetesPod,
    /// What the task and the operator set in the environment; a later value wins.
    pub env: Vec<(String, String)>,
}

impl KubernetesWork {
    /// What is kept in the cluster, and read by everybody who may look at pods; all but the environment.
    pub fn kept(&self) -> Value {
        let KubernetesPod { image, command, args, labels, namespace, .. } = &self.asked;
        json!([image, command, args, labels, namespace, self.asked.pod_template])
    }
}

pub(super) fn prepare(
    task: &Task,
    pod: &KubernetesPod,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<KubernetesWork, TemplateError> {
    let mut env = process::environment(task, renderer, rendered)?;
    env.extend(variables(&pod.env, renderer)?);
    if !env.is_empty() {
        rendered.insert("env".to_owned(), env.iter().map(|(name, value)| (name.clone(), json!(value))).collect());
    }
    let list = |field: &str, items: &[String]| {
        items.iter().map(|item| renderer.text(field, item)).collect::<Result<Vec<_>, _>>()
    };
    let mut asked = pod.clone();
    asked.image = renderer.image("image", &pod.image)?;
    asked.command = list("command", &pod.command)?;
    asked.args = list("args", &pod.args)?;
    asked.namespace = pod.namespace.as_ref().map(|text| renderer.text("namespace", text)).transpose()?;
    asked.labels = pairs("labels", &pod.labels, renderer)?.into_iter().collect();
    rendered.insert("image".to_owned(), json!(asked.image));
    for (field, words) in [("command", &asked.command), ("args", &asked.args)] {
        if !words.is_empty() {
            rendered.insert(field.to_owned(), json!(words));
        }
    }
    Ok(KubernetesWork { asked, env })
}
