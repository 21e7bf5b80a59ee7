//! Fields of outputs that a task declares.

use std::collections::BTreeMap;

use flow_template::analysis::{Fault, Step};
use serde_json::Value;

use flow_model::dag::RETURN_VALUE;
use flow_model::suggest::{listed, nearest};

/// What is wrong with following `fields` into the output of a task that declares its outputs.
pub(super) fn fault_in_output(task: &str, declared: &BTreeMap<String, Value>, fields: &[Step]) -> Option<Fault> {
    let first = fields.first()?;
    // Beside the fields of an output, a task's named values are found under its name.
    if declared.contains_key(&first.name) && first.name != RETURN_VALUE {
        return None;
    }
    let mut schema = declared.get(RETURN_VALUE)?;
    let named: Vec<&str> = declared.keys().map(String::as_str).filter(|name| *name != RETURN_VALUE).collect();
    for (depth, step) in fields.iter().enumerate() {
        let (known, is_closed) = match shape(schema)? {
            Shape::Table { known, is_closed } => (known, is_closed),
            Shape::List => match (step.name.parse::<usize>(), schema.get("items")) {
                (Ok(_), Some(items)) => {
                    schema = items;
                    continue;
                }
                (Ok(_), None) => return None,
                (Err(_), _) => return Some(no_fields(task, step, "a list")),
            },
            // A named value that is not declared may stand beside it.
            Shape::Single(what) if depth > 0 || !named.is_empty() => return Some(no_fields(task, step, what)),
            Shape::Single(_) => return None,
        };
        if !known.iter().any(|name| *name == step.name) {
            return unknown(task, step, &known, if depth == 0 { &named } else { &[] }, is_closed);
        }
        schema = &schema["properties"][&step.name];
    }
    None
}

enum Shape<'a> {
    Table { known: Vec<&'a str>, is_closed: bool },
    List,
    Single(&'static str),
}

/// What a schema says a value looks like; `None`: it leaves that open.
fn shape(schema: &Value) -> Option<Shape<'_>> {
    match schema["type"].as_str()? {
        "object" => {
            let properties = schema["properties"].as_object()?;
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let known = properties.keys().map(String::as_str).chain(required).collect();
            Some(Shape::Table { known, is_closed: schema["additionalProperties"] == false })
        }
        "array" => Some(Shape::List),
        "string" => Some(Shape::Single("text")),
        "integer" | "number" => Some(Shape::Single("a number")),
        "boolean" => Some(Shape::Single("true or false")),
        "null" => Some(Shape::Single("nothing")),
        _ => None,
    }
}

fn no_fields(task: &str, step: &Step, what: &str) -> Fault {
    Fault::error(
        step.span.clone(),
        format!("the output of `{task}` is declared to be {what} there, which has no `{}`", step.name),
        format!("change the path, or the `outputs` of `{task}`"),
    )
}

fn unknown(task: &str, step: &Step, known: &[&str], named: &[&str], is_closed: bool) -> Option<Fault> {
    let all = || known.iter().chain(named).copied();
    let hint = match nearest(&step.name, all()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("its `outputs` declare {}", listed(all())),
    };
    let message = format!("the output of `{task}` is declared without a `{}`", step.name);
    let tell = if is_closed { Fault::error } else { Fault::warning };
    Some(tell(step.span.clone(), message, hint))
}
