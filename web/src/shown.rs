//! How texts are put into pages: escaped for HTML, with their hidden characters written out.

use std::fmt;

use askama::filters::{Escaper, Html};

/// The escaper of every template (`askama.toml`); values of forms have another, so that they come back as they were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown;

impl Escaper for Shown {
    fn write_escaped_str<W: fmt::Write>(&self, to: W, text: &str) -> fmt::Result {
        Html.write_escaped_str(to, &flow_model::visible(text))
    }
}
