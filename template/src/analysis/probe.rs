//! What the engine knows, asked of the engine itself: its filters, tests and functions, and what it makes of expressions whose
//! values are known beforehand.

use std::collections::HashSet;
use std::ops::Range;

use flow_model::Timestamp;
use flow_model::suggest::nearest;
use minijinja::machinery::ast::Expr;
use minijinja::{Environment, ErrorKind, Value};

use super::{Fault, references};
use crate::dates::DateValue;
use crate::engine::environment;
use crate::fields::{self, FieldKind};
use crate::macros::Macros;
use crate::names::filter_of_airflow;
use crate::program::Program;
use crate::recorder::Recorder;
use crate::words::words;

/// The engine, and what it calls its things.
pub(super) struct Engine {
    environment: Environment<'static>,
    filters: Vec<String>,
    tests: Vec<String>,
    globals: Vec<String>,
    /// Whether it has what SQL has.
    pub is_of_sql: bool,
}

impl Engine {
    pub fn new() -> Self {
        let mut environment = environment();
        Recorder::default().attach(&mut environment);
        Engine::of(environment, false)
    }

    /// The engine as SQL has it.
    pub fn of_sql() -> Self {
        let mut environment = environment();
        Recorder::default().attach(&mut environment);
        crate::sinks::sql::add_filters(&mut environment);
        Engine::of(environment, true)
    }

    fn of(environment: Environment<'static>, is_of_sql: bool) -> Self {
        let described = format!("{environment:?}");
        let globals = environment.globals().map(|(name, _)| name.to_owned()).collect();
        let filters = listed(&described, "filters: [");
        let tests = listed(&described, "tests: [");
        Engine { environment, filters, tests, globals, is_of_sql }
    }

    pub fn has_filter(&self, name: &str) -> bool {
        let applied = self.environment.empty_state().apply_filter(name, &[]);
        applied.err().is_none_or(|error| error.kind() != ErrorKind::UnknownFilter)
    }

    pub fn has_test(&self, name: &str) -> bool {
        let performed = self.environment.empty_state().perform_test(name, &[]);
        performed.err().is_none_or(|error| error.kind() != ErrorKind::UnknownTest)
    }

    pub fn has_global(&self, name: &str) -> bool {
        self.globals.iter().any(|known| known == name)
    }

    pub fn globals(&self) -> impl Iterator<Item = &str> + Clone {
        self.globals.iter().map(String::as_str)
    }

    /// What to do about a filter that there is not.
    pub fn filter_hint(&self, name: &str) -> String {
        if name == "identifier" {
            return "only SQL has identifiers: `query` and `file` of `sql`, and `query` of `sql_sensor`".to_owned();
        }
        match (filter_of_airflow(name), nearest(name, self.filters.iter().map(String::as_str))) {
            (Some(hint), _) => hint.to_owned(),
            (None, Some(meant)) => format!("did you mean `{meant}`?"),
            (None, None) => "filters are Jinja's, such as `default`, `join`, `replace` and `tojson`, and Airflow's, such as `ds`: docs/dag-file.md tells about them".to_owned(),
        }
    }

    /// The filter that does what a function of this name does elsewhere.
    pub fn filter_meant(&self, name: &str) -> Option<&str> {
        match name {
            "len" | "size" => Some("length"),
            "str" => Some("string"),
            _ => nearest(name, self.filters.iter().map(String::as_str)),
        }
    }

    /// What to do about a test that there is not.
    pub fn test_hint(&self, name: &str) -> String {
        match nearest(name, self.tests.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "the tests are those of Jinja, such as `is defined`, `is none`, `is number`".to_owned(),
        }
    }

