//! `expand` and `expand_kwargs`: over what tasks and groups are mapped.

use flow_model::dag::RETURN_VALUE;
use flow_model::expand::{Mapping, Source};
use flow_model::limits::MAP_LENGTH_MAX;
use flow_model::suggest::listed;
use flow_template::names::TEMPLATE_NAMES;

use super::layout::{Layout, Target};
use crate::diagnostic::Problems;
use crate::tree::{Entry, Kind, Node};

/// What `expand` accepts, for hints.
const SOURCES: &str = "a list, `\"{{ xcom.<task> }}\"`, `\"{{ params.<name> }}\"`, or a table with `zip` or `concat`";

/// Where a mapping stands.
pub(super) struct Reader<'a, 'b> {
    pub layout: &'b Layout<'a>,
    /// The group that names are looked for in.
    pub group: Option<usize>,
    /// What is mapped.
    pub this: Target,
    pub max_map_length: u32,
}

impl Reader<'_, '_> {
    /// The mapping of a task or group, if it has one.
    pub fn read(&self, entry: &Entry, problems: &mut Problems) -> Option<Mapping> {
        let mapping = match (entry.node.entry("expand"), entry.node.entry("expand_kwargs")) {
            (None, None) => return None,
            (Some(_), Some(kwargs)) => {
                problems
                    .add(kwargs.key_span.clone(), format!("`{}` has both `expand` and `expand_kwargs`", entry.key))
                    .hint("keep one of them");
                return None;
            }
            (Some(expand), None) => self.product(expand, problems)?,
            (None, Some(kwargs)) => Mapping::Kwargs(self.source(&kwargs.node, "expand_kwargs", problems)?),
        };
        let written = entry.node.entry("expand").or(entry.node.entry("expand_kwargs"))?;
        self.check_length(&mapping, written, problems);
        Some(mapping)
    }

    fn product(&self, expand: &Entry, problems: &mut Problems) -> Option<Mapping> {
        if expand.node.entries().is_empty() {
            if matches!(expand.node.kind, Kind::Table(_)) {
                problems
                    .add(expand.node.span.clone(), "`expand` names nothing to map over")
                    .hint("for instance expand = { file = [\"a.csv\", \"b.csv\"] }");
            }
            return None;
        }
        let mut named = std::collections::BTreeMap::new();
        for entry in expand.node.entries() {
            if TEMPLATE_NAMES.contains(&entry.key.as_str()) {
                problems
                    .add(entry.key_span.clone(), format!("`{}` has a meaning in templates already", entry.key))
                    .hint("give the mapped value another name");
            } else if !is_name(&entry.key) {
                problems
                    .add(entry.key_span.clone(), format!("templates cannot name `{}`", entry.key))
                    .hint("names have letters, digits and `_`, and begin with a letter");
            }
            if let Some(source) = self.source(&entry.node, &entry.key, problems) {
                named.insert(entry.key.clone(), source);
            }
        }
        (named.len() == expand.node.entries().len()).then_some(Mapping::Product(named))
    }

    fn source(&self, node: &Node, what: &str, problems: &mut Problems) -> Option<Source> {
        match &node.kind {
            Kind::List(items) => Some(Source::List(items.iter().map(Node::to_json).collect())),
            Kind::Text(text) => self.reference(node, text, problems),
            Kind::Table(entries) => self.combination(node, entries, what, problems),
            _ => {
                problems
                    .add(node.span.clone(), format!("cannot map `{what}` over {}", node.type_name()))
                    .label(format!("this is {}", node.type_name()))
                    .hint(format!("it can be {SOURCES}"));
                None
            }
        }
    }

    fn combination(&self, node: &Node, entries: &[Entry], what: &str, problems: &mut Problems) -> Option<Source> {
        let unknown: Vec<&Entry> = entries
            .iter()
            .filter(|entry| !["zip", "concat", "fill", "xcom", "key"].contains(&entry.key.as_str()))
            .collect();
        if let [first, ..] = unknown.as_slice() {
            problems
                .add(first.key_span.clone(), format!("`{what}` cannot be mapped over `{}`", first.key))
                .hint(format!("it can be {SOURCES}"));
            return None;
        }
        if let (Some(fill), None) = (node.entry("fill"), node.get("zip")) {
            problems
                .add(fill.key_span.clone(), "`fill` fills up the lists of a `zip`, and there is none")
                .hint("take it away, or zip lists: { zip = [<list>, <list>], fill = 0 }");
            return None;
        }
        if has_stray_key(node, entries, problems) {
            return None;
        }
        let several = |key: &str, problems: &mut Problems| -> Option<Vec<Source>> {
            let written = node.get(key)?;
            let items = match &written.kind {
                Kind::List(items) if !items.is_empty() => items,
                _ => {
                    problems
                        .add(written.span.clone(), format!("`{key}` needs a list of lists"))
                        .hint(format!("for instance {{ {key} = [[1, 2], \"{{{{ xcom.<task> }}}}\"] }}"));
                    return None;
                }
            };
            let sources: Vec<Source> = items.iter().filter_map(|item| self.source(item, key, problems)).collect();
            (sources.len() == items.len()).then_some(sources)
        };
        if node.get("zip").is_some() {
            return Some(Source::Zip { sources: several("zip", problems)?, fill: node.get("fill").map(Node::to_json) });
        }
        if node.get("concat").is_some() {
            return Some(Source::Concat(several("concat", problems)?));
        }
        let Some(task) = node.get("xcom").and_then(Node::text) else {
            problems
                .add(node.span.clone(), format!("`{what}` names nothing to map over"))
                .hint(format!("it can be {SOURCES}"));
            return None;
        };
        let key = node.get("key").and_then(Node::text).unwrap_or(RETURN_VALUE);
        let task_id = self.task(node, task, problems)?;
        Some(Source::XCom { task_id, key: key.to_owned(), path: Vec::new() })
    }

