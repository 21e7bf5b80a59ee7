//! What the type of the `kubernetes_pod` operator cannot say.

use flow_model::operator::KubernetesPod;

use crate::diagnostic::Problems;
use crate::tree::{Kind, Node};

/// Labels by which Flow finds its own pods begin with this.
const OWN_LABELS: &str = "flow/";

pub(super) fn check(pod: &KubernetesPod, node: &Node, problems: &mut Problems) {
    let place = |path: &[&str]| node.deepest(path).span.clone();
    let image = pod.image.trim();
    if image.is_empty() {
        problems
            .add(place(&["image"]), "the image has no name")
            .hint("for instance kubernetes_pod = \"python:3.13-slim\"");
    } else if !image.contains("{{") && image.contains(char::is_whitespace) {
        problems
            .add(place(&["image"]), format!("`{image}` is not the name of an image"))
            .hint("what is run in it goes into `command` and `args`, lists");
    }
    if pod.startup_timeout.is_zero() {
        problems
            .add(place(&["startup_timeout"]), "`startup_timeout` must be longer than zero")
            .hint("for instance \"5m\"");
    }
    for entry in node.get("env").map(Node::entries).unwrap_or_default() {
        if entry.key.is_empty() || entry.key.contains('=') {
            problems
                .add(entry.key_span.clone(), format!("`{}` cannot name an environment variable", entry.key))
                .hint("names have letters, digits and `_`");
        }
    }
    for entry in node.get("labels").map(Node::entries).unwrap_or_default() {
        if entry.key.starts_with(OWN_LABELS) {
            problems
                .add(entry.key_span.clone(), format!("the label `{}` is Flow's own", entry.key))
                .hint("labels that begin with `flow/` say which try a pod belongs to: take another name");
        }
    }
    check_template(node, problems);
}

fn check_template(node: &Node, problems: &mut Problems) {
    let Some(template) = node.get("pod_template") else { return };
    for entry in template.entries() {
        if !matches!(entry.key.as_str(), "apiVersion" | "kind" | "metadata" | "spec") {
            problems
                .add(entry.key_span.clone(), format!("a pod has no `{}`", entry.key))
                .hint("a pod has `metadata` and `spec`; containers, volumes and the like are in `spec`");
        } else if matches!(entry.key.as_str(), "metadata" | "spec") && !matches!(entry.node.kind, Kind::Table(_)) {
            problems
                .add(entry.node.span.clone(), format!("`{}` of a pod is a table", entry.key))
                .hint("for instance spec = { priorityClassName = \"batch\" }");
        }
    }
    for key in ["containers", "volumes"] {
        if let Some(list) = template.get("spec").and_then(|spec| spec.get(key))
            && !matches!(list.kind, Kind::List(_))
        {
            problems
                .add(list.span.clone(), format!("`{key}` of a pod is a list of tables"))
                .hint(format!("for instance {key} = [{{ name = \"base\" }}]"));
        }
    }
    if let Some(policy) = template.get("spec").and_then(|spec| spec.get("restartPolicy"))
        && policy.text() != Some("Never")
    {
        problems
            .add(policy.span.clone(), "a task's pod is never restarted by Kubernetes")
            .hint("take `restartPolicy` away, and use the task's `retries`");
    }
}
