//! What the names of a template stand for, as far as the file tells.

use flow_model::suggest::{listed, nearest};
use flow_template::MACRO_NAMES;
use flow_template::analysis::{Argument, Fault, Reference, Step, Vocabulary};
use flow_template::fields::{fields_of, instead_of_field};
use flow_template::names::TEMPLATE_NAMES;

use super::names::{FileNames, TaskNames};
use super::outputs::fault_in_output;

/// Where a template stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A key of the DAG or of a group.
    Dag,
    /// A callback of the DAG's runs.
    RunCallback,
    /// `default_args`: several tasks have it.
    Shared,
    /// A callback in `default_args`.
    SharedCallback,
    /// A task.
    Task(usize),
    /// A callback of a task.
    Callback(usize),
    /// `repeat` of a task.
    Until(usize),
}

impl Place {
    pub const fn task(self) -> Option<usize> {
        match self {
            Place::Task(task) | Place::Callback(task) | Place::Until(task) => Some(task),
            Place::Dag | Place::RunCallback | Place::Shared | Place::SharedCallback => None,
        }
    }
}

/// The vocabulary of a template at a place.
pub(super) struct Words<'a> {
    pub names: &'a FileNames,
    pub place: Place,
}

/// Names besides those of every template.
const OF_CALLBACKS: [&str; 4] = ["event", "state", "reason", "exception"];
const OF_LOOPS: [&str; 2] = ["output", "iteration"];

/// What the engine and its objects can do with a table.
const TABLE_METHODS: [&str; 4] = ["get", "items", "keys", "values"];

/// Names that mean something for a task only.
const OF_TASKS: [&str; 6] = ["task", "task_instance", "ti", "task_instance_key_str", "map_index", "try_number"];

/// The fields of a connection.
const OF_CONNECTIONS: [&str; 9] =
    ["conn_id", "conn_type", "host", "port", "login", "password", "schema", "extra_dejson", "get_uri"];

impl Vocabulary for Words<'_> {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = TEMPLATE_NAMES.map(str::to_owned).to_vec();
        let more: &[&str] = match self.place {
            Place::RunCallback | Place::Callback(_) | Place::SharedCallback => &OF_CALLBACKS,
            Place::Until(_) => &OF_LOOPS,
            Place::Dag | Place::Shared | Place::Task(_) => &[],
        };
        names.extend(more.iter().map(|name| (*name).to_owned()));
        match self.place {
            // Whichever task has them.
            Place::Shared | Place::SharedCallback => {
                names.extend(self.names.tasks.iter().flat_map(|task| task.mapped.iter().cloned()));
            }
            _ => names.extend(self.task().into_iter().flat_map(|task| task.mapped.iter().cloned())),
        }
        names
    }

    fn is_open(&self) -> bool {
        match self.place {
            Place::Shared | Place::SharedCallback => self.names.tasks.iter().any(|task| task.is_open),
            _ => self.task().is_some_and(|task| task.is_open),
        }
    }

    fn look_at(&self, reference: &Reference<'_>) -> Vec<Fault> {
        let Some((first, rest)) = reference.steps.split_first() else { return Vec::new() };
        if self.place == Place::RunCallback && OF_TASKS.contains(&first.name.as_str()) {
            return no_task(reference).into_iter().collect();
        }
        let fault = match first.name.as_str() {
            "params" => self.param(reference, rest),
            "conf" => self.conf(reference, rest),
            "xcom" => self.xcom(reference, rest),
            "ti" | "task_instance" if rest.first().is_some_and(|step| step.name == "xcom_pull") => {
                return self.pull(reference, rest);
            }
            "dag" | "dag_run" | "task" | "ti" | "task_instance" => field(&first.name, reference, rest),
            "var" => variable(reference, rest),
            "conn" => connection(rest),
            "macros" => macros(rest),
            _ => None,
        };
        fault.into_iter().collect()
    }
}

