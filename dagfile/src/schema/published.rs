//! The schema as editors and linters get it.
//!
//! The walk that checks files reads a schema in which dates and durations are formats of their own and `null` stands for "not
//! given". Here these become what TOML tools know, and what the rest of the parser checks by itself is said as far as a
//! schema can: exactly one operator, usable ids, how params are declared, what can be mapped over.

use serde_json::{Map, Value, json};

use super::OPERATORS;
use crate::semantic::{PARAM_KEYWORDS, PARAM_TYPES};

/// Ids become parts of URLs, file names and metrics.
const ID: &str = "^[A-Za-z0-9_.-]{1,250}$";

/// Names that templates can use.
const NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// The whole text is one expression that names an XCom or a param.
const REFERENCE: &str = r"^\s*\{\{[\s\S]*(params|xcom)[\s\S]*\}\}\s*$";

/// An amount comes before its unit: `30s`, `1h 30m`, `PT5M`.
const DURATION: &str = r"[0-9]\s*[A-Za-zµμ:.,]";

/// A date begins with its year.
const DATE: &str = "^[+-]?[0-9]{4}";

/// Formats by which TOML tools know dates without quotes.
const DATES: [&str; 3] = ["date", "date-time", "date-time-local"];

/// The published form of the schema that the walk reads.
pub(super) fn from(whole: &Value) -> Value {
    let mut schema = whole.clone();
    for_editors(&mut schema);
    let definitions = &mut schema["$defs"];
    definitions["param"] = param();
    definitions["source"] = source();
    definitions["task"]["oneOf"] = OPERATORS.iter().map(|form| json!({ "required": [form.name] })).collect();
    definitions["task_group"]["anyOf"] = holds_tasks();
    for operator in ["approval", "form"] {
        declare_params(&mut definitions["task"]["properties"][operator]["anyOf"][1]);
    }
    for mapped in ["task", "task_group"] {
        let mapped = &mut definitions[mapped];
        mapped["not"] = json!({ "required": ["expand", "expand_kwargs"] });
        let properties = &mut mapped["properties"];
        properties["expand"]["minProperties"] = json!(1);
        close(&mut properties["expand"], NAME, json!({ "$ref": "#/$defs/source" }));
        properties["expand_kwargs"]["anyOf"][0]["pattern"] = json!(REFERENCE);
    }
    declare_params(&mut schema);
    schema["anyOf"] = holds_tasks();
    schema["properties"]["dag_id"]["pattern"] = json!(ID);
    let schedules = &mut schema["properties"]["schedule"]["anyOf"];
    schedules[1]["properties"]["webhook"]["properties"]["name"]["pattern"] = json!(ID);
    schedules[2]["items"]["anyOf"][1]["properties"]["webhook"]["properties"]["name"]["pattern"] = json!(ID);
    close_holders(&mut schema);
    close_holders(&mut schema["$defs"]["task_group"]);
    schema
}

fn holds_tasks() -> Value {
    let holder = |name: &str| json!({ "required": [name], "properties": { name: { "minProperties": 1 } } });
    json!([holder("tasks"), holder("task_groups")])
}

fn close_holders(table: &mut Value) {
    for holder in ["tasks", "task_groups"] {
        let holder = &mut table["properties"][holder];
        let held = holder["additionalProperties"].take();
        close(holder, ID, held);
    }
}

/// A table whose keys match a pattern.
fn close(table: &mut Value, pattern: &str, value: Value) {
    table["additionalProperties"] = json!(false);
    table["patternProperties"] = json!({ pattern: value });
}

fn declare_params(table: &mut Value) {
    table["properties"]["params"]["additionalProperties"] = json!({ "$ref": "#/$defs/param" });
}

/// A param: a declaration, or just its default.
fn param() -> Value {
    let properties: Map<String, Value> =
        PARAM_KEYWORDS.iter().map(|keyword| ((*keyword).to_owned(), param_keyword(keyword))).collect();
    let mut forms = vec![
        json!({
            "description": "A declaration: JSON Schema's keywords, and those of the form.",
            "type": "object", "minProperties": 1, "additionalProperties": false, "properties": properties,
        }),
        json!({
            "description": "A default that is a table.",
            "type": "object", "additionalProperties": true, "propertyNames": { "not": { "enum": PARAM_KEYWORDS } },
        }),
    ];
    forms.extend(["string", "number", "boolean", "array"].map(|kind| json!({ "type": kind })));
    forms.extend(DATES.iter().chain(&["time-local"]).map(|format| json!({ "type": "string", "format": format })));
    json!({ "description": "A declaration, or just the default.", "anyOf": forms })
}

fn param_keyword(keyword: &str) -> Value {
    let of_type = |kind: &str, description: &str| json!({ "description": description, "type": kind });
    let name = json!({ "enum": PARAM_TYPES });
    match keyword {
        "type" => json!({
            "description": "The type, or a list of types; with `null` among them the value may be left out.",
            "anyOf": [name, { "type": "array", "items": name }],
        }),
        "default" => any("The value of a run that is given none."),
        "enum" => of_type("array", "The values that are allowed."),
        "examples" => of_type("array", "Values that the form suggests."),
        "title" => of_type("string", "The field's label."),
        "description" => of_type("string", "What it is for, in a line."),
        "description_md" => of_type("string", "What it is for, in Markdown."),
        "section" => of_type("string", "The part of the form that it stands in."),
        "format" => of_type("string", "What the text is, such as `date`, `date-time`, `email` or `multiline`."),
        "pattern" => of_type("string", "A regular expression that the text has to match."),
        "values_display" => json!({
            "description": "What people read instead of the values of `enum` or `examples`.",
            "type": "object", "additionalProperties": { "type": "string" },
        }),
        word => {
            let mut schema = param_limit(word);
            schema["description"] = json!(format!("JSON Schema's `{word}`."));
            schema
        }
    }
}

