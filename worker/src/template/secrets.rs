//! `var` and `conn`: variables and connections in templates, as Airflow has them.

use std::fmt;
use std::sync::Arc;

use flow_model::Connection;
use flow_secrets::SecretsError;
use flow_template::from_json;
use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};
use serde_json::Value as Json;

use super::xcom::{Lookups, Wanted};

/// `var`: `var.value.<key>` is a variable's text, `var.json.<key>` what the text says as JSON.
#[derive(Debug)]
pub(super) struct Variables(pub Arc<Lookups>);

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let is_json = match key.as_str()? {
            "value" => false,
            "json" => true,
            _ => return None,
        };
        Some(Value::from_object(Named { kind: Kind::Variable { is_json }, lookups: Arc::clone(&self.0) }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["value", "json"])
    }
}

/// `conn`: `conn.<conn_id>` is a connection.
pub(super) fn connections(lookups: &Arc<Lookups>) -> Value {
    Value::from_object(Named { kind: Kind::Connection, lookups: Arc::clone(lookups) })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Variable { is_json: bool },
    Connection,
}

/// Things by name: `x.<name>`, or `x.get("<name>", default)` for names with dots and those that may be missing.
#[derive(Debug)]
struct Named {
    kind: Kind,
    lookups: Arc<Lookups>,
}

impl Named {
    fn find(&self, name: &str) -> Result<Option<Value>, Error> {
        match self.kind {
            Kind::Connection => {
                let found = self.lookups.get(Wanted::Connection(name.to_owned()))?;
                found.map(|fields| connection(name, &fields)).transpose()
            }
            Kind::Variable { is_json } => {
                let found = self.lookups.get(Wanted::Variable(name.to_owned()))?;
                let Some(Json::String(text)) = found else { return Ok(None) };
                if !is_json {
                    return Ok(Some(Value::from(text)));
                }
                // The parser's words could hold a part of the value.
                let wrong = |_| Error::new(ErrorKind::InvalidOperation, format!("variable `{name}` is not JSON"));
                serde_json::from_str::<Json>(&text).map(|value| Some(from_json(&value))).map_err(wrong)
            }
        }
    }

    fn missing(&self, name: &str) -> Error {
        Error::new(ErrorKind::InvalidOperation, missing(matches!(self.kind, Kind::Connection), name).to_string())
    }
}

/// What there is to say about a name that no source has.
pub(crate) fn missing(is_connection: bool, name: &str) -> SecretsError {
    let name = name.to_owned();
    if is_connection { SecretsError::NoConnection(name) } else { SecretsError::NoVariable(name) }
}

impl Object for Named {
    /// Nothing to list: names are looked up one by one.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.find(key.as_str()?).unwrap_or_else(|error| Some(Value::from(error)))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("there is no method `{method}` here, only `get`"),
            ));
        }
        let (name, default, kwargs): (String, Option<Value>, Kwargs) = minijinja::value::from_args(args)?;
        let default = match default {
            Some(default) => Some(default),
            // `none` is a default, too.
            None if kwargs.has("default") => Some(kwargs.get("default")?),
            None => args.get(1).filter(|default| default.is_none()).cloned(),
        };
        kwargs.assert_all_used()?;
        self.find(&name)?.or(default).ok_or_else(|| self.missing(&name))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self.kind, Kind::Connection) { "conn" } else { "var" })
    }
}

/// A connection: its fields, and `get_uri()`. As text it is its name: a whole connection in a log helps nobody.
#[derive(Debug)]
struct ConnectionValue {
    connection: Connection,
    fields: Value,
}

fn connection(conn_id: &str, fields: &Json) -> Result<Value, Error> {
    let wrong = |error| Error::new(ErrorKind::InvalidOperation, format!("connection `{conn_id}`: {error}"));
    let connection = Connection::from_json(conn_id, fields).map_err(wrong)?;
    let mut shown = fields.clone();
    shown["extra_dejson"] = shown["extra"].take();
    shown["extra"] = Json::String(shown["extra_dejson"].to_string());
    Ok(Value::from_object(ConnectionValue { connection, fields: from_json(&shown) }))
}

impl Object for ConnectionValue {
    /// Nothing to list: names are looked up one by one.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    /// `{% if conn.get("db", none) %}` asks whether it is there.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.fields.get_item(key).ok().filter(|value| !value.is_undefined())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        minijinja::value::from_args::<()>(args)?;
        match method {
            "get_uri" => Ok(Value::from(self.connection.to_uri().expose())),
            _ => Err(Error::new(ErrorKind::UnknownMethod, format!("a connection has no method `{method}`"))),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.connection.conn_id)
    }
}
