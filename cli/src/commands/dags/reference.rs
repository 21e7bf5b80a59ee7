//! `flowctl dags reference`: what docs/reference.md tells, in a terminal.

use flow_dagfile::reference::{self, Section};
use serde_json::{Value, json};

use crate::args::Form;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::output::say;

/// Prints a section, or the list of them all.
pub fn print(form: Form, name: Option<&str>) -> anyhow::Result<Exit> {
    let Some(name) = name else {
        let sections = reference::sections();
        let rows: Vec<Value> = sections.iter().map(|section| json!({
            "name": section.name, "short_form": section.short_form, "description": first_line(&section.description),
        })).collect();
        output::list(form, &rows, &[("NAME", "name"), ("SHORT FORM", "short_form"), ("WHAT IT IS", "description")])?;
        return Ok(Exit::Success);
    };
    let section = reference::section(name).map_err(|suggestion| {
        let hint =
            suggestion.map_or("flowctl dags reference".to_owned(), |name| format!("flowctl dags reference {name}"));
        Failure::new(Exit::NotFound, format!("there is no operator or table `{name}` in DAG files")).hint(hint)
    })?;
    if form == Form::Json {
        output::json(&serde_json::to_value(&section)?)?;
    } else {
        in_full(&section)?;
    }
    Ok(Exit::Success)
}

fn in_full(section: &Section) -> anyhow::Result<()> {
    say!("{}: {}", section.name, section.description);
    if let Some(short) = &section.short_form {
        say!("\nshort form: {short}");
    }
    if let Some(example) = &section.example {
        say!("\n{example}");
    }
    if section.keys.is_empty() {
        return Ok(());
    }
    say!();
    let rows: Vec<Value> = section.keys.iter().map(|key| json!({
        "key": key.name,
        "takes": key.values.replace('`', ""),
        "default": if key.is_required { "required".to_owned() } else { key.default.clone().unwrap_or_default().replace('`', "") },
        "meaning": key.description,
    })).collect();
    output::list(
        Form::Table,
        &rows,
        &[("KEY", "key"), ("TAKES", "takes"), ("DEFAULT", "default"), ("MEANING", "meaning")],
    )?;
    if let Some(also) = section.also {
        say!("\nmore keys, as of every {also}: flowctl dags reference {also}");
    }
    Ok(())
}

fn first_line(description: &str) -> &str {
    description.lines().next().unwrap_or_default()
}