/// What JSON Schema's own keywords take.
fn param_limit(keyword: &str) -> Value {
    match keyword {
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => json!({ "type": "number" }),
        "minLength" | "maxLength" | "minItems" | "maxItems" => json!({ "type": "integer", "minimum": 0 }),
        "uniqueItems" => json!({ "type": "boolean" }),
        "items" | "additionalProperties" | "not" => {
            json!({ "type": ["object", "boolean"], "additionalProperties": true })
        }
        "properties" => json!({ "type": "object", "additionalProperties": true }),
        "required" => json!({ "type": "array", "items": { "type": "string" } }),
        "anyOf" | "oneOf" | "allOf" => json!({ "type": "array", "minItems": 1 }),
        _ => any(""),
    }
}

/// What a mapping takes its values from.
fn source() -> Value {
    let lists = json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/source" } });
    let table = |required: &str, properties: Value| json!({ "type": "object", "additionalProperties": false, "required": [required], "properties": properties });
    json!({
        "description": "A list, \"{{ xcom.<task> }}\", \"{{ params.<name> }}\", or a table with `zip`, `concat`, or `xcom` and `key`.",
        "anyOf": [
            { "type": "array" },
            { "type": "string", "pattern": REFERENCE },
            table("zip", json!({
                "zip": described(&lists, "Lists whose values go side by side."),
                "fill": any("Fills up the lists that are shorter."),
            })),
            table("concat", json!({ "concat": described(&lists, "Lists that follow each other.") })),
            table("xcom", json!({
                "xcom": { "description": "The task whose XCom is mapped over.", "type": "string" },
                "key": { "description": "The XCom's key (default: `return_value`).", "type": "string" },
            })),
        ],
    })
}

/// Any value; tables said aloud, as in [`for_editors`].
fn any(description: &str) -> Value {
    json!({ "description": description, "additionalProperties": true })
}

fn described(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    schema["description"] = json!(description);
    schema
}

/// Puts a schema, and all inside of it, into the words that TOML tools know.
fn for_editors(schema: &mut Value) {
    without_null(schema);
    standard_format(schema);
    let Some(keywords) = schema.as_object_mut() else { return };
    let narrowed =
        ["type", "anyOf", "oneOf", "$ref", "const", "enum"].iter().any(|keyword| keywords.contains_key(*keyword));
    if !narrowed || keywords.get("type").is_some_and(|kind| kind == "object") {
        // Said aloud: tools take a table without the word for a closed one.
        keywords.entry("additionalProperties").or_insert(json!(true));
    }
    for (keyword, below) in keywords {
        match keyword.as_str() {
            "properties" | "$defs" => {
                for (key, one) in below.as_object_mut().into_iter().flatten() {
                    for_editors(one);
                    if key.starts_with("on_") && one["type"] == "array" {
                        one["items"]["minProperties"] = json!(1);
                        one["items"]["maxProperties"] = json!(1);
                    }
                }
            }
            "anyOf" | "oneOf" => below.as_array_mut().into_iter().flatten().for_each(for_editors),
            "items" | "additionalProperties" => for_editors(below),
            _ => {}
        }
    }
}

/// TOML has no null.
fn without_null(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    if keywords.get("default").is_some_and(Value::is_null) {
        keywords.shift_remove("default");
    }
    if let Some(Value::Array(kinds)) = keywords.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            keywords.insert("type".to_owned(), only);
        }
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(forms)) = keywords.get_mut(keyword) else { continue };
        forms.retain(|form| form["type"] != "null");
        if let [Value::Object(only)] = forms.as_slice() {
            let only = only.clone();
            keywords.shift_remove(keyword);
            for (key, value) in only {
                keywords.entry(key).or_insert(value);
            }
        }
    }
}

/// Formats of the walk's own become patterns, sizes of numbers become limits.
fn standard_format(schema: &mut Value) {
    let Some(format) = schema["format"].as_str().map(str::to_owned) else { return };
    let Some(keywords) = schema.as_object_mut() else { return };
    match format.as_str() {
        "flow-date" => {
            keywords.shift_remove("type");
            keywords.shift_remove("format");
            let mut forms = vec![json!({ "type": "string", "pattern": DATE })];
            forms.extend(DATES.map(|format| json!({ "type": "string", "format": format, "pattern": DATE })));
            keywords.insert("anyOf".to_owned(), Value::Array(forms));
        }
        "flow-duration" => {
            keywords.shift_remove("format");
            keywords.insert("pattern".to_owned(), json!(DURATION));
        }
        "uint32" => {
            keywords.shift_remove("format");
            keywords.entry("maximum").or_insert(json!(u32::MAX));
        }
        "int64" | "uint64" | "double" => drop(keywords.shift_remove("format")),
        _ => {}
    }
}
