//! The `sql` operator: what to run, and with which values.

use flow_model::operator::Sql;
use flow_sql::{Bound, Dialect, Piece, SqlError, bind};
use serde_json::{Map, Value, json};

use crate::template::{Renderer, SqlPiece, TemplateError};

/// Statements to run.
#[derive(Debug)]
pub struct SqlWork {
    /// The operator, its parameters rendered.
    pub sql: Sql,
    /// What its query or its file has come to.
    pub statements: Statements,
}

/// Statements whose values are not bound yet: that takes the language of the database.
#[derive(Debug)]
pub struct Statements(Vec<Piece>);

pub(super) fn prepare(
    sql: &Sql,
    file: Option<&str>,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<SqlWork, TemplateError> {
    let parameters = parameters(&sql.parameters, renderer)?;
    let sqlite = sql.sqlite.as_ref().map(|path| renderer.path("sqlite", path, str::to_owned)).transpose()?;
    match &sqlite {
        Some(path) => rendered.insert("sqlite".to_owned(), json!(path)),
        None => rendered.insert("connection".to_owned(), json!(sql.connection)),
    };
    let (field, text) = match &sql.query {
        Some(query) => ("query", query.as_str()),
        None => ("file", file.unwrap_or_default()),
    };
    let statements = statements(field, text, sql.template, renderer)?;
    rendered.insert(field.to_owned(), json!(statements.shown()));
    rendered.insert("parameters".to_owned(), json!(parameters));
    Ok(SqlWork { sql: Sql { parameters, sqlite, ..sql.clone() }, statements })
}

/// The values of `:name`, rendered.
pub(super) fn parameters(
    parameters: &Map<String, Value>,
    renderer: &Renderer,
) -> Result<Map<String, Value>, TemplateError> {
    match renderer.json("parameters", &Value::Object(parameters.clone()))? {
        Value::Object(parameters) => Ok(parameters),
        _ => Ok(Map::new()),
    }
}

/// SQL, rendered as far as that can be done without its database.
pub(super) fn statements(
    field: &str,
    text: &str,
    template: Option<bool>,
    renderer: &Renderer,
) -> Result<Statements, TemplateError> {
    let piece = |piece| match piece {
        SqlPiece::Text(text) => Piece::Text(text),
        SqlPiece::Value(value) => Piece::Value(value),
        SqlPiece::Name(names) => Piece::Name(names),
    };
    Ok(Statements(renderer.sql(field, text, template)?.into_iter().map(piece).collect()))
}

impl Statements {
    /// The SQL as people see it: values are JSON.
    pub fn shown(&self) -> String {
        let written = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(value) => value.to_string(),
            Piece::Name(names) => names.join("."),
        });
        written.collect()
    }

    /// The SQL, where there is nothing to bind.
    pub fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Binds the values beside the parameters of the task.
    ///
    /// # Errors
    /// A value stands where none can be bound.
    pub fn bind(&self, dialect: Dialect, parameters: &Map<String, Value>) -> Result<Bound, SqlError> {
        bind(dialect, &self.0, parameters)
    }
}