    /// `{{ xcom.task.field }}` or `{{ params.name }}`: the whole text is one reference.
    fn reference(&self, node: &Node, text: &str, problems: &mut Problems) -> Option<Source> {
        let inner = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map(str::trim);
        let parts: Vec<String> = inner.map(path).unwrap_or_default();
        match parts.split_first() {
            Some((first, rest)) if first == "params" && !rest.is_empty() => Some(Source::Param { path: rest.to_vec() }),
            Some((first, rest)) if first == "xcom" && !rest.is_empty() => {
                // The longest beginning that is a task: ids of tasks in groups have dots.
                let found = (1..=rest.len()).rev().find_map(|length| {
                    match self.layout.resolve(&rest[..length].join("."), self.group, Some(self.this)) {
                        Some(Target::Task(task)) => Some((self.layout.tasks[task].id.clone(), rest[length..].to_vec())),
                        _ => None,
                    }
                });
                match found {
                    Some((task_id, path)) => Some(Source::XCom { task_id, key: RETURN_VALUE.to_owned(), path }),
                    None => self.task(node, &rest.join("."), problems).map(|task_id| Source::XCom {
                        task_id,
                        key: RETURN_VALUE.to_owned(),
                        path: Vec::new(),
                    }),
                }
            }
            _ => {
                problems
                    .add(node.span.clone(), "this is not something to map over")
                    .hint(format!("it can be {SOURCES}"));
                None
            }
        }
    }

    fn task(&self, node: &Node, name: &str, problems: &mut Problems) -> Option<String> {
        if let Some(Target::Task(task)) = self.layout.resolve(name, self.group, Some(self.this)) {
            return Some(self.layout.tasks[task].id.clone());
        }
        let known: Vec<&str> = self.layout.tasks.iter().map(|task| task.id.as_str()).collect();
        let hint = match flow_model::suggest::nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the tasks of this file are {}", listed(known.into_iter().take(12))),
        };
        problems.add(node.span.clone(), format!("there is no task `{name}` to map over")).hint(hint);
        None
    }

    /// What is written out in the file is counted at once.
    fn check_length(&self, mapping: &Mapping, written: &Entry, problems: &mut Problems) {
        if let Some(length) = mapping.written_length().filter(|length| *length > self.max_map_length as usize) {
            problems
                .add(
                    written.node.span.clone(),
                    format!("this makes {length} instances, at most {} are allowed", self.max_map_length),
                )
                .hint(format!("map over less, or raise `max_map_length` (up to {MAP_LENGTH_MAX})"));
        }
    }
}

/// Whether a key stands there that belongs to another form than the one that is written.
fn has_stray_key(node: &Node, entries: &[Entry], problems: &mut Problems) -> bool {
    let forms = [("zip", "fill"), ("concat", "concat"), ("xcom", "key")];
    let Some((form, other)) = forms.into_iter().find(|(form, _)| node.get(form).is_some()) else { return false };
    if let Some(stray) = entries.iter().find(|entry| entry.key != form && entry.key != other) {
        problems
            .add(stray.key_span.clone(), format!("`{}` does not go with `{form}`", stray.key))
            .hint("keep one of them");
        return true;
    }
    if let Some(key) = node.get("key").filter(|key| key.text().is_none()) {
        problems
            .add(key.span.clone(), format!("`key` must be text, not {}", key.type_name()))
            .hint("it is the key of an XCom, such as `\"return_value\"`");
        return true;
    }
    false
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// The steps of `a.b['c'].d`; none if it is anything else.
fn path(text: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for part in text.split('.').flat_map(|part| part.split('[')) {
        let part = part.trim().trim_end_matches(']').trim_matches(['\'', '"']);
        let is_step = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
        if !is_step {
            return Vec::new();
        }
        steps.push(part.to_owned());
    }
    steps
}
