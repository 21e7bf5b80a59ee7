//! What the names of an attempt's templates stand for.

mod context;
mod place;
mod secrets;
mod xcom;

pub use flow_template::{Renderer, ShellScript, SqlPiece, TemplateError, UrlStart, is_template};

pub use context::AttemptScope;
pub(crate) use context::params_of;
pub use place::AttemptPlace;
pub(crate) use secrets::missing;
pub use xcom::{Lookups, Wanted};

#[cfg(test)]
mod sinks;
#[cfg(test)]
mod tests;
