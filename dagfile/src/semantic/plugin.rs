//! What the type of the `plugin` operator cannot say.

use std::path::{Component, Path};

use flow_model::operator::Plugin;

use super::files::Files;
use crate::diagnostic::Problems;
use crate::tree::Node;

pub(super) fn check(plugin: &Plugin, node: &Node, files: &mut Files<'_>, problems: &mut Problems) {
    let place = node.deepest(&["name"]);
    let name = plugin.name.as_str();
    if name.trim().is_empty() {
        problems
            .add(place.span.clone(), "the plugin has no name")
            .hint("name an executable in `plugins/` beside the DAG file, for instance plugin = \"greet\"");
        return;
    }
    let Some(path) = plugin.published_path() else { return };
    if !Path::new(name).components().all(|component| matches!(component, Component::Normal(_))) {
        problems
            .add(place.span.clone(), format!("`{name}` is not the name of a plugin"))
            .hint("it is the path of an executable below `plugins/`, without `.` and `..`, or an absolute path");
        return;
    }
    files.add_plugin(&path, place, problems);
}
