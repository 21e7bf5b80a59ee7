//! Packages that Python code needs: a list, a file, or what a script says itself.

use std::collections::BTreeSet;

use flow_model::operator::{Python, Requirements};
use flow_model::python_version;

use super::files::Files;
use crate::diagnostic::Problems;
use crate::python::metadata;
use crate::tree::Node;

/// Options of a file of requirements that name another one.
const NAMING: [&str; 4] = ["--requirement", "--constraint", "-r", "-c"];

/// Checks the requirements, takes in what a script says itself, and returns the keys of the files that they are made of.
pub(super) fn read(
    python: &mut Python,
    node: &Node,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> BTreeSet<String> {
    take_in_metadata(python, node, files, problems);
    let mut keys = BTreeSet::new();
    let place = node.deepest(&["requirements"]);
    match &python.requirements {
        None => {
            if python.requires_python.is_some() {
                problems
                    .add(
                        node.deepest(&["requires_python"]).span.clone(),
                        "`requires_python` is for tasks with `requirements`",
                    )
                    .hint("without them the `interpreter` runs the code as it is");
            }
        }
        Some(Requirements::List(list)) => check_list(list, place, problems),
        Some(Requirements::File(path)) => follow(path, place, files, problems, &mut keys),
    }
    if let Some(Err(why)) = python.requires_python.as_deref().map(python_version::check) {
        problems
            .add(node.deepest(&["requires_python"]).span.clone(), why)
            .hint("for instance requires_python = \">=3.11,<3.13\"");
    }
    keys
}

/// A block `# /// script` in the code or the script.
fn take_in_metadata(python: &mut Python, node: &Node, files: &Files<'_>, problems: &mut Problems) {
    let text = match (&python.script, &python.code) {
        (Some(script), _) => files.text_of(&files.relative_to_root(script)),
        (None, code) => code.clone(),
    };
    let place = node.deepest(&[if python.script.is_some() { "script" } else { "code" }]);
    match text.as_deref().map(metadata) {
        None | Some(Ok(None)) => {}
        Some(Ok(Some(_))) if python.requirements.is_some() => {
            problems
                .add(place.span.clone(), "the task has `requirements`, and its code a block `# /// script`")
                .hint("keep one of them");
        }
        Some(Ok(Some(metadata))) => {
            python.requirements = Some(Requirements::List(metadata.dependencies));
            python.requires_python = python.requires_python.take().or(metadata.requires_python);
        }
        Some(Err(why)) => {
            problems.add(place.span.clone(), why).hint("https://peps.python.org/pep-0723 shows how it is written");
        }
    }
}

fn check_list(list: &[String], place: &Node, problems: &mut Problems) {
    for (requirement, written) in list.iter().zip(place.items()) {
        if requirement.trim().is_empty() || requirement.contains('\n') {
            problems
                .add(written.span.clone(), format!("`{}` is not one requirement", requirement.trim()))
                .hint("write each as a text of its own: [\"pandas==2.2\", \"requests<3\"]");
        }
    }
}

/// A file of requirements, and those that it names.
fn follow(path: &str, place: &Node, files: &mut Files<'_>, problems: &mut Problems, keys: &mut BTreeSet<String>) {
    let Some(key) = files.add(path, place, problems) else { return };
    if !keys.insert(key.clone()) {
        return;
    }
    let text = files.text_of(&files.relative_to_root(&key)).unwrap_or_default();
    let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in text.lines().map(str::trim) {
        let named = NAMING.iter().find_map(|option| line.strip_prefix(option));
        let named = named.map(|rest| rest.trim_start_matches(['=', ' ']).split(" #").next().unwrap_or_default().trim());
        if let Some(named) = named.filter(|named| !named.is_empty() && !named.contains("://")) {
            let beside = if folder.is_empty() { named.to_owned() } else { format!("{folder}/{named}") };
            follow(&beside, place, files, problems, keys);
        }
    }
}
