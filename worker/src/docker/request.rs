//! The container that a daemon is asked for.

use std::collections::BTreeMap;

use flow_model::operator::Docker;
use flow_model::operator::docker::{Limits, Mount, memory_bytes};
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use crate::operators::DockerWork;

/// Characters of a container's name that tell its task.
const NAME_CHARS_MAX: usize = 100;

/// Which attempt a container belongs to: what it is called, and the labels by which it is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Unlike that of any other attempt.
    pub name: String,
    /// The same for all tries of the task instance.
    pub task_instance: Vec<(&'static str, String)>,
    /// The try.
    pub try_number: u32,
    claim: String,
}

impl Identity {
    pub fn of(order: &WorkOrder) -> Self {
        let (dag_id, task_id) = (&order.graph.dag.dag_id, &order.task().task_id);
        let readable: String = format!("{dag_id}.{task_id}")
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '_' })
            .take(NAME_CHARS_MAX)
            .collect();
        let claim = format!("{:x}", order.claim.0);
        Identity {
            name: format!("flow-{readable}-{}-{claim}", order.try_number),
            task_instance: vec![
                ("flow.dag_id", dag_id.clone()),
                ("flow.run_id", order.run_id.clone()),
                ("flow.task_id", task_id.clone()),
                ("flow.map_index", order.map_index.to_string()),
                ("flow.task_instance", order.task_instance.0.to_string()),
            ],
            try_number: order.try_number,
            claim,
        }
    }

    /// The `filters` of a list of the task instance's containers.
    pub fn filters(&self) -> Value {
        let labels: Vec<String> = self.task_instance.iter().map(|(key, value)| format!("{key}={value}")).collect();
        json!({ "label": labels })
    }

    fn labels(&self) -> impl Iterator<Item = (String, String)> {
        let own = [("flow.try_number", self.try_number.to_string()), ("flow.claim", self.claim.clone())];
        self.task_instance.clone().into_iter().chain(own).map(|(key, value)| (key.to_owned(), value))
    }
}

/// The body of the request that creates the container. `env` names the attempt; what the task sets wins over it.
pub(crate) fn body(work: &DockerWork, identity: &Identity, env: Vec<(String, String)>) -> Value {
    let Docker { image, command, entrypoint, mounts, working_dir, user, network, limits, labels, .. } = &work.asked;
    let env: BTreeMap<&str, &str> =
        env.iter().chain(&work.env).map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let env: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels: Map<String, Value> = labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .chain(identity.labels())
        .map(|(key, value)| (key, Value::String(value)))
        .collect();
    let mut body = json!({
        "Image": image,
        "Env": env,
        "Labels": labels,
        "Tty": false,
        "HostConfig": host_config(mounts, network.as_deref(), limits),
    });
    if !command.is_empty() {
        body["Cmd"] = json!(command);
    }
    for (key, value) in [("WorkingDir", working_dir), ("User", user)] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    if let Some(entrypoint) = entrypoint {
        // Docker takes an empty list for "as the image says", and a list with an empty text for "none".
        body["Entrypoint"] = if entrypoint.is_empty() { json!([""]) } else { json!(entrypoint) };
    }
    body
}

fn host_config(mounts: &[Mount], network: Option<&str>, limits: &Limits) -> Value {
    // The worker removes it: a daemon that does so itself leaves nobody time to ask how it ended.
    let mut host = json!({ "AutoRemove": false });
    if !mounts.is_empty() {
        host["Mounts"] = mounts
            .iter()
            .map(|mount| {
                json!({
                    "Type": mount.kind, "Source": mount.source.as_deref().unwrap_or_default(), "Target": mount.target,
                    "ReadOnly": mount.read_only,
                })
            })
            .collect();
    }
    if let Some(network) = network {
        host["NetworkMode"] = json!(network);
    }
    if let Some(cpus) = limits.cpus {
        host["NanoCpus"] = json!((cpus * 1e9).round() as i64);
    }
    if let Some(bytes) = limits.memory.as_deref().and_then(|memory| memory_bytes(memory).ok()) {
        host["Memory"] = json!(bytes);
    }
    if let Some(pids) = limits.pids {
        host["PidsLimit"] = json!(pids);
    }
    host
}

#[cfg(test)]
mod tests {
    use flow_model::operator::docker::MountType;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a value holds, it stays the one argument, variable, path or label that it is.
        #[test]
        fn values_stay_what_they_are(value in any::<String>(), name in "[A-Z_]{1,8}") {
            let asked: Docker = serde_json::from_value(json!({
                "image": "a", "command": ["run", value], "entrypoint": [value], "labels": { "team": value },
                "mounts": [{ "type": "bind", "source": value, "target": "/a" }],
            })).unwrap();
            prop_assert_eq!(asked.mounts[0].kind, MountType::Bind);
            let work = DockerWork { asked, env: vec![(name.clone(), value.clone())] };
            let identity = Identity { name: "flow-a".to_owned(), task_instance: Vec::new(), try_number: 1, claim: "7".to_owned() };
            let sent = body(&work, &identity, Vec::new()).to_string();
            let read: Value = serde_json::from_str(&sent).unwrap();
            prop_assert_eq!(&read["Cmd"], &json!(["run", value]));
            prop_assert_eq!(&read["Entrypoint"], &json!([value]));
            prop_assert_eq!(&read["Env"], &json!([format!("{name}={value}")]));
            prop_assert_eq!(&read["Labels"]["team"], &json!(value));
            prop_assert_eq!(&read["HostConfig"]["Mounts"][0]["Source"], &json!(value));
            prop_assert_eq!(read["HostConfig"].as_object().unwrap().len(), 2);
        }
    }

    #[test]
    fn no_entrypoint_is_not_the_images_entrypoint() {
        let asked: Docker =
            serde_json::from_value(json!({ "image": "a", "command": ["b"], "entrypoint": [] })).unwrap();
        let identity =
            Identity { name: "flow-a".to_owned(), task_instance: Vec::new(), try_number: 1, claim: "7".to_owned() };
        assert_eq!(body(&DockerWork { asked, env: Vec::new() }, &identity, Vec::new())["Entrypoint"], json!([""]));
    }
}
