//! Braces in texts that are no templates: `'{{1,2},{3,4}}'` is a list of lists in SQL, `{{ ds }}` is somebody who takes it for a
//! template.

use crate::engine::environment;
use crate::names::TEMPLATE_NAMES;

/// The words that statements of templates begin with.
const STATEMENTS: [&str; 18] = [
    "if",
    "elif",
    "else",
    "endif",
    "for",
    "endfor",
    "set",
    "endset",
    "macro",
    "endmacro",
    "raw",
    "endraw",
    "with",
    "endwith",
    "filter",
    "endfilter",
    "call",
    "include",
];

/// The first piece of a text that could be an expression or a statement of a template.
pub fn first_expression(text: &str) -> Option<&str> {
    let statement = between(text, "{%", "%}").find(|(_, inside)| is_statement(inside)).map(|(whole, _)| whole);
    statement.or_else(|| between(text, "{{", "}}").find(|(_, inside)| is_expression(inside)).map(|(whole, _)| whole))
}

/// What stands between two marks, with and without them.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(open).filter_map(move |(begin, _)| {
        let inside = text[begin + open.len()..].split_once(close)?.0;
        Some((&text[begin..begin + open.len() + inside.len() + close.len()], inside))
    })
}

fn is_statement(inside: &str) -> bool {
    let word = inside.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default();
    STATEMENTS.contains(&word.trim_end_matches(['-', '+']))
}

/// It reads as an expression, and names something that templates know; or it names something else, and is written as templates
/// are, with space around it: then it is rather a name that is misspelt than a list of one text.
fn is_expression(inside: &str) -> bool {
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    let inside = inside.strip_suffix(['-', '+']).unwrap_or(inside);
    let environment = environment();
    // In parentheses several, with commas between them, are read as well.
    let grouped = format!("({inside})");
    let Ok(expression) = environment.compile_expression(&grouped) else { return false };
    let names = expression.undeclared_variables(false);
    let is_spaced = inside.starts_with(' ') && inside.ends_with(' ') && !inside.contains(',');
    names.iter().any(|name| TEMPLATE_NAMES.contains(&name.as_str())) || (is_spaced && !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lists_are_no_expressions() {
        for text in [
            "select '{{1,2},{3,4}}'::int[]",
            "select '{{1,2}}'::int[]",
            "select '{{1}}'::int[]",
            "select '{ {1,2}, {3,4} }'::int[]",
            "select '{{a,b},{c,d}}'::text[]",
            "select '{{a,b}}'::text[]",
            "select '{{ a, b }}'::text[]",
            "select '{{foo}}'::text[]",
            "select '{{\"a b\",NULL},{\"}}\",x}}'::text[]",
            "select '{{{1},{2}},{{3},{4}}}'::int[]",
            "select '{{2026-11-24,2026-11-25}}'::date[]",
            "select * from t where a like '{%' or a like '%}'",
            "select '{{', '}}'",
            "select '{{}}'",
        ] {
            assert_eq!(first_expression(text), None, "{text}");
        }
    }

    #[test]
    fn what_could_be_a_template_is_found() {
        for (text, found) in [
            ("select {{ ds }}", "{{ ds }}"),
            ("select '{{ds}}', '{{1,2}}'", "{{ds}}"),
            ("select '{{1,2},{3,4}}', '{{ params.x }}'", "{{ params.x }}"),
            ("select '{{params.a,params.b}}'", "{{params.a,params.b}}"),
            ("select {{ xcom.load[0].id | default(1) }}", "{{ xcom.load[0].id | default(1) }}"),
            ("select '{{- ts -}}'", "{{- ts -}}"),
            ("where region = '{{ regoin }}'", "{{ regoin }}"),
            ("{% if params.full %}select 1{% endif %}", "{% if params.full %}"),
            ("select 1 {%- endif %}", "{%- endif %}"),
        ] {
            assert_eq!(first_expression(text), Some(found), "{text}");
        }
    }
}
