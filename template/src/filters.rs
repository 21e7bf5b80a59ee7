//! Jinja's filters, where the engine has none or another one.

mod groups;
mod html;
mod layout;
mod links;
mod lists;
mod numbers;
mod texts;

use minijinja::Environment;

pub(crate) use groups::Group;
pub(crate) use html::urlencoded;
pub(crate) use layout::{centered, limited};

/// All of them.
pub(crate) fn add_filters(environment: &mut Environment<'_>) {
    groups::add_filters(environment);
    html::add_filters(environment);
    layout::add_filters(environment);
    lists::add_filters(environment);
    numbers::add_filters(environment);
    texts::add_filters(environment);
}
