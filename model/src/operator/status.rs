//! Status codes as people write them: `200` or `"2xx"`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// What one entry may look like, in the JSON Schema.
pub(in crate::operator) struct WrittenStatus;

impl JsonSchema for WrittenStatus {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] })
    }
}

/// Reads a list of codes and classes; all of them become text.
pub(in crate::operator) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Code(i64),
        Text(String),
    }
    let written = Vec::<Written>::deserialize(deserializer)?;
    Ok(written
        .into_iter()
        .map(|status| match status {
            Written::Code(code) => code.to_string(),
            Written::Text(text) => text,
        })
        .collect())
}
