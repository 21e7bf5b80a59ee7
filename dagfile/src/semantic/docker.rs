//! What the type of the `docker` operator cannot say.

use flow_model::operator::Docker;
use flow_model::operator::docker::{Mount, MountType, memory_bytes};

use crate::diagnostic::Problems;
use crate::tree::Node;

/// Labels by which Flow finds its own containers begin with this.
const OWN_LABELS: &str = "flow.";

pub(super) fn check(docker: &Docker, node: &Node, problems: &mut Problems) {
    let place = |path: &[&str]| node.deepest(path).span.clone();
    let image = docker.image.trim();
    if image.is_empty() {
        problems.add(place(&["image"]), "the image has no name").hint("for instance docker = \"python:3.13-slim\"");
    } else if !is_template(image) && image.contains(char::is_whitespace) {
        problems
            .add(place(&["image"]), format!("`{image}` is not the name of an image"))
            .hint("what is run in it goes into `command`, a list");
    }
    if docker.entrypoint.as_ref().is_some_and(Vec::is_empty) && docker.command.is_empty() {
        problems
            .add(place(&["entrypoint"]), "without an entrypoint, there is nothing to run")
            .hint("say what is run in `command`");
    }
    check_limits(docker, node, problems);
    for (mount, written) in docker.mounts.iter().zip(node.deepest(&["mounts"]).items()) {
        check_mount(mount, written, problems);
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
                .hint("labels that begin with `flow.` say which try a container belongs to: take another name");
        }
    }
    if let Some(socket) = &docker.socket
        && !["unix:///", "tcp://"].iter().any(|scheme| socket.starts_with(scheme))
    {
        problems
            .add(place(&["socket"]), format!("`{socket}` is not the address of a Docker daemon"))
            .hint("for instance \"unix:///var/run/docker.sock\" or \"tcp://127.0.0.1:2375\"");
    }
    if let Some(platform) = &docker.platform
        && platform.split('/').any(str::is_empty)
    {
        problems
            .add(place(&["platform"]), format!("`{platform}` is not a platform"))
            .hint("for instance \"linux/arm64\"");
    }
}

fn check_limits(docker: &Docker, node: &Node, problems: &mut Problems) {
    let place = |key: &str| node.deepest(&["limits", key]).span.clone();
    if let Some(cpus) = docker.limits.cpus
        && !(cpus.is_finite() && cpus >= 0.01)
    {
        problems.add(place("cpus"), "`cpus` must be at least 0.01").hint("for instance 1.5");
    }
    if let Some(memory) = &docker.limits.memory {
        match memory_bytes(memory) {
            Err(why) => {
                problems.add(place("memory"), why).hint("a number with `k`, `m` or `g` behind it");
            }
            // Docker refuses less.
            Ok(bytes) if bytes < 6 << 20 => {
                problems.add(place("memory"), "`memory` must be at least 6m").hint("for instance \"512m\"");
            }
            Ok(_) => {}
        }
    }
}

fn check_mount(mount: &Mount, node: &Node, problems: &mut Problems) {
    let place = |key: &str| node.deepest(&[key]).span.clone();
    let is_absolute = |path: &str| path.starts_with('/') || is_template(path);
    if !is_absolute(&mount.target) {
        problems
            .add(place("target"), format!("`{}` is not an absolute path in the container", mount.target))
            .hint("it begins with `/`");
    }
    match (mount.kind, mount.source.as_deref()) {
        (MountType::Bind, None) => {
            problems
                .add(node.span.clone(), "a bind mount has no `source`")
                .hint("name the path on the machine, or set type = \"volume\"");
        }
        (MountType::Bind, Some(source)) if !is_absolute(source) => {
            problems
                .add(place("source"), format!("`{source}` is not an absolute path on the machine"))
                .hint("it begins with `/`; the name of a volume needs type = \"volume\"");
        }
        (MountType::Volume, Some(source)) if source.starts_with('/') => {
            problems
                .add(place("source"), format!("`{source}` is a path, not the name of a volume"))
                .hint("a path needs type = \"bind\"");
        }
        (MountType::Tmpfs, Some(_)) => {
            problems
                .add(place("source"), "a tmpfs has no `source`: it is memory")
                .hint("take `source` away, or set another `type`");
        }
        _ => {}
    }
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}
