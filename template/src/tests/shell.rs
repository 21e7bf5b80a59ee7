//! What bash makes of values: it sees the text, and runs none of it.

use std::process::{Command, Output};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::renderer;

/// What bash makes of a template, or why it is refused.
pub(super) fn bash(source: &str, names: &Json) -> Result<Output, String> {
    let script = renderer(names.clone()).shell("bash", source).map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    command
        .stdin(std::process::Stdio::null())
        .arg("-c")
        .arg(&script.code)
        .arg("bash")
        .envs(script.variables)
        .current_dir(folder.path());
    let output = command.output().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{source} with {names} has left {left:?}: {}", script.code);
    Ok(output)
}

fn printed(source: &str, names: &Json) -> String {
    let output = bash(source, names).unwrap_or_else(|error| panic!("{source}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{source}: {}", text(output.stderr));
    text(output.stdout)
}

/// Values that mean something to a shell: each tries to leave a file in the working directory.
pub(super) const HOSTILE: [&str; 28] = [
    "",
    " ",
    "plain",
    "two words",
    "$(touch owned)",
    "`touch owned`",
    "; touch owned;",
    "\n touch owned \n",
    "' ; touch owned; '",
    "\" ; touch owned; \"",
    "'\"'; touch owned; \"'\"",
    "&& touch owned",
    "| touch owned",
    "x) touch owned ;; *",
    "}; touch owned; {",
    "a[$(touch owned)]",
    "a[0$(touch owned)]=1",
    "))$(touch owned)((",
    "${x:=$(touch owned)}",
    "$x ${HOME} $FLOW_VALUE_1",
    "> owned",
    "* ? [a-z] ~ {a,b}",
    "\\",
    "\\\\\\'\\\"",
    "END\ntouch owned\nEND",
    "FLOW_END\ntouch owned\nFLOW_END_2",
    "-n",
    "é√\u{1f600}\u{E0F0}1:0\u{E0F1}\u{FFFC}",
];

pub(super) fn hostile() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(HOSTILE.to_vec());
    prop_oneof![
        3 => known.clone().prop_map(str::to_owned),
        2 => proptest::collection::vec(known, 1..3).prop_map(|parts| parts.concat()),
        1 => "[ -~é√\n\t]{0,24}",
    ]
}

/// Places in code that take any value, and print one thing: with the text that it is.
const PLACES: [(&str, &str, &str); 29] = [
    ("printf %s {{ V }}", "", ""),
    ("printf %s a{{ V }}b", "a", "b"),
    ("printf %s \"a {{ V }} b\"", "a ", " b"),
    ("printf %s 'a {{ V }} b'", "a ", " b"),
    ("printf %s $'a {{ V }} b'", "a ", " b"),
    ("printf %s \"$(printf %s {{ V }}; printf .)\"", "", "."),
    ("printf %s \"$(printf %s \"{{ V }}\"; printf .)\"", "", "."),
    ("printf %s \"$(printf %s '{{ V }}'; printf .)\"", "", "."),
    ("printf %s \"$(case b in a) printf 1 ;; b) printf %s \"{{ V }}\"; printf . ;; esac)\"", "", "."),
    ("printf %s \"$(case b in (a) printf 1 ;; (b) printf %s {{ V }}; printf . ;; esac)\"", "", "."),
    ("printf %s \"${unset:-{{ V }}}\"", "", ""),
    ("x={{ V }}; printf %s \"$x\"", "", ""),
    ("x=\"{{ V }}\"; printf %s \"$x\"", "", ""),
    ("export x='{{ V }}'; printf %s \"$x\"", "", ""),
    ("a=({{ V }} \"{{ V }}\"); printf %s \"${a[1]}\"", "", ""),
    ("f() { printf %s \"$1\"; }; f {{ V }}", "", ""),
    ("(printf %s {{ V }})", "", ""),
    ("{ printf %s {{ V }}; }", "", ""),
    ("if true; then printf %s {{ V }}; fi # {{ V }}", "", ""),
    ("for i in {{ V }}; do printf %s \"$i\"; done", "", ""),
    ("[[ {{ V }} == '{{ V }}' ]] && printf %s \"{{ V }}\"", "", ""),
    ("case {{ V }} in \"{{ V }}\") printf %s {{ V }} ;; *) printf other ;; esac", "", ""),
    ("cat <<END\na {{ V }} b\nEND", "a ", " b\n"),
    ("cat <<-END\n\ta {{ V }} b\n\tEND\n", "a ", " b\n"),
    ("cat <<'END'\n$x `x` \\ {{ V }} b\nEND\n", "$x `x` \\ ", " b\n"),
    ("cat <<\"END\" | cat; printf .\n{{ V }}\nEND\n", "", "\n."),
    ("cat <<'A' <<-\\B\n$x\nA\n\t{{ V }}\\\n\tB\nprintf .", "", "\\\n."),
    ("cat <<<{{ V }}", "", "\n"),
    ("printf '%s' {{ V }} > /dev/null; cat /dev/null; printf %s \"{{ V }}\" 2>&1", "", ""),
];

proptest! {
    #![proptest_config(super::examples(250))]

    #[test]
    fn a_value_reaches_the_program_as_it_is(value in hostile(), place in proptest::sample::select(PLACES.to_vec())) {
        let (source, before, after) = place;
        let shown = printed(&source.replace('V', "v"), &json!({ "v": value }));
        prop_assert_eq!(shown, format!("{before}{value}{after}"), "{}", source);
    }
}

#[test]
fn no_value_in_backticks_or_after_a_backslash_or_as_an_end_mark() {
    for (source, why) in [
        ("echo `echo {{ v }}`", "write $(...) instead"),
        ("echo \"`echo \"{{ v }}\"`\"", "write $(...) instead"),
        ("echo \\{{ v }}", "take the backslash away"),
        ("cat <<{{ v }}\n{{ v }}", "cannot name the end"),
        ("cat <<E{{ v }}\n{{ v }}", "cannot name the end"),
        ("\n\ncat <<'E{{ v }}'\n", "line 3"),
    ] {
        let refusal = bash(source, &json!({ "v": "x" })).unwrap_err();
        assert!(refusal.contains(why), "{source}: {refusal}");
    }
}

#[test]
fn what_the_author_calls_safe_is_code() {
    assert_eq!(printed("{{ v | safe }}", &json!({ "v": "echo a; echo b" })), "a\nb\n");
    let source = "{% set x = v | safe %}{{ x }} printf %s {{ v }}";
    assert_eq!(printed(source, &json!({ "v": "echo a;" })), "a\necho a;");
}
