//! Printing: tables for people, JSON for programs. Data goes to stdout. What authors and tasks have written cannot give
//! orders to a terminal: hidden characters are written out.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use flow_model::{visible, visible_json};
use serde_json::Value;

use crate::args::Form;

/// Prints a line to stdout, as `println!` does, with hidden characters written out.
macro_rules! say {
    () => { anstream::println!() };
    ($($part:tt)+) => { anstream::println!("{}", flow_model::visible(&format!($($part)+))) };
}

/// Prints a line to stderr, as `eprintln!` does, with hidden characters written out.
macro_rules! tell {
    ($($part:tt)+) => { anstream::eprintln!("{}", flow_model::visible(&format!($($part)+))) };
}

pub(crate) use {say, tell};

/// Prints a text as it is, byte for byte; on a terminal with hidden characters written out.
pub fn raw(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let text = if stdout.is_terminal() { visible(text) } else { text.into() };
    Ok(stdout.write_all(text.as_bytes())?)
}

/// Prints a list: as JSON as it is, as a table with the named fields as columns.
pub fn list(form: Form, rows: &[Value], columns: &[(&str, &str)]) -> anyhow::Result<()> {
    if form == Form::Json {
        return json(&Value::Array(rows.to_vec()));
    }
    let mut table = new_table();
    table.set_header(columns.iter().map(|(title, _)| *title));
    for row in rows {
        table.add_row(columns.iter().map(|(_, field)| visible(&cell(&row[*field])).into_owned()));
    }
    print_table(&table);
    Ok(())
}

/// Prints one thing: as JSON as it is, as a table with a line for each named field that it has.
pub fn one(form: Form, value: &Value, fields: &[(&str, &str)]) -> anyhow::Result<()> {
    if form == Form::Json {
        return json(value);
    }
    let mut table = new_table();
    for (title, field) in fields {
        if !value[*field].is_null() {
            table.add_row([(*title).to_owned(), visible(&cell(&value[*field])).into_owned()]);
        }
    }
    print_table(&table);
    Ok(())
}

/// Prints JSON.
pub fn json(value: &Value) -> anyhow::Result<()> {
    anstream::println!("{}", visible_json(&serde_json::to_string_pretty(value)?));
    Ok(())
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn print_table(table: &Table) {
    for line in table.lines() {
        say!("{}", line.trim().trim_end());
    }
}

/// A value in a cell.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        // A tag, for instance.
        Value::Object(entries)
            if entries.keys().all(|key| key == "name" || key == "dag_id") && entries.contains_key("name") =>
        {
            cell(&entries["name"])
        }
        Value::Number(number) if number.is_f64() => format!("{:.3}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// A path segment: ids of runs hold `+` and `:`.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
