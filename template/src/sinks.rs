//! The places that rendered text goes to: each writes values so that they stay values there.

pub(crate) mod addresses;
pub(crate) mod image;
pub(crate) mod markdown;
pub(crate) mod path;
pub(crate) mod shell;
pub(crate) mod sql;
pub(crate) mod url;

pub use shell::ShellScript;
pub use sql::SqlPiece;
pub use url::UrlStart;
