//! The pod that a cluster is asked for.

use flow_model::operator::KubernetesPod;
use flow_store::WorkOrder;
use serde_json::{Map, Value, json};

use crate::operators::KubernetesWork;

/// The container that is the task's.
pub(crate) const CONTAINER: &str = "base";
/// Where it leaves named XComs: what is in it comes back with its status, up to 4 KiB.
pub(crate) const XCOM_FILE: &str = "/dev/termination-log";

/// Names and values of labels have at most so many characters.
const LABEL_CHARS_MAX: usize = 63;
/// Of the pod's name, for people.
const READABLE_CHARS_MAX: usize = 30;

/// Which try a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Follows from the task instance and the try: a pod of that name that exists already is left over.
    pub name: String,
    /// The same for all tries of the task instance.
    pub task_instance: Vec<(&'static str, String)>,
    /// The try.
    pub try_number: String,
    annotations: Vec<(&'static str, String)>,
}

impl Identity {
    pub fn of(order: &WorkOrder) -> Self {
        let (dag_id, task_id) = (&order.graph.dag.dag_id, &order.task().task_id);
        let number = order.task_instance.0;
        let readable = words(&format!("{dag_id}-{task_id}"), READABLE_CHARS_MAX).to_ascii_lowercase();
        Identity {
            name: format!("flow-{readable}-{number:x}-{}", order.try_number).replace("--", "-"),
            task_instance: vec![
                ("flow/dag-id", words(dag_id, LABEL_CHARS_MAX)),
                ("flow/task-id", words(task_id, LABEL_CHARS_MAX)),
                ("flow/run-id", words(&order.run_id, LABEL_CHARS_MAX)),
                ("flow/task-instance", number.to_string()),
            ],
            try_number: order.try_number.to_string(),
            annotations: vec![
                ("flow/dag-id", dag_id.clone()),
                ("flow/run-id", order.run_id.clone()),
                ("flow/task-id", task_id.clone()),
                ("flow/map-index", order.map_index.to_string()),
            ],
        }
    }

    /// Selects the pods of all tries.
    pub fn selector(&self) -> String {
        let labels: Vec<String> = self.task_instance.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    }
}

/// What names and labels may hold of a text: letters, digits and dashes, none of these at an end.
fn words(text: &str, chars_max: usize) -> String {
    let kept: String =
        text.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).take(chars_max).collect();
    kept.trim_matches('-').to_owned()
}

/// The pod, on top of its template. `env` names the attempt; what the task sets wins over it.
pub(crate) fn manifest(work: &KubernetesWork, identity: &Identity, env: Vec<(String, String)>) -> Value {
    let asked = &work.asked;
    let mut pod = Value::Object(asked.pod_template.clone());
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    let metadata = table(&mut pod, "metadata");
    metadata.insert("name".to_owned(), json!(identity.name));
    // Two names for it would be one too many.
    metadata.remove("generateName");
    let own = identity.task_instance.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    let labels = asked.labels.clone().into_iter().chain(own);
    extend(&mut pod["metadata"], "labels", labels.chain([("flow/try-number".to_owned(), identity.try_number.clone())]));
    let annotations = identity.annotations.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    extend(&mut pod["metadata"], "annotations", annotations);
    let spec = table(&mut pod, "spec");
    spec.insert("restartPolicy".to_owned(), json!("Never"));
    if let Some(account) = &asked.service_account {
        spec.insert("serviceAccountName".to_owned(), json!(account));
    }
    if !asked.node_selector.is_empty() {
        extend(&mut pod["spec"], "nodeSelector", asked.node_selector.clone());
    }
    if !asked.tolerations.is_empty() {
        list(&mut pod["spec"], "tolerations").extend(asked.tolerations.iter().cloned().map(Value::Object));
    }
    let containers = list(&mut pod["spec"], "containers");
    if !containers.iter().any(|container| container["name"] == CONTAINER) {
        containers.insert(0, json!({ "name": CONTAINER }));
    }
    if let Some(own) = containers.iter_mut().find(|container| container["name"] == CONTAINER) {
        fill(own, asked, env.into_iter().chain(work.env.iter().cloned()));
    }
    pod
}

