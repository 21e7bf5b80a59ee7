//! Templates: Jinja with Airflow's names, strict about what is not defined. Renders text for the place that it goes to, so
//! that no value becomes code there. Knows nothing of runs and stores: what the names stand for is a [`Scope`]'s.

mod dates;
mod engine;
mod error;
mod json;
pub mod names;
mod pieces;
mod recorder;
mod renderer;
mod sinks;
mod values;

pub use dates::{DateValue, Macros};
pub use error::TemplateError;
pub use json::{from_json, from_table};
pub use renderer::{Renderer, Scope, check_syntax, is_template};
pub use sinks::{ShellScript, UrlStart};

#[cfg(test)]
mod tests;
