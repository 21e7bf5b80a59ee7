//! The templates of a file: which of its texts are some is said by the schema (`x-template`), and what they may name by the
//! file. Every one is read by the engine that renders it later.

mod names;
mod outputs;
mod texts;
mod vocabulary;

use flow_model::TemplateKind;
use flow_model::start::Start;
use flow_template::analysis::{Fault, analyse, analyse_shell_file, analyse_sql};
use flow_template::is_template;

use super::files::Files;
use super::layout::Layout;
use crate::diagnostic::{Problems, Script};
use crate::schema::{self, task_schema};
use crate::spelling::Spelling;
use crate::tree::Node;

use names::FileNames;
use texts::Text;
use vocabulary::{Place, Words};

/// The file that templates stand in.
pub(super) struct File<'a> {
    pub source: &'a str,
    pub root: &'a Node,
    pub layout: &'a Layout<'a>,
    /// Whether time alone starts its runs, so that nobody passes values.
    pub is_scheduled: bool,
    /// What starts runs from outside.
    pub starts: &'a [Start],
    /// The files that tasks name.
    pub files: &'a Files<'a>,
}

/// Checks every template of the file.
pub(super) fn check(file: &File<'_>, problems: &mut Problems, warnings: &mut Problems) {
    let names = FileNames::read(file);
    let mut checker = Checker { file, names: &names, problems, warnings };
    for entry in file.root.entries() {
        let place = match entry.key.as_str() {
            "tasks" | "task_groups" => continue,
            "default_args" => Place::Shared,
            key if key.starts_with("on_") => Place::RunCallback,
            _ => Place::Dag,
        };
        checker.walk(&entry.node, &entry.key, schema::whole(), place);
    }
    for group in &file.layout.groups {
        for entry in group.entry.node.entries() {
            let place = match entry.key.as_str() {
                "tasks" | "task_groups" => continue,
                "default_args" => Place::Shared,
                _ => Place::Dag,
            };
            checker.walk(&entry.node, &entry.key, schema::group_schema(), place);
        }
    }
    for (position, task) in file.layout.tasks.iter().enumerate() {
        for entry in task.entry.node.entries() {
            let place = match entry.key.as_str() {
                key if key.starts_with("on_") => Place::Callback(position),
                "repeat" => Place::Until(position),
                _ => Place::Task(position),
            };
            checker.walk(&entry.node, &entry.key, task_schema(), place);
        }
        checker.script(&task.entry.node, Place::Task(position));
    }
}

struct Checker<'a, 'p> {
    file: &'a File<'a>,
    names: &'a FileNames,
    problems: &'p mut Problems,
    warnings: &'p mut Problems,
}

impl Checker<'_, '_> {
    /// The value of a key of a table.
    fn walk(&mut self, node: &Node, key: &str, table: &'static serde_json::Value, place: Place) {
        if place == Place::Shared {
            for entry in node.entries() {
                let place = if entry.key.starts_with("on_") { Place::SharedCallback } else { Place::Shared };
                self.value(&entry.node, &entry.key, &table["properties"]["default_args"], place);
            }
            return;
        }
        self.value(node, key, table, place);
    }

    fn value(&mut self, node: &Node, key: &str, table: &'static serde_json::Value, place: Place) {
        let Some(schema) = table["properties"].get(key) else { return };
        let mut found = Vec::new();
        match key {
            "expand" | "expand_kwargs" => texts::collect_mapped(node, key, &mut found),
            _ => texts::collect(node, schema, key, &mut found),
        }
        for text in found {
            self.text(&text, place);
        }
    }

    fn text(&mut self, text: &Text<'_>, place: Place) {
        match text.kind {
            Some(TemplateKind::Sql) => self.query(text, place),
            Some(kind) if kind.is_template() => {
                // In shell code a comment begins where none is closed, too.
                if is_template(text.text) {
                    self.template(text, kind, place);
                }
            }
            Some(TemplateKind::Documentation) => {}
            Some(TemplateKind::Python) => self.python(text, place),
            Some(TemplateKind::Prose | TemplateKind::Data) => self.literal(text),
            Some(_) | None => self.word(text),
        }
    }

    fn template(&mut self, text: &Text<'_>, kind: TemplateKind, place: Place) {
        let words = Words { names: self.names, place };
        self.tell_all(text, analyse(text.text, kind == TemplateKind::Shell, &words));
    }

