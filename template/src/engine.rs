//! The template engine as every template has it: Jinja, strict about what is not defined, with Airflow's filters.

use std::sync::LazyLock;

use flow_model::limits::TEMPLATE_STEPS_MAX;
use minijinja::value::Rest;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::{dates, filters, methods, operators};

/// A fresh environment. Every field of every attempt gets one, so what they have in common is made once.
pub(crate) fn environment() -> Environment<'static> {
    static COMMON: LazyLock<Environment<'static>> = LazyLock::new(common);
    COMMON.clone()
}

/// Whether a value is there for a name or a field that is not defined. What `{{ x if false }}` comes to is not defined either, but
/// nobody has asked for it: it prints as nothing.
pub(crate) fn is_missing(value: &Value) -> bool {
    static STRICT: LazyLock<Environment<'static>> = LazyLock::new(|| {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
    });
    // The two are told apart by printing alone.
    value.is_undefined() && STRICT.empty_state().format(value.clone()).is_err()
}

fn common() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(TEMPLATE_STEPS_MAX));
    environment.set_unknown_method_callback(methods::call);
    operators::add_operators(&mut environment);
    filters::add_filters(&mut environment);
    dates::add_filters(&mut environment);
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.to_vec()));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment
}
