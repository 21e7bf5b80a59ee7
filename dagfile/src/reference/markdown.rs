//! The page docs/reference.md.

use std::fmt::Write;

use super::{Key, Section, sections};

const BEGIN: &str = "# Every key of a DAG file

This page is made from the types that `flowctl` reads DAG files with, so it is complete. `flowctl dags reference <name>` prints a
section of it, `flowctl dags schema` the same for editors. How it all fits together is told in [dag-file.md](dag-file.md).

A task has exactly one operator: a key of its table, in its short form (`bash = \"ls\"`) or as a table (`bash = { command = \"ls\" }`).
";

/// The whole page, in Markdown.
pub fn page() -> String {
    let sections = sections();
    let mut page = BEGIN.to_owned();
    page.push_str("\n| operator | |\n|---|---|\n");
    for section in sections.iter().filter(|section| section.short_form.is_some()) {
        let first = section.description.split_inclusive(['.', ':']).next().unwrap_or_default();
        let first = first.trim_end_matches([':', '.']).replace('\n', " ");
        page += &format!("| [`{0}`](#{0}) | {1} |\n", section.name, escaped(&first));
    }
    for section in &sections {
        write_section(&mut page, section);
    }
    page
}

fn write_section(page: &mut String, section: &Section) {
    page.push_str(&format!("\n## {}\n\n{}\n", section.name, section.description));
    if let Some(short) = &section.short_form {
        page.push_str(&format!("\nShort form: `{short}`"));
        page.push_str(match section.also {
            Some(_) => ". It also has the keys of every [sensor](#sensor).\n",
            None => ".\n",
        });
    }
    if let Some(example) = &section.example {
        page.push_str(&format!("\n```toml\n{example}\n```\n"));
    }
    if section.keys.is_empty() {
        return;
    }
    page.push_str("\n| Key | Takes | Default | Meaning |\n|---|---|---|---|\n");
    for key in &section.keys {
        write_key(page, key);
    }
}

fn write_key(page: &mut String, key: &Key) {
    let default = match (&key.default, key.is_required) {
        (_, true) => "required",
        (Some(default), _) => default,
        (None, _) => "",
    };
    // Writing into a String cannot fail.
    let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, escaped(&key.values), escaped(&key.description));
}

/// For a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
