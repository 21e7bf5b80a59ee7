//! The limits that no setting changes, as docs/configuration.md tells them.

use std::fmt::Write;
use std::path::Path;

use flow_model::limits;

const BEGIN: &str = "| limit | value | what is limited |\n|---|---|---|\n";

/// The table is written by this test when `UPDATE_DOCS` is set.
#[test]
fn the_table_of_fixed_limits_is_made_from_the_constants() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, after) = page.split_once(BEGIN).expect("docs/configuration.md has the table of fixed limits");
    let end = after.find("\n\n").expect("something follows the table");
    let table = limits::all().fold(String::new(), |mut table, limit| {
        writeln!(table, "| `{}` | {} | {} |", limit.name, limit.value, limit.meaning).unwrap();
        table
    });
    let made = format!("{before}{BEGIN}{}{}", table.trim_end(), &after[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == made,
        "docs/configuration.md is not what the constants say\nhint: UPDATE_DOCS=1 cargo test -p flow-model"
    );
}

#[test]
fn limits_have_one_name_and_a_meaning() {
    let names: std::collections::BTreeSet<&str> = limits::all().map(|limit| limit.name).collect();
    assert_eq!(names.len(), limits::all().count());
    for limit in limits::all() {
        assert!(limit.value > 0 && limit.meaning.ends_with('.'), "{limit:?}");
        assert!(limit.name.ends_with("_max") || limit.name.ends_with("_min"), "{limit:?}");
    }
}