fn fill(container: &mut Value, asked: &KubernetesPod, env: impl Iterator<Item = (String, String)>) {
    container["image"] = json!(asked.image);
    for (key, words) in [("command", &asked.command), ("args", &asked.args)] {
        if !words.is_empty() {
            // Kubernetes would take $(NAME) for a variable, and $$ for a dollar.
            container[key] = words.iter().map(|word| json!(word.replace('$', "$$"))).collect();
        }
    }
    let variables = list(container, "env");
    for (name, value) in env {
        variables.retain(|variable| variable["name"] != name.as_str());
        variables.push(json!({ "name": name, "value": value.replace('$', "$$") }));
    }
    if !asked.resources.is_empty() {
        extend(&mut *container, "resources", []);
        extend(&mut container["resources"], "requests", asked.resources.requests.clone());
        extend(&mut container["resources"], "limits", asked.resources.limits.clone());
    }
    if let Some(policy) = asked.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    container["terminationMessagePath"] = json!(XCOM_FILE);
    container["terminationMessagePolicy"] = json!("File");
}

/// The table at a key; whatever else the template has there gives way.
fn table<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    if !value[key].is_object() {
        value[key] = json!({});
    }
    value[key].as_object_mut().expect("it is a table now")
}

fn list<'a>(value: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !value[key].is_array() {
        value[key] = json!([]);
    }
    value[key].as_array_mut().expect("it is a list now")
}

fn extend(value: &mut Value, key: &str, entries: impl IntoIterator<Item = (String, String)>) {
    table(value, key).extend(entries.into_iter().map(|(key, value)| (key, json!(value))));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Kubernetes makes of a text: `$$` is a dollar, `$(NAME)` a variable. `None`: it would look for one.
    fn expanded(text: &str) -> Option<String> {
        let (mut made, mut rest) = (String::new(), text.chars().peekable());
        while let Some(char) = rest.next() {
            match (char, rest.peek()) {
                ('$', Some('(')) => return None,
                ('$', Some('$')) => made.extend(rest.next()),
                (char, _) => made.push(char),
            }
        }
        Some(made)
    }

    proptest! {
        /// Whatever a value holds, the container sees exactly it.
        #[test]
        fn values_stay_what_they_are(value in "([$()A-Z]|\\PC){0,20}", name in "[A-Z_]{1,8}") {
            let asked: KubernetesPod =
                serde_json::from_value(json!({ "image": "a", "args": [value], "command": [value] })).unwrap();
            let work = KubernetesWork { asked, env: vec![(name.clone(), value.clone())] };
            let identity =
                Identity { name: "a".to_owned(), task_instance: Vec::new(), try_number: "1".to_owned(), annotations: Vec::new() };
            let own = &manifest(&work, &identity, vec![(name, "of the attempt".to_owned())])["spec"]["containers"][0];
            for sent in [&own["args"][0], &own["command"][0], &own["env"][0]["value"]] {
                prop_assert_eq!(expanded(sent.as_str().unwrap()), Some(value.clone()));
            }
            prop_assert_eq!(own["env"].as_array().unwrap().len(), 1);
        }

        /// Names and labels are what Kubernetes takes, whatever the DAG is called.
        #[test]
        fn names_are_names(text in "\\PC{0,80}") {
            let word = words(&text, LABEL_CHARS_MAX);
            prop_assert!(word.len() <= LABEL_CHARS_MAX);
            prop_assert!(word.chars().all(|char| char.is_ascii_alphanumeric() || char == '-'));
            prop_assert!(!word.starts_with('-') && !word.ends_with('-'));
        }
    }

    #[test]
    fn a_template_that_is_no_pod_gives_way() {
        let template = json!({ "metadata": "x", "spec": { "containers": "y", "nodeSelector": 3 } });
        let asked = json!({ "image": "a", "node_selector": { "disk": "ssd" }, "pod_template": template });
        let work = KubernetesWork { asked: serde_json::from_value(asked).unwrap(), env: Vec::new() };
        let identity = Identity {
            name: "a".to_owned(),
            task_instance: Vec::new(),
            try_number: "1".to_owned(),
            annotations: Vec::new(),
        };
        let pod = manifest(&work, &identity, Vec::new());
        assert_eq!(pod["spec"]["containers"][0]["image"], "a");
        assert_eq!(pod["spec"]["nodeSelector"], json!({ "disk": "ssd" }));
    }
}
