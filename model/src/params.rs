//! Typed parameters of a DAG: their declaration, and the check of what a trigger passes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One declared parameter: a JSON Schema with an optional default, as in Airflow's `Param`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// The value when a trigger passes none. Without a default the parameter is required.
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
    /// Checks a value against the declared schema.
    ///
    /// # Errors
    /// Every way in which the value does not fit; or that the schema itself cannot be used.
    pub fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let schema = Value::Object(self.schema.clone());
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| vec![format!("its declaration is not a usable JSON Schema: {error}")])?;
        let problems: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
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
/// Everything that does not fit, in order of the parameters' names.
pub fn resolve_params(
    declared: &BTreeMap<String, Param>,
    conf: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParamProblem>> {
    let mut resolved = Map::new();
    let mut problems = Vec::new();
    for (name, param) in declared {
        let Some(value) = conf.get(name).or(param.default.as_ref()) else {
            let message = "it has no default, so a trigger must pass a value".to_owned();
            problems.push(ParamProblem { name: name.clone(), message });
            continue;
        };
        if let Err(messages) = param.check(value) {
            problems.extend(messages.into_iter().map(|message| ParamProblem { name: name.clone(), message }));
        }
        resolved.insert(name.clone(), value.clone());
    }
    for (name, value) in conf {
        if !declared.contains_key(name) {
            resolved.insert(name.clone(), value.clone());
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// Reads the text of `-p name=text` as the type that the parameter declares: text for strings, JSON for the rest. A
/// parameter without a type takes JSON where the text is JSON, and text otherwise.
///
/// # Errors
/// There is no such parameter, or the text does not fit it.
pub fn coerce_text(declared: &BTreeMap<String, Param>, name: &str, text: &str) -> Result<Value, ParamProblem> {
    let problem = |message: String| ParamProblem { name: name.to_owned(), message };
    let Some(param) = declared.get(name) else {
        let known = declared.keys().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "the DAG declares none".to_owned() } else { format!("the DAG has {known}") };
        return Err(problem(format!("there is no such param; {known}")));
    };
    let json = serde_json::from_str::<Value>(text).ok();
    let as_text = Value::String(text.to_owned());
    let value = match json {
        // A string param takes `5` as the text "5"; one that also allows numbers takes the number.
        Some(json) if !param.allows("string") || (!json.is_string() && param.check(&json).is_ok()) => json,
        _ => as_text,
    };
    param.check(&value).map_err(|messages| problem(messages.join("; ")))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> BTreeMap<String, Param> {
        serde_json::from_value(serde_json::json!({
            "region": { "type": "string", "default": "eu", "enum": ["eu", "us"] },
            "rows": { "type": "integer", "minimum": 1 },
            "note": { "type": ["string", "null"], "default": "-" },
        }))
        .unwrap()
    }

    #[test]
    fn defaults_come_first_and_conf_wins() {
        let conf = serde_json::from_str(r#"{"rows": 3, "extra": true}"#).unwrap();
        let params = resolve_params(&declared(), &conf).unwrap();
        assert_eq!(Value::Object(params), serde_json::json!({"note": "-", "region": "eu", "rows": 3, "extra": true}));
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
}
