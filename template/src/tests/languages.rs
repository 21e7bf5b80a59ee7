//! What values may be in the code of programs that are no shells, and in commands without a shell.

use serde_json::json;

use super::renderer;
use super::risky::refusal;

/// Code of languages, with values that are a word, and what they are there.
const LANGUAGES: &[(&str, &[&str], &[&str])] = &[
    (
        "sqlite3 db \"select a from t where id = {{ v }} and owner = 1\"",
        &["7", "-7", "1.5"],
        &["id--", "id", "7--", "", "1--2", "%", "a+b", "--7", "exec", "7 "],
    ),
    ("sqlite3 db \"select a from t where b > 5 -{{ v }} and owner = 1\"", &["7"], &["-7"]),
    (
        "sqlite3 db \"select a from t where id = '{{ v }}' and owner = 1\"",
        &["7", "id", "a.b_c", "a@b.c", "/x/y", "2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05", ""],
        &["id--", "a+b", "a%", "a'", "-a"],
    ),
    ("psql -c \"select a from {{ v }}\"", &["7"], &["pg_shadow", "a.b", "a--"]),
    ("psql <<< \"select '{{ v }}'\"", &["7", "name"], &["a--", "a'"]),
    ("psql <<< \"select {{ v }}\"", &["7", "2026-01-02"], &["name", "7--"]),
    ("psql <<END\nselect '{{ v }}'\nEND", &["7", "name"], &["a--"]),
    ("psql <<END\nselect {{ v }}\nEND", &["7", "2026-01-02"], &["name", "7--"]),
    ("psql <<'END'\nselect '{{ v }}', {{ v }}\nEND", &["7"], &["name"]),
    ("cat <<END | psql\nselect '{{ v }}{{ v }}'\nEND", &["7"], &["name"]),
    ("echo \"select {{ v }}\" | psql", &["7", "2026-01-02"], &["name", "7--"]),
    ("perl -e \"print {{ v }}\"", &["7"], &["exec+id", "%ENV", "exec", "@ENV", "a/b"]),
    ("perl -e \"print '{{ v }}'\"", &["7", "name"], &["@ENV", "a/b", "%ENV"]),
    ("sed \"s/NAME/{{ v }}/g\" f", &["7", "name", "a-b.csv", "2026-01-02"], &["y/w/tmp/x", "a&b", "/e", "-w", "a--b"]),
    ("sed \"{{ v }}d\" f", &["7"], &["e", "w", "1e"]),
    ("sed -n \"/x/{{ v }} p\" f", &["7"], &["wx", "e"]),
    ("awk \"/{{ v }}/\" f", &["7", "name"], &["a/b", "@x"]),
    ("awk \"BEGIN { print {{ v }} }\"", &["7"], &["ENVIRON", "a/b"]),
    ("python3 -c \"print({{ v }})\"", &["7", "-7"], &["exit", "a.b", "a+b"]),
    ("node -e \"f({{ v }})\"", &["7"], &["process", "a--"]),
    ("jq \".{{ v }}\" f", &["7"], &["env", "a.b", "halt"]),
    ("jq '.\"{{ v }}\"' f", &["7", "name"], &["a\\", "a--", "\\(env)"]),
    ("jq --arg v {{ v }} -r '.[$v]' {{ v }}", &["7", "a b", "$(x)", "env"], &[]),
    ("jq . <<< {{ v }}", &["7", "a b", "{\"a\": 1}"], &[]),
    ("jq -f prog.jq {{ v }}", &["7", "a b"], &[]),
    ("bash -c \"echo {{ v }}\"", &["7", "name", "/a/b.csv", "a@b.c"], &["a--b", "%1", "a+b", "$x"]),
    ("echo x > {{ v }}; echo x &> \"{{ v }}\"; echo x >> {{ v }} 2>&1", &["a b", "$(x)"], &[]),
    ("SECONDS_LEFT={{ v }}; echo RANDOM {{ v }}", &["a b", "a[$(x)]"], &[]),
];

#[test]
fn a_word_is_text_between_the_quotes_of_a_language_and_code_elsewhere() {
    for (source, taken, refused) in LANGUAGES {
        for value in *taken {
            assert_eq!(refusal(source, value), None, "{source} with {value}");
        }
        for value in *refused {
            let refusal = refusal(source, value);
            assert!(refusal.as_ref().is_some_and(|text| text.contains("hint: ")), "{source} with {value}: {refusal:?}");
        }
    }
}

#[test]
fn a_command_without_a_shell_takes_any_value_that_its_program_does_not_run() {
    let rendered = |argv: &[&str], stdin: &str, value: &str| {
        let argv: Vec<String> = argv.iter().map(|&argument| argument.to_owned()).collect();
        let renderer = renderer(json!({ "v": value }));
        let argv = renderer.arguments("argv", &argv).map_err(|error| error.to_string())?;
        let stdin = renderer.standard_input("stdin", &argv, stdin).map_err(|error| error.to_string())?;
        Ok::<_, String>((argv, stdin))
    };
    let hostile = "$(touch owned) '; \n";
    for (argv, stdin) in [
        (&["bash", "-c", "echo {{ v }}"][..], ""),
        (&["env", "x=1", "sh", "-ec", "echo '{{ v }}'"], ""),
        (&["python3", "-c", "print('{{ v }}')"], ""),
        (&["psql", "-c", "select '{{ v }}'"], ""),
        (&["bash"], "echo {{ v }}"),
        (&["bash", "-s"], "echo {{ v }}"),
        (&["psql", "-X"], "select '{{ v }}'"),
    ] {
        let refusal = rendered(argv, stdin, hostile).unwrap_err();
        assert!(refusal.contains("hint: "), "{argv:?}: {refusal}");
        assert!(rendered(argv, stdin, "7").is_ok(), "{argv:?}");
    }
    for (argv, stdin) in [
        (&["bash", "-c", "echo \"$1\"", "bash", "{{ v }}"][..], "{{ v }}"),
        (&["bash", "-c", "cat", "bash", "-", "-s"], "{{ v }}"),
        (&["python3", "-c", "pass", "-"], "{{ v }}"),
        (&["python3", "job.py", "{{ v }}", "({{ v }})\n"], "{{ v }}"),
        (&["jq", "--arg", "v", "{{ v }}", "$v"], "{{ v }}\n"),
        (&["{{ v }}", "-c", "{{ v }}"], ""),
    ] {
        let texts: Vec<String> = argv.iter().map(|text| text.replace("{{ v }}", hostile)).collect();
        let (argv, stdin) = (argv, stdin.replace("{{ v }}\n", "{{ v }}"));
        let found = rendered(argv, &stdin, hostile).unwrap();
        assert_eq!(found.1, stdin.replace("{{ v }}", hostile));
        assert_eq!(found.0.len(), texts.len());
        for (found, text) in found.0.iter().zip(&texts) {
            assert_eq!(found.trim_end(), text.trim_end());
        }
    }
}
