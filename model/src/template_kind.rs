//! Which texts of a DAG file are templates. Each field says it once, where it is declared, as `x-template` of its JSON Schema:
//! the check of DAG files reads it there, and a test of the worker compares it with what is rendered.

use crate::state::named_enum;

/// The name of the keyword in a field's schema.
pub const KEYWORD: &str = "x-template";

named_enum!(
    /// What a text is. Of a list or table it is said for every text inside. A text that says nothing is a word of the
    /// machinery (an id, a name, a mode), which takes no template.
    TemplateKind {
        /// A template that gives text.
        Text = "text",
        /// A template that gives a value: one whole expression gives what it is, anything else text.
        Value = "value",
        /// A template that gives shell code.
        Shell = "shell",
        /// A template that gives a URL.
        Url = "url",
        /// A template that gives the path of a file.
        Path = "path",
        /// A template that gives e-mail addresses.
        Addresses = "addresses",
        /// A template that gives Markdown.
        Markdown = "markdown",
        /// A template that gives markup: HTML or Slack's.
        Markup = "markup",
        /// A template that gives SQL: its values are bound.
        Sql = "sql",
        /// Not a template, but Python: values come in as arguments.
        Python = "python",
        /// Not a template, but words for people.
        Prose = "prose",
        /// Not a template, but values that are passed on as they are.
        Data = "data",
        /// Not a template, but text in which braces may stand for themselves.
        Documentation = "documentation",
    }
);

impl TemplateKind {
    /// Whether the text is rendered.
    pub const fn is_template(self) -> bool {
        match self {
            TemplateKind::Text
            | TemplateKind::Value
            | TemplateKind::Shell
            | TemplateKind::Url
            | TemplateKind::Path
            | TemplateKind::Addresses
            | TemplateKind::Markdown
            | TemplateKind::Markup
            | TemplateKind::Sql => true,
            TemplateKind::Python | TemplateKind::Prose | TemplateKind::Data | TemplateKind::Documentation => false,
        }
    }
}
