//! The `sql` operator: what to run, and with which values.

use flow_model::operator::Sql;
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

/// Statements to run.
#[derive(Debug)]
pub struct SqlWork {
    /// The operator, its parameters rendered.
    pub sql: Sql,
}

pub(super) fn prepare(
    sql: &Sql,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<SqlWork, TemplateError> {
    let parameters = parameters(&sql.parameters, renderer)?;
    let sqlite = sql.sqlite.as_ref().map(|path| renderer.path("sqlite", path, str::to_owned)).transpose()?;
    match &sqlite {
        Some(path) => rendered.insert("sqlite".to_owned(), json!(path)),
        None => rendered.insert("connection".to_owned(), json!(sql.connection)),
    };
    if let Some(query) = &sql.query {
        rendered.insert("query".to_owned(), json!(query));
    }
    rendered.insert("parameters".to_owned(), json!(parameters));
    Ok(SqlWork { sql: Sql { parameters, sqlite, ..sql.clone() } })
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
