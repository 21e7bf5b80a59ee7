//! What people write that is not TOML: one error each, on its line, with what to write; and the rest is still checked.

use flow_dagfile::check_text;
use proptest::prelude::*;

/// Stands in a task between two others; `<` is told.
const LINES: [&str; 40] = [
    "retries = null",
    "retries = None",
    "pool = nil",
    "wait_for_downstream = False",
    "wait_for_downstream = True",
    "wait_for_downstream = yes",
    "wait_for_downstream = off",
    "doc_md = 'it's me'",
    "doc_md = \"say \"hi\" to all\"",
    "doc_md = 'it's \"me\"'",
    "doc_md = \"\\d\"",
    "doc_md = \"C:\\new\\data\"",
    "doc_md = \"\"\"\n\\d+\n\"\"\"",
    "doc_md = \"no end",
    "doc_md = 'no end",
    "doc_md = no quotes at all",
    "doc_md = quotes",
    "doc_md = “typographic”",
    "doc_md = \"one\" \"two\"",
    "depends_on = [\"a\"",
    "depends_on = [\"a\",",
    "depends_on = [\n  \"a\",\n  \"b\"",
    "depends_on = [\"a\" \"b\"]",
    "depends_on = [a]",
    "depends_on = [\"a\", null]",
    "depends_on = [\"a\"}",
    "depends_on = [\"a\"]]",
    "env = { A = \"1\"",
    "env = { A = \"1\", B = True }",
    "env = { A = \"1\",",
    "env = { A: \"1\" }",
    "env = { \"A\" = \"1\" \"B\" = \"2\" }",
    "doc_md = \"\"\"\nno end",
    "doc_md = '''\nno end",
    "retries: 2",
    "retries == 2",
    "retries =",
    "retries",
    "// a comment",
    "max tries = 2",
];

fn told(text: &str) -> Vec<(usize, String, String)> {
    let file = check_text("file.toml", text, None);
    let told = file.diagnostics().iter();
    told.map(|it| (it.line, it.message.clone(), it.hint.clone().unwrap_or_default())).collect()
}

fn around(line: &str) -> String {
    format!(
        "schedule = \"@daily\"\n\n[tasks.a]\nbash = \"\"\"\necho a\n\"\"\"\n\n[tasks.b]\nbash = \"echo b\"\n{line}\n\n\
         [tasks.c]\nbash = \"\"\"\necho c\n\"\"\"\nretires = 2\n"
    )
}

#[test]
fn each_mistake_is_one_error_on_its_line_and_the_rest_is_checked() {
    let mut all = String::new();
    for line in LINES {
        let text = around(line);
        let told = told(&text);
        let [(at, message, hint), (_, other, _)] = told.as_slice() else { panic!("{line}: {told:#?}") };
        let lines = 10..10 + line.lines().count();
        assert!(lines.contains(at), "{line}: line {at}");
        assert_eq!(other, "unknown key `retires`", "{line}");
        assert!(!hint.is_empty(), "{line}: {message}");
        all.push_str(&format!("{line}\n    error: {message}\n    hint: {hint}\n"));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("not_toml", all);
    });
}

#[test]
fn headers_that_are_not_whole_are_told_once() {
    for header in [
        "[tasks.b",
        "tasks.b]",
        "[tasks.b]]",
        "[tasks.it's]",
        "[tasks b]",
        "[]",
        "[tasks.]",
        "[tasks.b] # x\nretries = [",
    ] {
        let told = told(&format!("[tasks.a]\nnoop = true\n\n{header}\n\n[tasks.c]\nnoop = true\nretires = 2\n"));
        let messages: Vec<_> = told.iter().map(|(line, message, _)| (*line, message.as_str())).collect();
        assert_eq!(messages.last().unwrap().1, "unknown key `retires`", "{header}: {messages:#?}");
        let of_header = messages.iter().filter(|(line, _)| (4..6).contains(line)).count();
        assert!(of_header >= 1 && messages.len() <= 3, "{header}: {messages:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_that_is_not_toml_is_the_only_mistake_of_a_good_file(
        which in any::<prop::sample::Index>(),
        line in any::<prop::sample::Index>(),
        value in prop::sample::select(vec!["null", "True", "'it's me'", "\"\\d\"", "[\"a\"", "\"no end", "{ a = 1", "a b", "@daily", ""]),
    ) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dags");
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        let good = std::fs::read_to_string(which.get(&paths)).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let at = line.index(lines.len());
        // A whole statement on one line, not within a text or list.
        let Some((key, old)) = lines[at].split_once(" = ") else { return Ok(()) };
        let is_statement = key.chars().all(|one| one.is_ascii_lowercase() || one == '_')
            && lines[at - at.min(1)].chars().next().is_none_or(|first| first == '[' || first == '#' || first.is_ascii_lowercase())
            && format!("x = {old}").parse::<toml::Table>().is_ok();
        prop_assume!(is_statement);
        let mut broken = lines.clone();
        let written = format!("{key} = {value}");
        broken[at] = &written;
        let file = check_text("file.toml", &(broken.join("\n") + "\n"), None);
        let errors: Vec<_> = file.result.err().unwrap_or_default();
        let errors: Vec<_> = errors.iter().filter(|it| it.severity == flow_dagfile::Severity::Error).collect();
        prop_assert!(matches!(errors.as_slice(), [only] if only.line == at + 1), "{}: {:#?}", written, errors);
    }
}
