//! DAG files: TOML in, a validated [`flow_model::Dag`] or every mistake with its place out. Knows nothing of databases,
//! queues or running tasks.
//!
//! A file goes through four steps: [`tree`] parses it and keeps the place of everything; [`walk`] compares it with the
//! [`schema`], which is generated from the types that hold its parts; `semantic` checks what no schema can say and
//! puts the DAG together; [`Diagnostic`]s tell what went wrong on the way.

mod callbacks;
mod check;
mod control;
mod diagnostic;
mod find;
mod folder;
mod headers;
mod identity;
mod links;
mod pools;
mod python;
pub mod reference;
mod render;
mod schema;
mod semantic;
mod spec;
mod spelling;
mod tree;
mod walk;
mod watch;

pub use check::{CheckedFile, ParsedDag, check_file, check_text};
pub use diagnostic::{Diagnostic, Script, Severity};
pub use folder::{Folder, Scan};
pub use links::{NamedDag, check_links};
pub use pools::check_pools;
pub use render::{render, script_path};
pub use schema::schema;
pub use watch::Watcher;
