//! SQL as text: what a script's statements are, and which parameters they name. Nothing here runs any.

mod dialect;
mod parameters;
mod scan;
mod script;

pub use dialect::Dialect;
pub use parameters::{Fault, Misfit, Readings};
pub use scan::{Kind, Token, scan};
pub use script::{Script, Statement};
