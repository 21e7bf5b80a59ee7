//! Renders templates: as plain text, or for the place that the text goes to.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flow_model::operator::branch::is_truthy;
use flow_model::suggest::listed;
use minijinja::value::Object;
use minijinja::{Environment, Error, ErrorKind, Value};
use serde_json::Value as Json;

use crate::analysis::captures;
use crate::braces::{Guarded, Reading};
use crate::engine::{environment, is_missing};
use crate::error::TemplateError;
use crate::pieces::{Piece, Pieces};
use crate::program::Program;
use crate::recorder::Recorder;
use crate::sinks::{self, ShellScript, SqlPiece, UrlStart};
use crate::values::{self, NoJson};

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
        Ok(self.pieces(field, source)?.text())
    }

    /// The value of a field: a template that is one whole expression (`{{ ... }}`, and nothing around it) gives the value
    /// itself, any other one text. An `if` without `else` that does not hold (`{{ x if false }}`) is null; dates are their text.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or JSON has no such value.
    pub fn value(&self, field: &str, source: &str) -> Result<Json, TemplateError> {
        match self.whole_json(field, source)? {
            Some(value) => Ok(value),
            None => self.text(field, source).map(Json::String),
        }
    }

    /// Whether a condition holds, and the text of what it came to. One whole expression is judged by its value: nothing,
    /// zero, an empty text, list or table mean no; so do the texts `false`, `no`, `off`, `none`, `null` and `0`.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub fn condition(&self, field: &str, source: &str) -> Result<(bool, String), TemplateError> {
        let source = source.trim();
        match self.whole(field, source)? {
            Some(value) if value.as_str().is_none() => Ok((value.is_true(), value.to_string())),
            Some(text) => Ok((is_truthy(&text.to_string()), text.to_string())),
            None => self.text(field, source).map(|text| (is_truthy(&text), text)),
        }
    }

    /// Renders every text inside a JSON value, each as [`Renderer::value`] does. What stands inside of a longer text must be
    /// a text itself, or have one that JSON and SQL share: no list, no table, no null.
    ///
    /// # Errors
    /// As [`Renderer::value`]; or a list, a table or a null stands inside of a text.
    pub fn json(&self, field: &str, value: &Json) -> Result<Json, TemplateError> {
        Ok(match value {
            Json::String(text) => match self.whole_json(field, text)? {
                Some(value) => value,
                None => Json::String(self.text_of_texts(field, text)?),
            },
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.json(field, item)).collect::<Result<_, _>>()?)
            }
            Json::Object(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.json(&format!("{field}.{key}"), value)?)))
                    .collect::<Result<_, TemplateError>>()?,
            ),
            other => other.clone(),
        })
    }

    fn text_of_texts(&self, field: &str, source: &str) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        let pieces = self.pieces(field, source)?;
        let no_text = pieces.iter().find_map(|piece| match piece {
            Piece::Value(value) => values::stays_no_text(value.kind).map(|what| (what, &value.text)),
            Piece::Own(_) => None,
        });
        match no_text {
            Some((what, text)) => Err(TemplateError::refused(
                field,
                format!(
                    "{what} (`{}`) stands inside of a text\nhint: a value keeps its type where the template is that one expression, with nothing around it; inside of a text say how it is written, as with `| join(',')`, `| tojson` or `| default('', true)`",
                    shortened(text)
                ),
            )),
            None => Ok(pieces.text()),
        }
    }

    /// The value of a template that is one whole expression.
    fn whole(&self, field: &str, source: &str) -> Result<Option<Value>, TemplateError> {
        let Some(expression) = values::whole_expression(source) else { return Ok(None) };
        let mut environment = environment();
        Recorder::default().attach(&mut environment);
        // What cannot be read as one expression is several, or a mistake that the template tells better.
        let Ok(program) = Program::expression(field, expression) else { return Ok(None) };
        match program.value(&environment, &self.context) {
            // The engine looks at what is printed only.
            Ok(value) if is_missing(&value) => Err(self.missing(field, expression, &program)),
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.explain(field, expression, &error, || program.undeclared_variables())),
        }
    }

    fn whole_json(&self, field: &str, source: &str) -> Result<Option<Json>, TemplateError> {
        let Some(value) = self.whole(field, source)? else { return Ok(None) };
        values::to_json(&value).map(Some).map_err(|no_json| match no_json {
            NoJson::Refused(message) => TemplateError::refused(field, message),
            NoJson::Missing => {
                let expression = values::whole_expression(source).unwrap_or(source);
                match Program::expression(field, expression) {
                    Ok(program) => self.missing(field, expression, &program),
                    Err(error) => TemplateError::syntax(field, expression, &error),
                }
            }
        })
    }

    /// An expression came to a value that is not defined, or has one in it.
    fn missing(&self, field: &str, expression: &str, program: &Program<'_>) -> TemplateError {
        let message = self.explain_undefined(program.undeclared_variables(), Some(expression));
        let blank = &expression[..expression.len() - expression.trim_start().len()];
        TemplateError { field: field.to_owned(), line: Some(blank.matches('\n').count() + 1), message }
    }

    /// Renders shell code: no value is spliced into it, each becomes a variable that is quoted for where it stands.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or an expression stands where no value can be passed safely.
    pub fn shell(&self, field: &str, source: &str) -> Result<ShellScript, TemplateError> {
        if !is_template(source) {
            return Ok(ShellScript::constant(source));
        }
        shell_script(field, &self.pieces(field, source)?)
    }

    /// As [`Renderer::shell`], of a script file. `template`: whether its author says that it is a template; without a word, it is
    /// one as far as its braces can be meant for one.
    ///
    /// # Errors
    /// As [`Renderer::shell`].
    pub fn shell_file(
        &self,
        field: &str,
        source: &str,
        template: Option<bool>,
    ) -> Result<Option<ShellScript>, TemplateError> {
        let guarded = self.guarded(source, template, false);
        if !guarded.is_template {
            return Ok(None);
        }
        let pieces = self.pieces(field, &guarded.text)?.with_own(|text| guarded.restored(text));
        shell_script(field, &pieces).map(Some)
    }

    /// Renders SQL in pieces: who knows the database binds the values and quotes the names. `template` as in
    /// [`Renderer::shell_file`].
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a block would capture SQL as a value, or the author calls a value `safe`.
    pub fn sql(&self, field: &str, source: &str, template: Option<bool>) -> Result<Vec<SqlPiece>, TemplateError> {
        let guarded = self.guarded(source, template, true);
        if !guarded.is_template {
            return Ok(vec![SqlPiece::Text(source.to_owned())]);
        }
        if let Some(fault) = captures(&guarded.text).into_iter().next() {
            let line = Some(source[..fault.span.start].matches('\n').count() + 1);
            return Err(TemplateError {
                field: field.to_owned(),
                line,
                message: format!("{}\nhint: {}", fault.message, fault.hint),
            });
        }
        let mut environment = environment();
        let recorder = Recorder::keeping_nothing();
        recorder.attach(&mut environment);
        let is_spent = sinks::sql::add_filters(&mut environment);
        let pieces = self.rendered(field, &guarded.text, &environment, &recorder)?;
        if is_spent.load(Ordering::Relaxed) {
            return Err(TemplateError::refused(field, sinks::sql::SPENT.to_owned()));
        }
        sinks::sql::pieces(&pieces, |text| guarded.restored(text)).map_err(|no_json| {
            let message = match no_json {
                NoJson::Refused(message) => message,
                NoJson::Missing => {
                    let names = Program::template(field, &guarded.text).map(|program| program.undeclared_variables());
                    self.explain_undefined(names.unwrap_or_default(), Some("a list or a table"))
                }
            };
            TemplateError::refused(field, message)
        })
    }

    fn guarded(&self, source: &str, template: Option<bool>, takes_doubtful: bool) -> Guarded {
        let knows = |name: &str| self.scope.knows(name);
        Guarded::read(source, &Reading { template, takes_doubtful, knows: &knows })
    }

    /// Renders a URL: each value stays in the part of it in which it stands.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value would choose the host, or climb in the path.
    pub fn url(&self, field: &str, source: &str, start: UrlStart) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        let pieces = self.pieces(field, source)?;
        sinks::url::quote(&pieces, start).map_err(|message| TemplateError::refused(field, message))
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
        let pieces = self.pieces(field, source)?;
        sinks::path::quote(&pieces, escape).map_err(|message| TemplateError::refused(field, message))
    }

    /// Renders the name of an image of containers: no value chooses the registry, the tag or the digest, unless it is the whole.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value is more than its part of the name.
    pub fn image(&self, field: &str, source: &str) -> Result<String, TemplateError> {
        let pieces = self.pieces(field, source)?;
        sinks::image::quote(&pieces).map_err(|message| TemplateError::refused(field, message))
    }

    /// Renders an environment variable. Of those that bash or other programs run as code, values may only be what no language
    /// gives a meaning.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value would be run.
    pub fn variable(&self, field: &str, name: &str, source: &str) -> Result<String, TemplateError> {
        if !sinks::shell::is_run(name) {
            return self.text(field, source);
        }
        let pieces = self.pieces(field, source)?;
        sinks::shell::plain(&pieces, name).map_err(|message| TemplateError::refused(field, message))?;
        Ok(pieces.text())
    }

    /// Renders a program and its arguments, with no shell in between. Where the program runs an argument as code, values may only
    /// be what is harmless there.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value would be run.
    pub fn arguments(&self, field: &str, argv: &[String]) -> Result<Vec<String>, TemplateError> {
        let argv: Vec<Pieces> =
            argv.iter().map(|source| self.own_or_pieces(field, source)).collect::<Result<_, _>>()?;
        sinks::shell::arguments(&argv).map_err(|message| TemplateError::refused(field, message))?;
        Ok(argv.iter().map(Pieces::text).collect())
    }

    /// Renders the standard input of the program with these arguments, which may run what it reads.
    ///
    /// # Errors
    /// As [`Renderer::arguments`].
    pub fn standard_input(&self, field: &str, argv: &[String], source: &str) -> Result<String, TemplateError> {
        let pieces = self.own_or_pieces(field, source)?;
        sinks::shell::standard_input(argv, &pieces).map_err(|message| TemplateError::refused(field, message))?;
        Ok(pieces.text())
    }

    /// Renders Markdown: what values hold is text.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub fn markdown(&self, field: &str, source: &str) -> Result<String, TemplateError> {
        Ok(sinks::markdown::quote(&self.pieces(field, source)?))
    }

    /// Renders e-mail addresses, separated by commas: no value adds another one.
    ///
    /// # Errors
    /// As [`Renderer::text`]; or a value is more than its part of an address.
    pub fn addresses(&self, field: &str, source: &str) -> Result<Vec<String>, TemplateError> {
        let pieces = self.pieces(field, source)?;
        sinks::addresses::split(&pieces).map_err(|message| TemplateError::refused(field, message))
    }

    /// Renders a field whose own text is markup: what values hold is escaped, and never markup.
    ///
    /// # Errors
    /// As [`Renderer::text`].
    pub fn escaped(&self, field: &str, source: &str, escape: fn(&str) -> String) -> Result<String, TemplateError> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        let pieces = self.pieces(field, source)?;
        let written = pieces.iter().map(|piece| match piece {
            Piece::Own(text) => text.clone(),
            Piece::Value(value) => escape(&value.text),
        });
        Ok(written.collect())
    }

    /// Renders, and tells the values in the text from what is the author's.
    fn own_or_pieces(&self, field: &str, source: &str) -> Result<Pieces, TemplateError> {
        if is_template(source) {
            return self.pieces(field, source);
        }
        let mut pieces = Pieces::default();
        pieces.push_own(source);
        Ok(pieces)
    }

    fn pieces(&self, field: &str, source: &str) -> Result<Pieces, TemplateError> {
        let mut environment = environment();
        let recorder = Recorder::default();
        recorder.attach(&mut environment);
        self.rendered(field, source, &environment, &recorder)
    }

    fn rendered(
        &self,
        field: &str,
        source: &str,
        environment: &Environment<'_>,
        recorder: &Recorder,
    ) -> Result<Pieces, TemplateError> {
        let program = Program::template(field, source).map_err(|error| TemplateError::syntax(field, source, &error))?;
        program
            .render_to(environment, &self.context, recorder.clone())
            .map_err(|error| self.explain(field, source, &error, || program.undeclared_variables()))?;
        Ok(recorder.take())
    }

    fn explain(
        &self,
        field: &str,
        source: &str,
        error: &Error,
        names: impl FnOnce() -> HashSet<String>,
    ) -> TemplateError {
        let expression = error.range().and_then(|range| source.get(range));
        match error.kind() {
            ErrorKind::UndefinedError => {
                let message = self.explain_undefined(names(), expression);
                TemplateError { field: field.to_owned(), line: error.line(), message }
            }
            _ => TemplateError::of(field, error, expression),
        }
    }

    /// Names what is missing.
    fn explain_undefined(&self, names: HashSet<String>, expression: Option<&str>) -> String {
        let mut missing: Vec<String> = names.into_iter().filter(|path| !self.scope.knows(path)).collect();
        missing.sort();
        if missing.is_empty() {
            let what = expression.map_or_else(|| "it".to_owned(), |expression| format!("`{}`", expression.trim()));
            return format!(
                "{what} uses a value that is not defined\nhint: give one for where it is not: `| default(\"x\")`"
            );
        }
        let names = listed(missing.iter().map(String::as_str));
        let verb = if missing.len() == 1 { "is" } else { "are" };
        format!("{names} {verb} not defined\nhint: {}", self.scope.hint_for(&missing[0]))
    }
}

fn shell_script(field: &str, pieces: &Pieces) -> Result<ShellScript, TemplateError> {
    sinks::shell::quote(pieces).map_err(|(line, message)| TemplateError {
        field: field.to_owned(),
        line: Some(line),
        message,
    })
}

/// The beginning of a text, for a message.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether a text holds anything to render.
pub fn is_template(source: &str) -> bool {
    source.contains("{{") || source.contains("{%") || source.contains("{#")
}