impl Words<'_> {
    fn task(&self) -> Option<&TaskNames> {
        self.place.task().map(|task| &self.names.tasks[task])
    }

    fn param(&self, reference: &Reference<'_>, rest: &[Step]) -> Option<Fault> {
        let named = rest.first()?;
        let is_method = reference.call.is_some() && rest.len() == 1 && TABLE_METHODS.contains(&named.name.as_str());
        if is_method || reference.is_guarded {
            return None;
        }
        let own = self.task().map(|task| &task.params);
        let known: Vec<&str> = self
            .names
            .params
            .iter()
            .chain(&self.names.shared_params)
            .chain(&self.names.event_keys)
            .chain(own.into_iter().flatten())
            .map(String::as_str)
            .collect();
        let is_dashed = dashed(reference, &known).is_some();
        if known.contains(&named.name.as_str()) || (self.names.senders_choose && !is_dashed) {
            return None;
        }
        let message = format!("the param `{}` is not declared", named.name);
        let hint = match (dashed(reference, &known), nearest(&named.name, known.iter().copied())) {
            (Some(id), _) => format!("a name with a dash is written `params[\"{id}\"]`"),
            (None, Some(meant)) => format!("did you mean `params.{meant}`?"),
            (None, None) => format!(
                "declare it below `[params]`: `{} = ...`; one that only some triggers pass is read with `params.get(\"{}\", \"default\")`",
                named.name, named.name
            ),
        };
        // A trigger may pass what is not declared; nobody does that for runs of a schedule.
        let tell = if self.names.is_scheduled || is_dashed { Fault::error } else { Fault::warning };
        Some(tell(reference.span(), message, hint))
    }

    fn conf(&self, reference: &Reference<'_>, rest: &[Step]) -> Option<Fault> {
        let named = rest.first()?;
        let is_method = reference.call.is_some() && TABLE_METHODS.contains(&named.name.as_str());
        if is_method || reference.is_guarded || !self.names.is_scheduled {
            return None;
        }
        Some(Fault::warning(
            reference.span(),
            format!("`conf.{}` is not there in a run of the schedule: nobody passes it", named.name),
            format!("declare a param with a default, or write `conf.get(\"{}\", \"default\")`", named.name),
        ))
    }

    fn xcom(&self, reference: &Reference<'_>, rest: &[Step]) -> Option<Fault> {
        rest.first()?;
        let (task, used) = match self.resolve(rest) {
            Ok(found) => found?,
            Err(used) => return Some(self.no_task(reference, &rest[..used])),
        };
        let span = reference.steps[0].span.start..reference.steps[used].span.end;
        if let Some(fault) = self.order(task, span) {
            return Some(fault);
        }
        let declared = self.names.tasks[task].outputs.as_ref()?;
        let mut fields = &rest[used..];
        if reference.call.is_some() {
            fields = fields.split_last().map_or(fields, |(_, before)| before);
        }
        if reference.is_guarded { None } else { fault_in_output(&self.names.tasks[task].id, declared, fields) }
    }

    /// The task that a path after `xcom` leads to, and how many of its steps that takes. `Ok(None)`: it ends at a group.
    ///
    /// # Errors
    /// After that many steps there is nothing.
    fn resolve(&self, rest: &[Step]) -> Result<Option<(usize, usize)>, usize> {
        let prefixes: Vec<String> = match self.task() {
            Some(task) => task.prefixes.iter().cloned().chain([String::new()]).collect(),
            None => vec![String::new()],
        };
        let mut around = prefixes;
        for (used, step) in rest.iter().enumerate() {
            let names: Vec<String> = around.iter().map(|prefix| format!("{prefix}{}", step.name)).collect();
            let task = names.iter().find_map(|name| self.names.tasks.iter().position(|task| task.id == *name));
            if let Some(task) = task {
                return Ok(Some((task, used + 1)));
            }
            let group = names.into_iter().map(|name| format!("{name}."));
            let is_group = |prefix: &String| self.names.tasks.iter().any(|task| task.id.starts_with(prefix.as_str()));
            around = match group.into_iter().find(is_group) {
                Some(prefix) => vec![prefix],
                // `xcom.get(...)` and the like; and tasks whose names are given in the run.
                None if used == 0 && TABLE_METHODS.contains(&step.name.as_str()) => return Ok(None),
                None => return Err(used + 1),
            };
        }
        Ok(None)
    }

    fn no_task(&self, reference: &Reference<'_>, steps: &[Step]) -> Fault {
        let ids: Vec<&str> = self.names.tasks.iter().map(|task| task.id.as_str()).collect();
        let path = steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(".");
        let hint = match (dashed(reference, &ids), nearest(&path, ids.iter().copied())) {
            (Some(id), _) => format!("an id with a dash is written `xcom[\"{id}\"]`"),
            (None, Some(meant)) => format!("did you mean `{}`?", written(meant)),
            (None, None) if ids.len() <= 12 => format!("the tasks of this file are {}", listed(ids)),
            (None, None) => "`xcom.<task_id>` reads the output of a task of the same file".to_owned(),
        };
        let span = reference.steps[0].span.start..reference.steps[steps.len()].span.end;
        Fault::error(span, format!("there is no task `{path}` whose output could be read"), hint)
    }

    /// What is wrong with reading the output of a task at this place.
    fn order(&self, task: usize, span: std::ops::Range<usize>) -> Option<Fault> {
        let id = &self.names.tasks[task].id;
        match self.place {
            Place::Task(own) if own == task => Some(Fault::error(
                span,
                format!("the task `{id}` reads its own output, which is not there yet"),
                "name a task before it; what a task keeps from run to run is read with `ti.xcom_pull(task_ids=\"...\", include_prior_dates=true)`",
            )),
            Place::Task(own) | Place::Callback(own) | Place::Until(own)
                if own != task && !self.names.comes_before(task, own) =>
            {
                Some(Fault::error(
                    span,
                    format!("the task `{id}` does not come before this one: its output may not be there yet"),
                    format!("add `{id}` to `depends_on`"),
                ))
            }
            _ => None,
        }
    }

    /// `ti.xcom_pull(task_ids="...")`.
    fn pull(&self, reference: &Reference<'_>, rest: &[Step]) -> Vec<Fault> {
        let (Some(arguments), [_]) = (&reference.call, rest) else { return Vec::new() };
        let named = |name: &str| arguments.iter().find(|argument| argument.name == Some(name));
        let first = arguments.first().filter(|argument| argument.name.is_none());
        let Some(tasks) = named("task_ids").or(first) else { return Vec::new() };
        let other_runs = named("include_prior_dates").is_some() || named("run_id").is_some();
        let ids = match &tasks.value {
            Some(serde_json::Value::String(id)) => vec![id.clone()],
            Some(serde_json::Value::Array(ids)) => ids.iter().filter_map(|id| Some(id.as_str()?.to_owned())).collect(),
            _ => Vec::new(),
        };
        ids.iter().filter_map(|id| self.pulled(id, tasks, other_runs)).collect()
    }

    fn pulled(&self, id: &str, argument: &Argument<'_>, other_runs: bool) -> Option<Fault> {
        match self.names.tasks.iter().position(|task| task.id == id) {
            Some(_) if other_runs => None,
            Some(task) => self.order(task, argument.span.clone()),
            None => {
                let ids = self.names.tasks.iter().map(|task| task.id.as_str());
                let inside =
                    self.task().into_iter().flat_map(|task| &task.prefixes).map(|prefix| format!("{prefix}{id}"));
                let in_group = inside.into_iter().find(|full| self.names.tasks.iter().any(|task| task.id == *full));
                let hint = match (in_group, nearest(id, ids.clone())) {
                    (Some(full), _) => format!("with the group around it, it is `{full}`"),
                    (None, Some(meant)) => format!("did you mean `{meant}`?"),
                    (None, None) => format!("the tasks of this file are {}", listed(ids.take(12))),
                };
                Some(Fault::error(
                    argument.span.clone(),
                    format!("there is no task `{id}` whose output could be read"),
                    hint,
                ))
            }
        }
    }
}

