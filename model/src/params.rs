//! Typed parameters of a DAG: their declaration, and the check of what a trigger passes.

mod declared;
mod format;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use declared::Params;
pub use format::{FORMATS, is_format};

/// One declared parameter: a JSON Schema with an optional default, as in Airflow's `Param`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// The value when a trigger passes none; see [`Param::default_value`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// JSON Schema keywords: `type`, `enum`, `minimum`, `pattern`, `title`, `description` ...
    #[serde(flatten)]
    pub schema: Map<String, Value>,
}

/// What is wrong with the value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParamProblem {
    /// The parameter.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ParamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "param `{}`: {}", self.name, self.message)
    }
}

impl Param {
    /// Checks a value against the declared schema. `format` is asserted, and null is allowed wherever the type allows
    /// it: TOML has no null that could be listed in `enum`.
    ///
    /// # Errors
    /// Every way in which the value does not fit; or that the schema itself cannot be used.
    pub fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let schema = Value::Object(self.schema.clone());
        let validator = format::options()
            .build(&schema)
            .map_err(|error| vec![format!("its declaration is not a usable JSON Schema: {error}")])?;
        if value.is_null() && self.is_nullable() {
            return Ok(());
        }
        let problems: Vec<String> = validator
            .iter_errors(value)
            .map(|error| match error.instance_path().as_str() {
                "" => error.to_string(),
                place => format!("at `{place}`: {error}"),
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The value when a trigger passes none: the default, else the only value there is (`const`), else null where null
    /// is allowed. Without any of them the parameter is required.
    pub fn default_value(&self) -> Option<&Value> {
        self.default
            .as_ref()
            .or_else(|| self.schema.get("const"))
            .or_else(|| self.is_nullable().then_some(&Value::Null))
    }

    /// Whether null is one of its types.
    pub fn is_nullable(&self) -> bool {
        self.allows("null")
    }

    /// Its type, where it has exactly one besides `null`; empty otherwise.
    pub fn kind(&self) -> &str {
        match self.schema.get("type") {
            Some(Value::String(only)) => only,
            Some(Value::Array(several)) => {
                let mut kinds = several.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
                kinds.next().filter(|_| kinds.next().is_none()).unwrap_or_default()
            }
            _ => "",
        }
    }

    /// A keyword whose value is text; empty where it is absent.
    pub fn word(&self, keyword: &str) -> &str {
        self.schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
    }

    /// Reads a text as the type that is declared: text for strings, JSON for the rest. Without a type it is JSON where
    /// the text is JSON, and text otherwise.
    ///
    /// # Errors
    /// The value does not fit.
    pub fn read_text(&self, text: &str) -> Result<Value, Vec<String>> {
        let json = serde_json::from_str::<Value>(text).ok();
        let value = match json {
            // A string param takes `5` as the text "5"; one that also allows numbers takes the number.
            Some(json) if !self.allows("string") || (!json.is_string() && self.check(&json).is_ok()) => json,
            _ => Value::String(text.to_owned()),
        };
        self.check(&value).map(|()| value)
    }

    /// Whether the declaration allows a type of this JSON Schema name.
    fn allows(&self, name: &str) -> bool {
        match self.schema.get("type") {
            Some(Value::String(only)) => only == name,
            Some(Value::Array(several)) => several.iter().any(|one| one == name),
            _ => false,
        }
    }
}

/// The values that a run's templates see as `params`: the declared defaults with `conf` on top, checked. Keys of `conf`
/// that are no parameters are passed on, as in Airflow.
///
/// # Errors
/// Everything that does not fit, in the order of the declarations.
pub fn resolve_params(declared: &Params, conf: &Map<String, Value>) -> Result<Map<String, Value>, Vec<ParamProblem>> {
    let mut resolved = Map::new();
    let mut problems = Vec::new();
    for (name, param) in declared.iter() {
        let Some(value) = conf.get(name).or(param.default_value()) else {
            let message = "it has no default, so a trigger must pass a value".to_owned();
            problems.push(ParamProblem { name: name.to_owned(), message });
            continue;
        };
        if let Err(messages) = param.check(value) {
            problems.extend(messages.into_iter().map(|message| ParamProblem { name: name.to_owned(), message }));
        }
        resolved.insert(name.to_owned(), value.clone());
    }
    for (name, value) in conf {
        if declared.get(name).is_none() {
            resolved.insert(name.clone(), value.clone());
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// Reads the text of `-p name=text` as [`Param::read_text`] does.
///
/// # Errors
/// There is no such parameter, or the text does not fit it.
pub fn coerce_text(declared: &Params, name: &str, text: &str) -> Result<Value, ParamProblem> {
    let problem = |message: String| ParamProblem { name: name.to_owned(), message };
    let Some(param) = declared.get(name) else {
        let known = declared.iter().map(|(known, _)| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "the DAG declares none".to_owned() } else { format!("the DAG has {known}") };
        return Err(problem(format!("there is no such param; {known}")));
    };
    param.read_text(text).map_err(|messages| problem(messages.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Params {
        serde_json::from_value(serde_json::json!({
            "region": { "type": "string", "default": "eu", "enum": ["eu", "us"] },
            "rows": { "type": "integer", "minimum": 1 },
            "note": { "type": ["string", "null"], "default": "-" },
        }))
        .unwrap()
    }

    fn param(schema: Value) -> Param {
        serde_json::from_value(schema).unwrap()
    }

    #[test]
    fn defaults_come_first_and_conf_wins() {
        let conf = serde_json::from_str(r#"{"rows": 3, "extra": true}"#).unwrap();
        let params = resolve_params(&declared(), &conf).unwrap();
        let expected = r#"{"region":"eu","rows":3,"note":"-","extra":true}"#;
        assert_eq!(Value::Object(params).to_string(), expected);
    }

    #[test]
    fn numbers_of_any_size_are_checked() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let limited = param(serde_json::json!({ "type": "integer", "minimum": 1, "maximum": 9 }));
        let large = param(serde_json::json!({ "type": "integer", "minimum": 1 }));
        let number = param(serde_json::json!({ "type": "number" }));
        for text in ["12345678901234567890123", "9007199254740993"] {
            assert!(large.check(&read(text)).is_ok() && limited.check(&read(text)).is_err(), "{text}");
            assert_eq!(large.read_text(text).unwrap().to_string(), text);
        }
        assert!(large.check(&read("-12345678901234567890123")).is_err());
        assert_eq!(number.read_text("1e400").unwrap().to_string(), "1e+400");
    }

    #[test]
    fn every_problem_is_told() {
        let conf = serde_json::from_str(r#"{"region": "mars", "rows": "many"}"#).unwrap();
        let problems = resolve_params(&declared(), &conf).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.name.as_str()).collect::<Vec<_>>(), ["region", "rows"]);
        let missing = resolve_params(&declared(), &Map::new()).unwrap_err();
        assert!(missing[0].message.contains("no default"), "{missing:?}");
    }

    #[test]
    fn text_becomes_what_the_param_declares() {
        assert_eq!(coerce_text(&declared(), "rows", "3").unwrap(), 3);
        assert_eq!(coerce_text(&declared(), "note", "3").unwrap(), "3");
        assert_eq!(coerce_text(&declared(), "note", "null").unwrap(), Value::Null);
        assert!(coerce_text(&declared(), "rows", "0").unwrap_err().message.contains("minimum"));
        assert!(coerce_text(&declared(), "regoin", "eu").unwrap_err().message.contains("`region`"));
    }

    #[test]
    fn null_fits_wherever_the_type_allows_it() {
        let nullable = param(serde_json::json!({ "type": ["string", "null"], "enum": ["a", "b"], "format": "date" }));
        assert_eq!(nullable.check(&Value::Null), Ok(()));
        assert_eq!(nullable.default_value(), Some(&Value::Null));
        assert_eq!(nullable.kind(), "string");
        let plain = param(serde_json::json!({ "type": "string" }));
        assert!(plain.check(&Value::Null).is_err());
        assert_eq!(plain.default_value(), None);
        assert_eq!(param(serde_json::json!({ "const": 7 })).default_value(), Some(&serde_json::json!(7)));
        assert_eq!(param(serde_json::json!({ "type": ["string", "integer"] })).kind(), "");
    }

    #[test]
    fn problems_inside_a_value_say_where() {
        let list = param(serde_json::json!({ "type": "array", "items": { "type": "integer" }, "uniqueItems": true }));
        let messages = list.check(&serde_json::json!([1, "two"])).unwrap_err();
        assert_eq!(messages, [r#"at `/1`: "two" is not of type "integer""#]);
        assert!(list.check(&serde_json::json!([1, 1])).is_err());
    }
}
