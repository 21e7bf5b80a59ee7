//! Braces in SQL and in script files, which have braces of their own: `'{{1,2},{3,4}}'` is a list of lists, `${#list[@]}` a
//! length, `{{ ds }}` an expression. What names something that templates know is the template's; all else is text.

use std::collections::HashSet;
use std::ops::Range;

use minijinja::Environment;
use minijinja::machinery::ast::Expr;
use minijinja::machinery::parse_expr;

use crate::names::TEMPLATE_NAMES;
use crate::renderer::is_template;

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

/// Statements that give names.
const NAMING: [&str; 5] = ["for", "set", "macro", "with", "call"];

/// Ends of an expression that are tried: `}}` may stand in a text inside of it.
const ENDS_MAX: usize = 6;

/// A text whose own braces are out of the engine's way. Places in it are those of the text that it was made of.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// The text for the engine.
    pub text: String,
    /// Whether there is anything to render.
    pub is_template: bool,
    /// What is written as an expression of a template, and names nothing that templates know.
    pub doubtful: Vec<Range<usize>>,
    /// Parts that are the template's.
    parts: Vec<Range<usize>>,
    /// What stands for `{` where a brace is the text's own.
    guard: Option<char>,
}

/// Which braces of a text are a template's.
pub struct Reading<'a> {
    /// What the author says: all of them, or none. Without a word, those that can be meant.
    pub template: Option<bool>,
    /// Whether what names nothing that is known is taken for an expression with a mistake in it, and not for text.
    pub takes_doubtful: bool,
    /// Whether there is a name besides those of every template.
    pub knows: &'a dyn Fn(&str) -> bool,
}

/// What two characters are that could begin a part of a template.
enum Part {
    /// Of the template, up to here.
    Template(usize),
    /// Written as one, up to here.
    Doubtful(usize),
    Text,
}

impl Guarded {
    /// Reads a text.
    pub fn read(text: &str, reading: &Reading<'_>) -> Self {
        let whole = |is_template| Guarded {
            text: text.to_owned(),
            is_template,
            doubtful: Vec::new(),
            parts: Vec::new(),
            guard: None,
        };
        match reading.template {
            Some(says) => return whole(says && is_template(text)),
            None if !is_template(text) => return whole(false),
            None => {}
        }
        // Where even that is text, there is no guard: the engine says what it cannot read.
        let Some(guard) = ('\u{1}'..='\u{8}').find(|guard| !text.contains(*guard)) else { return whole(true) };
        let names = names_of_statements(text);
        let knows = |name: &str| TEMPLATE_NAMES.contains(&name) || names.contains(name) || (reading.knows)(name);
        let mut guarded = Guarded {
            text: String::with_capacity(text.len()),
            is_template: false,
            doubtful: Vec::new(),
            parts: Vec::new(),
            guard: Some(guard),
        };
        let mut from = 0;
        while let Some(at) = next_opening(text, from) {
            guarded.text.push_str(&text[from..at]);
            let part = part(&text[at..], &knows);
            if let Part::Doubtful(length) = part {
                guarded.doubtful.push(at..at + length);
            }
            from = match part {
                Part::Template(length) => at + length,
                Part::Doubtful(length) if reading.takes_doubtful => at + length,
                Part::Doubtful(_) | Part::Text => {
                    guarded.text.push(guard);
                    from = at + 1;
                    continue;
                }
            };
            guarded.is_template = true;
            guarded.parts.push(at..from);
            guarded.text.push_str(&text[at..from]);
        }
        guarded.text.push_str(&text[from..]);
        guarded
    }

    /// Text of the author's with its own braces.
    pub(crate) fn restored(&self, text: &str) -> String {
        match self.guard {
            Some(guard) => text.replace(guard, "{"),
            None => text.to_owned(),
        }
    }
}