/// A callback of a DAG's runs names something of a task.
fn no_task(reference: &Reference<'_>) -> Option<Fault> {
    let name = &reference.steps[0].name;
    (!reference.is_guarded).then(|| {
        Fault::error(
            reference.span(),
            format!("`{name}` is not there: this is a callback of the DAG's runs, not of a task"),
            "write it into a task's table, or into `[default_args]` for all tasks; what fits both asks first: `{% if ti %}`",
        )
    })
}

/// A field of something whose fields are fixed.
fn field(name: &str, reference: &Reference<'_>, rest: &[Step]) -> Option<Fault> {
    let (named, known) = (rest.first()?, fields_of(name)?);
    let is_method = reference.call.is_some() && rest.len() == 1 && TABLE_METHODS.contains(&named.name.as_str());
    let has_methods = !matches!(name, "ti" | "task_instance");
    if reference.is_guarded || (is_method && has_methods) || known.iter().any(|(field, _)| *field == named.name) {
        return None;
    }
    let names = || known.iter().map(|(field, _)| *field);
    let hint = match (instead_of_field(name, &named.name), nearest(&named.name, names())) {
        (Some(hint), _) => hint.to_owned(),
        (None, Some(meant)) => format!("did you mean `{name}.{meant}`?"),
        (None, None) => format!("`{name}` has {}", listed(names())),
    };
    Some(Fault::error(named.span.clone(), format!("`{name}` has no `{}`", named.name), hint))
}

