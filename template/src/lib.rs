//! Templates: Jinja with Airflow's names, strict about what is not defined. Renders text for the place that it goes to, so
//! that no value becomes code there. Knows nothing of runs and stores: what the names stand for is a [`Scope`]'s.

pub mod analysis;
mod arguments;
mod braces;
mod dates;
mod engine;
mod error;
pub mod fields;
mod filters;
mod json;
mod macros;
mod methods;
pub mod names;
mod operators;
mod pieces;
mod printf;
mod program;
mod python;
mod recorder;
mod renderer;
mod sinks;
mod values;
mod words;

pub use braces::{Guarded, Reading, without_template};
pub use dates::{DateValue, is_method_of_dates};
pub use error::TemplateError;
pub use json::{from_json, from_table};
pub use macros::{MACRO_NAMES, Macros};
pub use renderer::{Renderer, Scope, is_template};
pub use sinks::{ShellScript, SqlPiece, UrlStart};

#[cfg(test)]
mod tests;
