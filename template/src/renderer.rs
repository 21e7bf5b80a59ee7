//! Renders templates: as plain text, or for the place that the text goes to.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, ObjectRepr};
use minijinja::{Environment, ErrorKind, Value};

use crate::engine::environment;
use crate::error::{TemplateError, describe};
use crate::marks::{Marked, MarkedValue, Marks};
use crate::sinks::{self, ShellScript, UrlStart};

/// What the names of a template stand for.
pub trait Scope: Send + Sync {
    /// Whether a dotted path leads to a value.
    fn knows(&self, path: &str) -> bool;

    /// What to do about a path that leads nowhere.
    fn hint_for(&self, path: &str) -> String;
}

/// Renders the fields of one attempt.
pub struct Renderer {
    context: Value,
    scope: Arc<dyn Scope>,
}

impl Renderer {
    /// A renderer with the names of a scope.
    pub fn new<S: Scope + Object + 'static>(scope: Arc<S>) -> Self {
        Renderer { context: Value::from_dyn_object(Arc::clone(&scope)), scope }
    }

    /// Renders a field as plain text.
    ///
    /// # Errors
    /// The template is broken, or names something that does not exist.
    pub fn text(&self, field: &str, source: &str) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        self.render(environment(), field, source)
    }

    /// Renders every text inside a JSON value.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub fn json(&self, field: &str, value: &serde_json::Value) -> Result<serde_json::Value, TemplateError> {
        use serde_json::Value as Json;
        Ok(match value {
            Json::String(text) => Json::String(self.text(field, text)?),
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.json(field, item)).collect::<Result<_, _>>()?)
            }
            Json::Object(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.json(field, value)?)))
                    .collect::<Result<_, TemplateError>>()?,
            ),
            other => other.clone(),
        })
    }

    /// Renders shell code: no value is spliced into it, each becomes a variable that is quoted for where it stands.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or an expression stands where no value can be passed safely.
    pub fn shell(&self, field: &str, source: &str) -> Result<ShellScript, TemplateError> {
        if !is_template(source) {
            return Ok(ShellScript::constant(source));
        }
        let Marked { text, marks, values } = self.marked(environment(), field, source)?;
        let values: Vec<String> = values.into_iter().map(|value| value.text).collect();
        sinks::shell::quote(&text, marks, &values).map_err(|(line, message)| TemplateError {
            field: field.to_owned(),
            line: Some(line),
            message,
        })
    }

    /// Renders a URL: each value stays in the part of it in which it stands.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value would choose the host, or climb in the path.
    pub fn url(&self, field: &str, source: &str, start: UrlStart) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        let mut environment = environment();
        environment.add_filter("urlencode", |value: &Value| {
            minijinja::filters::urlencode(value).map(|text| Value::from_object(Encoded(text)))
        });
        let marked = self.marked(environment, field, source)?;
        sinks::url::quote(&marked, start).map_err(|message| TemplateError::refused(field, message))
    }

    /// Renders the path of a file: no value climbs out of the folder in which it stands. `escape` is for values, where the
    /// author's text is more than a path.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value would climb.
    pub fn path(&self, field: &str, source: &str, escape: fn(&str) -> String) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        let marked = self.marked(environment(), field, source)?;
        sinks::path::quote(&marked, escape).map_err(|message| TemplateError::refused(field, message))
    }

    /// Renders Markdown: what values hold is text.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub fn markdown(&self, field: &str, source: &str) -> Result<String, TemplateError> {
        Ok(sinks::markdown::quote(&self.marked(environment(), field, source)?))
    }

    /// Renders e-mail addresses, separated by commas: no value adds another one.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value is more than its part of an address.
    pub fn addresses(&self, field: &str, source: &str) -> Result<Vec<String>, TemplateError> {
        let marked = self.marked(environment(), field, source)?;
        sinks::addresses::split(&marked).map_err(|message| TemplateError::refused(field, message))
    }

    /// Renders a field whose own text is markup: what values hold is escaped, and never markup.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub fn escaped(&self, field: &str, source: &str, escape: fn(&str) -> String) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        let mut environment = environment();
        environment.set_formatter(move |out, state, value| {
            if value.is_undefined() || value.is_safe() {
                return minijinja::escape_formatter(out, state, value);
            }
            out.write_str(&escape(&value.to_string())).map_err(minijinja::Error::from)
        });
        self.render(environment, field, source)
    }

    /// Renders with a mark for each value. What the author has called `safe` becomes text of the author's.
    fn marked(&self, mut environment: Environment<'_>, field: &str, source: &str) -> Result<Marked, TemplateError> {
        let values = Arc::new(Mutex::new(Vec::new()));
        let marks = Marks::new(rand::random());
        let collected = Arc::clone(&values);
        environment.set_formatter(move |out, state, value| {
            if value.is_undefined() || value.is_safe() {
                return minijinja::escape_formatter(out, state, value);
            }
            let mut values = collected.lock().unwrap_or_else(PoisonError::into_inner);
            // A value made of other values (a macro, a captured block) is one value.
            let text = marks.resolve(&value.to_string(), &values);
            let is_encoded = value.downcast_object_ref::<Encoded>().is_some();
            let mark = marks.write(values.len());
            values.push(MarkedValue { text, is_encoded });
            out.write_str(&mark).map_err(minijinja::Error::from)
        });
        let text = self.render(environment, field, source)?;
        let values = std::mem::take(&mut *values.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Marked { text, marks, values })
    }

    fn render(&self, environment: Environment<'_>, field: &str, source: &str) -> Result<String, TemplateError> {
        let template =
            environment.template_from_named_str(field, source).map_err(|error| TemplateError::syntax(field, &error))?;
        template.render(&self.context).map_err(|error| {
            let message = match error.kind() {
                ErrorKind::UndefinedError => self.explain_undefined(&template),
                ErrorKind::OutOfFuel => "it does not come to an end".to_owned(),
                _ => describe(&error),
            };
            TemplateError { field: field.to_owned(), line: error.line(), message }
        })
    }

    /// Names what is missing.
    fn explain_undefined(&self, template: &minijinja::Template<'_, '_>) -> String {
        let mut missing: Vec<String> =
            template.undeclared_variables(true).into_iter().filter(|path| !self.scope.knows(path)).collect();
        missing.sort();
        if missing.is_empty() {
            return "it uses a value that is not defined".to_owned();
        }
        let names = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let verb = if missing.len() == 1 { "is" } else { "are" };
        format!("{names} {verb} not defined\nhint: {}", self.scope.hint_for(&missing[0]))
    }
}

/// What the filter `urlencode` makes in a URL: text that is not encoded again.
#[derive(Debug)]
struct Encoded(String);

impl Object for Encoded {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text holds anything to render.
pub fn is_template(source: &str) -> bool {
    source.contains("{{") || source.contains("{%") || source.contains("{#")
}

/// Checks a template's syntax without rendering it.
///
/// # Errors
/// The template is broken.
pub fn check_syntax(field: &str, source: &str) -> Result<(), TemplateError> {
    environment().template_from_named_str(field, source).map(drop).map_err(|error| TemplateError::syntax(field, &error))
}