    /// Evaluates an expression of the template whose values do not depend on the run, with values of the same types: a method
    /// that does not exist, or arguments that it does not take, are wrong on every day.
    pub fn try_out(
        &self,
        source: &str,
        span: Range<usize>,
        expression: &Expr<'_>,
        locals: &HashSet<&str>,
    ) -> Option<Fault> {
        let mut names = HashSet::new();
        free_names(expression, &mut names);
        if reads_what_is_free(expression) {
            return None;
        }
        if names.iter().any(|name| locals.contains(name.as_str())) {
            return None;
        }
        let values: Option<Vec<(String, Value)>> = names
            .into_iter()
            .filter(|name| !self.has_global(name))
            .map(|name| sample(&name).map(|value| (name, value)))
            .collect();
        let text = source.get(span.clone())?;
        let program = Program::expression("template", text).ok()?;
        let error = match program.value(&self.environment, &Value::from_pairs(values?)) {
            Ok(value) if value.is_undefined() => return Some(nothing(text, span)),
            Ok(_) => return None,
            Err(error) if error.kind() == ErrorKind::UndefinedError => return Some(nothing(text, span)),
            Err(error) => error,
        };
        let is_certain = match error.kind() {
            ErrorKind::UnknownMethod | ErrorKind::TooManyArguments | ErrorKind::MissingArgument => true,
            // Our own functions say what they take; anything else may differ from date to date.
            ErrorKind::InvalidOperation => error
                .detail()
                .is_some_and(|detail| [" takes ", " needs ", " must be "].iter().any(|word| detail.contains(word))),
            _ => false,
        };
        if !is_certain {
            return None;
        }
        let (message, hint) = words(&error, Some(text));
        let listed = "docs/dag-file.md tells what the functions and methods of templates take";
        let hint = if hint.is_empty() { listed.to_owned() } else { hint };
        Some(Fault::error(span, message, hint))
    }
}

fn nothing(text: &str, span: Range<usize>) -> Fault {
    let hint = "docs/dag-file.md lists the fields of dates and of the other names";
    Fault::error(span, format!("`{}` leads to a value that is never there", text.trim()), hint)
}

/// Every name that an expression reads.
fn free_names(expression: &Expr<'_>, names: &mut HashSet<String>) {
    if let Expr::Var(variable) = expression {
        names.insert(variable.id.to_owned());
    }
    references::inside(expression, &mut |inner| free_names(inner, names));
}

/// Whether an expression reads something of `dag_run` and the like whose type is not known: what was passed to the run, what
/// other tasks left, or the whole.
fn reads_what_is_free(expression: &Expr<'_>) -> bool {
    if let Some(reference) = references::read(expression, None)
        && let Some(fields) = fields::fields_of(&reference.steps[0].name)
    {
        let is_fixed =
            |step: &references::Step| fields.iter().any(|(name, kind)| *name == step.name && *kind != FieldKind::Table);
        return !reference.steps.get(1).is_some_and(is_fixed);
    }
    let mut is_free = false;
    references::inside(expression, &mut |inner| is_free |= reads_what_is_free(inner));
    is_free
}

/// A value of the type that a name has in every run.
fn sample(name: &str) -> Option<Value> {
    let at: Timestamp = "2026-03-05T06:30:00Z".parse().ok()?;
    match name {
        "ds" => Some(Value::from("2026-03-05")),
        "ds_nodash" => Some(Value::from("20260305")),
        "ts" => Some(Value::from("2026-03-05T06:30:00+00:00")),
        "ts_nodash" | "ts_nodash_with_tz" | "run_id" | "task_instance_key_str" => Some(Value::from("20260305T063000")),
        "logical_date" | "data_interval_start" | "data_interval_end" | "run_after" => Some(DateValue::value(at)),
        "try_number" | "map_index" => Some(Value::from(1)),
        "macros" => Some(Value::from_object(Macros::new(at))),
        _ => fields::sample(name, at),
    }
}

/// The names in a list of the engine's description of itself.
fn listed(description: &str, begin: &str) -> Vec<String> {
    let inside = description.split_once(begin).and_then(|(_, rest)| rest.split_once(']')).map(|(inside, _)| inside);
    let names = inside.unwrap_or_default().split(", ").map(|name| name.trim_matches('"'));
    names.filter(|name| name.starts_with(char::is_alphabetic)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_tells_what_it_knows() {
        let engine = Engine::new();
        for filter in ["upper", "tojson", "ds_nodash", "default"] {
            assert!(engine.has_filter(filter) && engine.filters.iter().any(|known| known == filter), "{filter}");
        }
        for test in ["defined", "none", "divisibleby"] {
            assert!(engine.has_test(test) && engine.tests.iter().any(|known| known == test), "{test}");
        }
        assert!(engine.has_global("range"));
        assert!(!engine.has_filter("nosuchfilter") && !engine.has_test("nosuchtest") && !engine.has_global("ds"));
    }
}