/// SQL whose parts that are a template's say nothing any more, at the same places: an expression is a number, a statement space.
pub fn without_template(text: &str, template: Option<bool>) -> String {
    if template == Some(false) {
        return text.to_owned();
    }
    let knows = |_: &str| template == Some(true);
    let guarded = Guarded::read(text, &Reading { template: None, takes_doubtful: true, knows: &knows });
    let mut left = text.to_owned();
    for part in guarded.parts {
        let filler = if text[part.clone()].starts_with("{{") { "0" } else { " " };
        let blank = |byte: u8| if byte == b'\n' { "\n" } else { filler };
        let blanks: String = text[part.clone()].bytes().map(blank).collect();
        left.replace_range(part, &blanks);
    }
    left
}

/// The next `{{`, `{%` or `{#`.
fn next_opening(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|&at| bytes[at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
}

/// The names that statements of the text give to values.
fn names_of_statements(text: &str) -> HashSet<&str> {
    let mut names = HashSet::new();
    for (at, _) in text.match_indices("{%") {
        let inside = text[at + 2..].split("%}").next().unwrap_or_default();
        let inside = inside.trim_start_matches(['-', '+']).trim_start();
        let mut words = inside.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        if NAMING.contains(&first) {
            names.extend(words);
        }
        if first == "for" {
            names.insert("loop");
        }
    }
    names
}

fn part(text: &str, knows: &dyn Fn(&str) -> bool) -> Part {
    match text.as_bytes()[1] {
        b'{' => expression(text, knows),
        b'%' => statement(text),
        _ => comment(text),
    }
}

fn statement(text: &str) -> Part {
    let length = text.find("%}").map(|at| at + 2);
    let inside = &text[2..length.map_or(text.len(), |length| length - 2)];
    let word = inside.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default();
    let word = word.trim_end_matches(['-', '+']);
    match length {
        _ if !STATEMENTS.contains(&word) => Part::Text,
        None => Part::Template(text.len()),
        Some(length) if word == "raw" => {
            let end = text.match_indices("{%").find(|(at, _)| {
                let inside = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
                inside.starts_with("endraw")
            });
            let end = end.and_then(|(at, _)| Some(at + text[at..].find("%}")? + 2));
            Part::Template(end.unwrap_or(length))
        }
        Some(length) => Part::Template(length),
    }
}

/// A comment is written with space around its text; `${#list[@]}` is none.
fn comment(text: &str) -> Part {
    let inside = text[2..].strip_prefix('-').unwrap_or(&text[2..]);
    match text.find("#}") {
        Some(at) if inside.starts_with(char::is_whitespace) => Part::Template(at + 2),
        _ => Part::Text,
    }
}

/// Whose an expression is: a template's, if it reads as one and names something that templates know. If it names something else, and is
/// written as templates are, with space around it, then it is rather a name that is misspelt than a list of one text.
fn expression(text: &str, knows: &dyn Fn(&str) -> bool) -> Part {
    // Reading needs no filters and no functions.
    let environment = Environment::empty();
    for (at, _) in text.match_indices("}}").take(ENDS_MAX) {
        let Some(inside) = text.get(2..at) else { continue };
        let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
        let inside = inside.strip_suffix(['-', '+']).unwrap_or(inside);
        // In parentheses several, with commas between them, are read as well.
        let grouped = format!("({inside})");
        let Ok(expression) = environment.compile_expression(&grouped) else { continue };
        let names = expression.undeclared_variables(false);
        // `{{ "id" | identifier }}` names nothing, and is none the less meant.
        let is_filtered = || matches!(parse_expr(inside), Ok(Expr::Filter(_)));
        let is_spaced = inside.starts_with(' ') && inside.ends_with(' ') && !inside.contains(',');
        return match names.iter().any(|name| knows(name)) {
            true => Part::Template(at + 2),
            false if is_spaced && (is_filtered() || !names.is_empty()) => Part::Doubtful(at + 2),
            false => Part::Text,
        };
    }
    unreadable(text, knows)
}

/// An expression that cannot be read, if it begins with what templates know.
fn unreadable(text: &str, knows: &dyn Fn(&str) -> bool) -> Part {
    let inside = text[2..].trim_start_matches(['-', '+', ' ']);
    let length = inside.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inside.len());
    let is_begun = knows(&inside[..length]) && !inside[length..].starts_with([',', '}']);
    let end = text.find("}}").map_or(text.len(), |at| at + 2);
    if is_begun { Part::Template(end) } else { Part::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Guarded {
        Guarded::read(text, &Reading { template: None, takes_doubtful: true, knows: &|name| name == "mapped" })
    }

    #[test]
    fn braces_of_sql_and_of_shells_are_text() {
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
            "select '{{ds,ts x},{a,b}}'::text[]",
            "select * from t where a like '{%' or a like '%}'",
            "select '{{', '}}'",
            "select '{{}}'",
            "select '{#fff,#000}'::text[], '#}'",
            "echo ${#list[@]} ${#-} #}",
            "docker ps --format '{{.Names}}' '{{ .Names }}' '{{range .Items}}{{json .}}'",
            "awk '{{print $1}}'; printf '{%s}' x",
        ] {
            let guarded = read(text);
            assert!(!guarded.is_template && guarded.doubtful.is_empty(), "{text}");
            assert_eq!(guarded.restored(&guarded.text), text);
            assert!(!is_template(&guarded.text), "{text}");
        }
    }

    #[test]
    fn what_could_be_a_template_is_one() {
        for text in [
            "select {{ ds }}",
            "select '{{ds}}', {{ mapped }}, '{{mapped}}'",
            "select '{{params.a,params.b}}'",
            "select {{ xcom.load[0].id | default(1) }}",
            "select '{{- ts -}}', {{ params.get('}}') }}",
            "{% if params.full %}select 1{% endif %}",
            "{% for x in params.list %}{{x}}{% endfor %}",
            "select 1 {%- endif %}",
            "select {{ ds | }}",
            "select {{ ds ",
            "{# said to authors #} select 1",
        ] {
            let guarded = read(text);
            assert!(guarded.is_template && guarded.doubtful.is_empty(), "{text}");
            assert_eq!(guarded.text, text);
        }
        let doubtful = read("where region = '{{ regoin }}'");
        assert!(doubtful.is_template && matches!(doubtful.doubtful.as_slice(), [place] if *place == (16..28)));
    }

    #[test]
    fn a_filter_is_meant() {
        assert!(read("select {{ 'id' | identifier }}").is_template);
        assert!(!read("select '{{\"id\"|identifier}}'").is_template);
    }

    #[test]
    fn each_brace_is_looked_at_by_itself() {
        let text = "select '{{1,2},{3,4}}'::int[], {{ ds }}, '{% raw %}{{ ts }}{% endraw %}'";
        let guarded = read(text);
        assert!(guarded.is_template);
        assert_eq!(guarded.text, text.replace("{{1", "\u{1}{1"));
        assert_eq!(guarded.restored("\u{1}{1"), "{{1");
    }

    #[test]
    fn sql_without_its_template_keeps_its_places() {
        let text = "select {{ ds }}, ':a'\n{% if\n params.x %}, :b{% endif %} '{{1,2}}' {{foo}}";
        let left = without_template(text, None);
        assert_eq!(left, "select 00000000, ':a'\n     \n            , :b            '{{1,2}}' {{foo}}");
        assert_eq!(without_template(text, Some(false)), text);
        assert!(without_template(text, Some(true)).ends_with(" 0000000"));
    }

    #[test]
    fn the_author_may_say_it() {
        let say = |text, template| {
            let guarded = Guarded::read(text, &Reading { template, takes_doubtful: false, knows: &|_| false });
            (guarded.is_template, guarded.text)
        };
        assert_eq!(say("{{ ds }}", Some(false)), (false, "{{ ds }}".to_owned()));
        assert_eq!(say("{{1,2}}", Some(true)), (true, "{{1,2}}".to_owned()));
        assert_eq!(say("{{ regoin }}", None), (false, "\u{1}{ regoin }}".to_owned()));
        let all: String = ('\u{1}'..='\u{8}').chain("{{1}}".chars()).collect();
        assert_eq!(say(&all, None), (true, all.clone()));
    }
}
