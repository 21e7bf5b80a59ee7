//! Keys below the wrong header: where the schema has them.

use std::ops::Range;

use flow_model::suggest::listed;
use serde_json::Value;

use crate::diagnostic::Problems;
use crate::schema::{OPERATORS, task_schema, whole};
use crate::tree::{Entry, Kind, Node};

/// A table on the way from the file to a key.
pub(crate) struct Level<'a> {
    /// The table that holds it; none for the file.
    pub above: Option<&'a Level<'a>>,
    pub key: &'a str,
    pub node: &'a Node,
    pub schema: &'static Value,
}

impl<'a> Level<'a> {
    fn knows(&self, key: &str) -> bool {
        has_key(self.schema, key)
    }

    /// The keys that lead to it from the top of the file.
    pub fn path(&self) -> Vec<String> {
        let mut path = self.above.map(Level::path).unwrap_or_default();
        if self.above.is_some() {
            path.push(self.key.to_owned());
        }
        path
    }

    /// The header below which its keys stand, such as `tasks.load.sql`.
    fn header(&self) -> String {
        match self.above {
            None => String::new(),
            Some(above) if above.above.is_none() => self.key.to_owned(),
            Some(above) => format!("{}.{}", above.header(), self.key),
        }
    }

    fn all_above(&self) -> impl Iterator<Item = &'a Level<'a>> {
        std::iter::successors(self.above, |level| level.above)
    }
}

fn has_key(schema: &Value, key: &str) -> bool {
    schema["properties"].get(key).is_some()
}

/// Whether a table is written as `{ ... }`: then its keys stand within it.
fn is_inline(table: &Node, key: &Range<usize>) -> bool {
    table.span.contains(&key.start)
}

/// What to do about a key that one of the table's own tables has, such as `connection` beside `sql`.
pub(crate) fn in_what_is_there(key: &str, level: &Level<'_>) -> Option<String> {
    let has =
        |entry: &&Entry| long_form(&level.schema["properties"][&entry.key]).is_some_and(|long| has_key(long, key));
    let entry = level.node.entries().iter().find(has)?;
    let name = &entry.key;
    let first = entry.node.entries().first();
    Some(match (&entry.node.kind, first) {
        (Kind::Table(_), Some(first)) if is_inline(&entry.node, &first.key_span) => {
            format!("it is a key of `{name}`: write it into its braces")
        }
        (Kind::Table(_), _) => {
            let above = level.header();
            format!(
                "it is a key of `{name}`: write it below `[{above}{}{name}]`",
                if above.is_empty() { "" } else { "." }
            )
        }
        _ => {
            let short = OPERATORS.iter().find(|form| form.name == name).and_then(|form| form.short_field);
            let short = short.map(|field| format!("{field} = ..., ")).unwrap_or_default();
            format!("it is a key of `{name}`: write `{name} = {{ {short}{key} = ... }}`")
        }
    })
}

/// What to do about a key that a table further out has, or the tables of tasks.
pub(crate) fn in_another_table(key: &str, span: &Range<usize>, level: &Level<'_>) -> Option<String> {
    if let Some(outer) = level.all_above().find(|outer| outer.knows(key)) {
        let here = level.header();
        return Some(match outer.above {
            None => "it belongs at the top of the file, above every `[table]`".to_owned(),
            Some(_) if is_inline(level.node, span) => {
                format!("it belongs in `[{}]`, outside of the braces of `{}`", outer.header(), level.key)
            }
            Some(_) => format!("it belongs in `[{}]`, above `[{here}]`", outer.header()),
        });
    }
    let is_shared = has_key(&level.schema["properties"]["default_args"], key);
    let below = |name: &str| match level.header() {
        header if header.is_empty() => name.to_owned(),
        header => format!("{header}.{name}"),
    };
    let holds_tasks = level.knows("tasks") && has_key(task_schema(), key);
    let tasks = || format!("it belongs in the table of a task, `[{}.<id>]`", below("tasks"));
    match (holds_tasks, is_shared) {
        (true, true) => Some(format!("{}; or in `[{}]`, for all of them", tasks(), below("default_args"))),
        (true, false) => Some(tasks()),
        (false, _) => None,
    }
}

/// What to do about a missing key that stands in one of the table's own tables, which takes any.
pub(crate) fn too_deep(table: &Node, keys: &[&str]) -> Option<String> {
    table.entries().iter().find_map(|entry| {
        let found = entry.node.entries().iter().find(|below| keys.contains(&below.key.as_str()))?;
        let (key, name) = (&found.key, &entry.key);
        Some(match is_inline(&entry.node, &found.key_span) {
            true => format!("`{key}` stands within the braces of `{name}`: write it outside of them"),
            false => format!("`{key}` stands below the header of `{name}`: move it above that header"),
        })
    })
}

/// What to do about a key of operators that the task does not have.
pub(crate) fn in_what_could_be_there(key: &str, level: &Level<'_>) -> Option<String> {
    let properties = level.schema["properties"].as_object()?;
    let with_key = properties.iter().filter(|(_, one)| long_form(one).is_some_and(|long| has_key(long, key)));
    let names: Vec<&str> = with_key.map(|(name, _)| name.as_str()).collect();
    let such_as = if names.len() > 4 { "operators such as " } else { "" };
    (!names.is_empty()).then(|| format!("it is a key of {such_as}{}", listed(names.into_iter().take(4))))
}

/// Of the forms of a value the table with named keys.
fn long_form(schema: &Value) -> Option<&Value> {
    let forms = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    forms.map_or(std::slice::from_ref(schema), Vec::as_slice).iter().find(|form| form["properties"].is_object())
}

/// Warns of settings below `[params]` and `[... .env]`, where any key may stand, if nothing else in the file speaks of them.
pub(crate) fn warn(source: &str, root: &Node, warnings: &mut Problems) {
    let mut warn_of = |table: Option<&Node>, outer: &Node, schema: &Value, what: &str, place: &str| {
        for Entry { key, key_span, .. } in table.map(Node::entries).unwrap_or_default() {
            // A task without an operator is told where that stands.
            let is_operator = OPERATORS.iter().any(|form| form.name == key);
            let is_setting = has_key(schema, key) && outer.get(key).is_none() && !is_operator;
            let is_below = table.is_some_and(|table| !is_inline(table, key_span));
            if is_setting && is_below && source.matches(key.as_str()).count() == 1 {
                let message = format!("`{key}` is {what} here, and the file does not use it");
                let problem = warnings.add(key_span.clone(), message);
                problem.hint(format!("if the setting `{key}` is meant, write it {place}, above this header"));
            }
        }
    };
    warn_of(root.get("params"), root, whole(), "a param", "at the top of the file");
    let tasks = root.get("tasks").map(Node::entries).unwrap_or_default().iter().map(|task| &task.node);
    for settings in tasks.chain(root.get("default_args")) {
        let place = "directly into the task's table";
        warn_of(settings.get("env"), settings, task_schema(), "a variable of the environment", place);
    }
}
