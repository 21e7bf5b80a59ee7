//! What the types of `bash` and `python` cannot say, and which files of ours a task's program needs.

use std::collections::BTreeSet;

use flow_model::Task;
use flow_model::operator::{Bash, Operator, Plugin, Python};
use flow_model::suggest::listed;

use super::files::Files;
use super::layout::Placed;
use super::modules::Modules;
use super::requirements;
use crate::diagnostic::Problems;
use crate::tree::Node;

/// Operators whose work is a process, which may find files.
const PROGRAMS: [&str; 7] = ["bash", "command", "python", "plugin", "branch", "short_circuit", "command_sensor"];

pub(super) fn check_bash(bash: &Bash, node: &Node, problems: &mut Problems) {
    let ways = [("command", bash.command.as_deref()), ("script", bash.script.as_deref())];
    one_of("bash", &ways, node, problems);
    if bash.template.is_some() && bash.script.is_none() {
        problems
            .add(node.deepest(&["template"]).span.clone(), "`template` is about a `script`, and there is none")
            .hint("take it away: `bash` in the DAG file is a template");
    }
}

pub(super) fn check_python(python: &Python, node: &Node, problems: &mut Problems) {
    let ways =
        [("code", python.code.as_deref()), ("script", python.script.as_deref()), ("call", python.call.as_deref())];
    one_of("python", &ways, node, problems);
    match &python.call {
        Some(call) => {
            if !is_call(call) {
                problems
                    .add(node.deepest(&["call"]).span.clone(), format!("`{call}` names no function"))
                    .hint("write `package.module:function`, for instance call = \"sales.load:orders\"");
            }
            if !python.args.is_empty() {
                problems
                    .add(node.deepest(&["args"]).span.clone(), "a function that is called has no `args`")
                    .hint("give it values by name: with = { day = \"{{ ds }}\" }");
            }
        }
        // Where nothing runs, that is the mistake.
        None if !python.with.is_empty() && (python.code.is_some() || python.script.is_some()) => {
            problems
                .add(node.deepest(&["with"]).span.clone(), "`with` holds the arguments of a `call`, and there is none")
                .absent(["call"])
                .hint("in code and scripts, `import flow` has `flow.params`, `flow.context` and `flow.xcom(...)`");
        }
        None => {}
    }
}

/// The keys of the files that a task's program needs besides what its operator names.
pub(super) fn files(
    placed: &Placed<'_>,
    read: &mut Task,
    files: &mut Files<'_>,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> Vec<String> {
    let (task, operator) = (&placed.entry.node, &mut read.operator);
    let own = task.entry("files");
    let is_program = PROGRAMS.contains(&operator.name());
    if let Some(own) = own
        && !is_program
    {
        problems
            .add(own.key_span.clone(), format!("`files` cannot be used with `{}`", operator.name()))
            .hint(format!("it is for the operators {}", listed(PROGRAMS)));
    }
    if !is_program || !files.can_look() {
        return Vec::new();
    }
    let node = task.deepest(&[operator.name()]);
    let mut keys = match operator {
        Operator::Python(python) => {
            let mut keys = of_python(python, node, files, problems, warnings);
            keys.extend(requirements::read(python, node, files, problems));
            keys
        }
        Operator::Plugin(plugin) => of_plugin(plugin, node.deepest(&["name"]), files, problems),
        _ => BTreeSet::new(),
    };
    if let (Operator::Python(python), Some(output)) = (operator, task.entry("output"))
        && python.call.is_some()
    {
        problems
            .add(output.key_span.clone(), "what a function returns is its output, so there is no other `output`")
            .hint("take `output` away");
    }
    let place = own.map_or(&task.span, |own| &own.node.span);
    let place = Node { span: place.clone(), ..node.clone() };
    for pattern in &read.files {
        keys.extend(files.add_matching(pattern, &place, problems));
    }
    keys.into_iter().collect()
}

/// The modules of ours that Python code imports.
fn of_python(
    python: &Python,
    node: &Node,
    files: &mut Files<'_>,
    problems: &mut Problems,
    warnings: &mut Problems,
) -> BTreeSet<String> {
    match (&python.call, &python.script, &python.code) {
        (Some(call), ..) if is_call(call) => {
            Modules::new(files, None).of_call(call, node.deepest(&["call"]), problems, warnings)
        }
        (None, Some(script), _) => {
            let Some(text) = files.text_of(&files.relative_to_root(script)) else { return BTreeSet::new() };
            Modules::new(files, Some(script)).of_source(script, &text, node.deepest(&["script"]), problems)
        }
        (None, None, Some(code)) => {
            Modules::new(files, None).of_source("code", code, node.deepest(&["code"]), problems)
        }
        _ => BTreeSet::new(),
    }
}

/// The modules beside a plugin that is a Python script. Python itself looks there, and nowhere else in the DAG folder.
fn of_plugin(plugin: &Plugin, node: &Node, files: &mut Files<'_>, problems: &mut Problems) -> BTreeSet<String> {
    let published = plugin.published_path().and_then(|path| {
        let text = files.text_of(&files.relative_to_root(&path))?;
        Some((path, text))
    });
    let is_python =
        |text: &str| text.lines().next().is_some_and(|line| line.starts_with("#!") && line.contains("python"));
    match published {
        Some((path, text)) if is_python(&text) => Modules::beside(files, &path).of_source(&path, &text, node, problems),
        _ => BTreeSet::new(),
    }
}

/// Whether it is `package.module:function`.
fn is_call(text: &str) -> bool {
    let is_name = |name: &str| {
        let mut characters = name.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|character| character.is_alphanumeric() || character == '_')
    };
    let is_dotted = |text: &str| text.split('.').all(is_name);
    text.split_once(':').is_some_and(|(module, function)| is_dotted(module) && is_dotted(function))
}

/// Exactly one of several ways to say what is run, and not nothing.
fn one_of(operator: &str, ways: &[(&'static str, Option<&str>)], node: &Node, problems: &mut Problems) {
    let given: Vec<(&'static str, &str)> = ways.iter().filter_map(|(name, text)| Some((*name, (*text)?))).collect();
    match given.as_slice() {
        [] => {
            let names = ways.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
            problems
                .add(node.span.clone(), format!("`{operator}` has nothing to run"))
                .absent(ways.iter().map(|(name, _)| *name))
                .hint(format!("give it {names}"));
        }
        [(name, text)] if text.trim().is_empty() => {
            problems
                .add(node.deepest(&[name]).span.clone(), format!("the text of `{operator}` is empty"))
                .hint("write what it runs; a task that does nothing is `noop = true`");
        }
        [_] => {}
        [(first, _), .., (last, _)] => {
            problems
                .add(node.deepest(&[last]).span.clone(), format!("`{operator}` has both `{first}` and `{last}`"))
                .hint("keep one of them");
        }
    }
}