    fn query(&mut self, text: &Text<'_>, place: Place) {
        let operator = place.task().and_then(|task| self.file.layout.tasks[task].entry.node.get("sql"));
        let template = operator.and_then(|sql| sql.get("template")).and_then(Node::boolean);
        let words = Words { names: self.names, place };
        self.tell_all(text, analyse_sql(text.text, template, &words));
    }

    /// The file of a task that is a template.
    fn script(&mut self, task: &Node, place: Place) {
        let (operator, key) = match (task.get("bash"), task.get("sql")) {
            (Some(bash), _) => (bash, "script"),
            (None, Some(sql)) => (sql, "file"),
            (None, None) => return,
        };
        let Some((named, path)) = operator.get(key).and_then(|node| Some((node, node.text()?))) else { return };
        let files = self.file.files;
        let Some(source) = files.text_of(&files.relative_to_root(path)) else { return };
        let template = operator.get("template").and_then(Node::boolean);
        let words = Words { names: self.names, place };
        let faults = match key {
            "file" => analyse_sql(&source, template, &words),
            _ => analyse_shell_file(&source, template, &words),
        };
        if key == "script" && template != Some(false) {
            super::splices::warn_of_script(&source, named, self.warnings);
        }
        let script = Script { path: path.to_owned(), source: source.into(), named_at: named.span.clone() };
        for fault in faults {
            let list = if fault.is_warning { &mut *self.warnings } else { &mut *self.problems };
            let told = list.add(fault.span, fault.message);
            told.script = Some(script.clone());
            if !fault.hint.is_empty() {
                told.hint(fault.hint);
            }
        }
    }

    fn tell_all(&mut self, text: &Text<'_>, faults: Vec<Fault>) {
        if faults.is_empty() {
            return;
        }
        let spelling = Spelling::of(self.file.source, &text.node.span, text.text);
        for fault in faults {
            self.tell(text, spelling.as_ref(), fault);
        }
    }

    fn tell(&mut self, text: &Text<'_>, spelling: Option<&Spelling>, fault: Fault) {
        let span = spelling.map_or_else(|| text.node.span.clone(), |spelling| spelling.place(fault.span));
        let list = if fault.is_warning { &mut *self.warnings } else { &mut *self.problems };
        let told = list.add(span, fault.message);
        if !fault.hint.is_empty() {
            told.hint(fault.hint);
        }
    }

    /// Words for people, and values that are passed on: a template in them is probably meant to be rendered.
    fn literal(&mut self, text: &Text<'_>) {
        let Some(braces) = braces(text.text) else { return };
        let what = if text.kind == Some(TemplateKind::Prose) { "shown" } else { "taken" };
        self.warnings
            .add(
                text.node.span.clone(),
                format!("`{braces}` is not rendered: `{}` is {what} as it is written", text.key),
            )
            .hint("write templates into the keys of a task that take them, such as `bash`, `args` or `env`");
    }

    /// Words of the machinery.
    fn word(&mut self, text: &Text<'_>) {
        let Some(braces) = braces(text.text) else { return };
        // Of these it has been told better.
        if matches!(text.key, "depends_on" | "teardown_of" | "secret") {
            return;
        }
        // That it is no schedule, and the like, follows from that.
        self.problems.forget_at(&text.node.span);
        self.problems
            .add(text.node.span.clone(), format!("`{}` takes no template: `{braces}` would not be rendered", text.key))
            .hint(
                "write what is meant; what differs from run to run belongs into a key that is rendered, such as `env`",
            );
    }

    /// Python code has braces of its own; what is meant as a template names something that templates know.
    fn python(&mut self, text: &Text<'_>, place: Place) {
        let Some(name) = self.names.named_in_braces(text.text, place) else { return };
        let spelling = Spelling::of(self.file.source, &text.node.span, text.text);
        let span = spelling.map_or_else(|| text.node.span.clone(), |spelling| spelling.place(name.clone()));
        let written = &text.text[name];
        self.warnings
            .add(span, format!("`{written}` is not rendered: Python code is no template"))
            .hint("read it in the code: `import flow`, then `flow.context[\"ds\"]`, `flow.params[\"...\"]` or `flow.xcom(\"...\")`");
    }
}

/// The first expression or statement in braces.
fn braces(text: &str) -> Option<&str> {
    let start = [("{{", "}}"), ("{%", "%}")].into_iter().filter_map(|(open, close)| {
        let start = text.find(open)?;
        let length = text[start..].find(close)? + close.len();
        Some((start, length))
    });
    let (start, length) = start.min()?;
    text[start..start + length].lines().next()
}
