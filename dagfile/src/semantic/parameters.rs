//! `:name` in the SQL of tasks against their `parameters`.

use flow_model::sql::{Dialect, Fault, Misfit, Readings, Script};
use flow_model::suggest::nearest;

use super::files::Files;
use super::layout::Layout;
use crate::diagnostic::Problems;
use crate::spelling::Spelling;
use crate::tree::{Entry, Kind, Node};

/// The operators that run SQL.
const OPERATORS: [&str; 2] = ["sql", "sql_sensor"];

/// Checks every query of the file.
pub(super) fn check(source: &str, layout: &Layout<'_>, files: &Files<'_>, problems: &mut Problems) {
    for (position, placed) in layout.tasks.iter().enumerate() {
        let before = problems.len();
        for node in OPERATORS.iter().filter_map(|name| placed.entry.node.get(name)) {
            if let Some(query) = Query::of(node, source, files) {
                query.check(problems);
            }
        }
        problems.place_absences(before, &layout.path_of(position));
    }
}

/// A query with what it is given.
struct Query<'a> {
    sql: String,
    /// Where it is written.
    node: &'a Node,
    /// How that is spelt; or the file that holds it.
    written: Written<'a>,
    dialects: &'static [Dialect],
    given: &'a [Entry],
}

enum Written<'a> {
    Here(Option<Spelling>),
    File(&'a str),
}

impl<'a> Query<'a> {
    /// `None`: it cannot be read, and that was told.
    fn of(operator: &'a Node, source: &str, files: &Files<'_>) -> Option<Self> {
        let node = operator;
        let given = match node.get("parameters").map(|parameters| &parameters.kind) {
            Some(Kind::Table(entries)) => entries.as_slice(),
            Some(_) => return None,
            None => &[],
        };
        let dialects = match node.get("sqlite") {
            Some(_) => &[Dialect::Sqlite],
            // Where a connection leads is known in the run.
            None => &Dialect::ALL[..],
        };
        let text = if node.text().is_some() { Some(node) } else { node.get("query") };
        let (sql, node, written) = match (text, node.get("file")) {
            (Some(node), None) => {
                let sql = node.text()?;
                (sql.to_owned(), node, Written::Here(Spelling::of(source, &node.span, sql)))
            }
            (None, Some(node)) => {
                let path = node.text()?;
                (files.text_of(&files.relative_to_root(path))?, node, Written::File(path))
            }
            _ => return None,
        };
        let template = operator.get("template").and_then(Node::boolean);
        let sql = flow_template::without_template(&sql, template);
        Some(Query { sql, node, written, dialects, given })
    }

    fn check(&self, problems: &mut Problems) {
        let readings = Readings::of(self.dialects, &self.sql);
        if readings.are_empty() {
            if !self.sql.trim().is_empty() || matches!(self.written, Written::File(_)) {
                let what =
                    if let Written::File(path) = self.written { format!("`{path}`") } else { "the query".into() };
                problems
                    .add(self.node.span.clone(), format!("{what} has no statement"))
                    .hint("write at least one statement; comments are none");
            }
            return;
        }
        let names: Vec<&str> = self.given.iter().map(|entry| entry.key.as_str()).collect();
        let mut meant = Vec::new();
        for fault in readings.faults(|name| names.contains(&name)) {
            let name = &self.sql[fault.range.start + 1..fault.range.end];
            // Of `:order-id`, the query sees `:order`.
            let is_part = |given: &&str| !is_name(given) && given.starts_with(name);
            if fault.misfit == Misfit::NotGiven && names.iter().any(is_part) {
                continue;
            }
            if fault.misfit == Misfit::NotGiven {
                meant.extend(nearest(name, names.iter().copied()));
            }
            self.tell(&fault, &names, problems);
        }
        for entry in self.given {
            let name = entry.key.as_str();
            if !is_name(name) {
                problems
                    .add(entry.key_span.clone(), format!("the parameter `{name}` cannot be named in a query"))
                    .hint("names of parameters have letters (a-z, A-Z), digits and `_`, and begin with no digit");
            } else if !readings.may_name(name) && !meant.contains(&name) {
                problems
                    .add(entry.key_span.clone(), format!("the query has no `:{name}`: the parameter is not used"))
                    .hint(self.hint_to_use(name));
            }
        }
    }

    fn tell(&self, fault: &Fault, given: &[&str], problems: &mut Problems) {
        let (message, hint) = (fault.message(&self.sql), fault.hint(&self.sql, given));
        let (span, message) = match &self.written {
            Written::Here(Some(spelling)) => (spelling.place(fault.range.clone()), message),
            Written::Here(None) => (self.node.span.clone(), message),
            Written::File(path) => {
                let (line, column) = Script::read(self.dialects[0], &self.sql).place(fault.range.start);
                (self.node.span.clone(), format!("{message} (line {line}, column {column} of `{path}`)"))
            }
        };
        let problem = problems.add(span, message).hint(hint);
        if given.is_empty() {
            problem.absent(["parameters"]);
        }
    }

    /// How other tools write parameters is tried first.
    fn hint_to_use(&self, name: &str) -> String {
        let foreign = [format!("%({name})s"), format!("${{{name}}}"), format!("@{name}"), format!("${name}")];
        if self.sql.contains(&format!("':{name}'")) {
            return format!("in quotes it is text: write `:{name}` without them");
        }
        match foreign.into_iter().find(|written| self.sql.contains(written.as_str())) {
            Some(written) => format!("write `:{name}` in the place of `{written}`"),
            None => format!("write `:{name}` where the value belongs, without quotes; or take the parameter away"),
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}
