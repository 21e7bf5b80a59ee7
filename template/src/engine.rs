//! The template engine as every template has it: Jinja, strict about what is not defined, with Airflow's filters.

use flow_model::limits::TEMPLATE_STEPS_MAX;
use std::sync::LazyLock;

use minijinja::value::Rest;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::{dates, filters, methods, operators};

/// A fresh environment. Every field of every attempt gets one, so what they have in common is made once.
pub(crate) fn environment() -> Environment<'static> {
    static COMMON: LazyLock<Environment<'static>> = LazyLock::new(common);
    COMMON.clone()
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