/// Something of Airflow's `macros` that is not there.
fn macros(rest: &[Step]) -> Option<Fault> {
    let named = rest.first().filter(|step| !MACRO_NAMES.contains(&step.name.as_str()))?;
    let hint = match nearest(&named.name, MACRO_NAMES) {
        Some(meant) => format!("did you mean `macros.{meant}`?"),
        None => format!("`macros` has {}", listed(MACRO_NAMES)),
    };
    Some(Fault::error(named.span.clone(), format!("`macros` has no `{}`", named.name), hint))
}

fn variable(reference: &Reference<'_>, rest: &[Step]) -> Option<Fault> {
    let kind = rest.first()?;
    if !matches!(kind.name.as_str(), "value" | "json") {
        return Some(Fault::error(
            reference.steps[0].span.start..kind.span.end,
            format!("variables are not read as `var.{}`", kind.name),
            format!("write `var.value.{0}`, or `var.json.{0}` for one that holds JSON", kind.name),
        ));
    }
    None
}

fn connection(rest: &[Step]) -> Option<Fault> {
    let [named, field, ..] = rest else { return None };
    if named.name == "get" || OF_CONNECTIONS.contains(&field.name.as_str()) {
        return None;
    }
    let hint = match (field.name.as_str(), nearest(&field.name, OF_CONNECTIONS)) {
        ("user" | "username", _) => "write `login`".to_owned(),
        ("database" | "db", _) => "write `schema`".to_owned(),
        ("uri" | "url", _) => "write `get_uri()`".to_owned(),
        ("extra", _) => "write `extra_dejson`, and the key: `extra_dejson.sslmode`".to_owned(),
        (_, Some(meant)) => format!("did you mean `{meant}`?"),
        (_, None) => format!("a connection has {}", listed(OF_CONNECTIONS)),
    };
    Some(Fault::error(field.span.clone(), format!("a connection has no `{}`", field.name), hint))
}

/// The name with dashes that was meant by a subtraction.
fn dashed<'a>(reference: &Reference<'_>, known: &[&'a str]) -> Option<&'a str> {
    let last = reference.steps.last()?;
    let meant = format!("{}-{}", last.name, reference.dashed?);
    known.iter().copied().find(|id| *id == meant || id.ends_with(&format!(".{meant}")))
}

/// How a task's output is written.
fn written(id: &str) -> String {
    let is_plain = id.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    if is_plain { format!("xcom.{id}") } else { format!("xcom[\"{id}\"]") }
}
