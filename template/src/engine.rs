//! The template engine as every template has it: Jinja, strict about what is not defined, with Airflow's filters.

use minijinja::{Environment, UndefinedBehavior};

use crate::{dates, operators};

/// Steps that one template may take: a loop without end stops here.
const FUEL: u64 = 5_000_000;

/// A fresh environment.
pub(crate) fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    operators::add_operators(&mut environment);
    dates::add_filters(&mut environment);
    environment
}
