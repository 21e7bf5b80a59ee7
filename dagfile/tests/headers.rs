//! Keys below the wrong header are told where they belong.

use std::fmt::Write as _;

use flow_dagfile::check_text;

const FILES: [&str; 24] = [
    "[tasks.a]\n[tasks.a.sql]\nquery = 'select 1'\nsqlite = ':memory:'\nretries = 2",
    "[tasks.a]\n[tasks.a.sql]\nquery = 'select 1'\nsqlite = ':memory:'\nschedule = '@daily'",
    "[tasks.a]\nsql = { query = 'select 1', sqlite = ':memory:', retries = 2 }",
    "[tasks.a]\nbash = 'true'\n[tasks.a.env]\nA = '1'\nretries = 2",
    "[tasks.a]\nbash = 'true'\nschedule = '@daily'",
    "[tasks.a]\nbash = 'true'\nmax_active_runs = 1",
    "[tasks.a]\nbash = 'true'\nskip_on_exit_code = [7]",
    "[tasks.a]\nmethod = 'POST'\n[tasks.a.http]\nurl = 'http://x.example'",
    "[tasks.a]\nhttp = { url = 'http://x.example' }\nmethod = 'POST'",
    "[tasks.a]\nhttp = 'http://x.example'\nmethod = 'POST'",
    "[tasks.a]\nfile_sensor = '/x'\ntimeout = '1h'",
    "[tasks.a]\nbash = 'true'\nexpected_status = 200",
    "[tasks.a]\nbash = 'true'\npoke_interval = '1m'",
    "retries = 2\n[tasks.a]\nnoop = true",
    "depends_on = 'b'\n[tasks.a]\nnoop = true",
    "bash = 'true'\n[tasks.a]\nnoop = true",
    "[default_args]\nschedule = '@daily'\n[tasks.a]\nnoop = true",
    "[default_args]\ncatchup = 'all'\n[tasks.a]\nnoop = true",
    "[default_args]\nbash = 'true'\n[tasks.a]\nnoop = true",
    "[params]\nschedule = '@daily'\n[tasks.a]\nnoop = true",
    "[params]\nregion = 'eu'\ncatchup = 'all'\n[tasks.a]\nnoop = true",
    "[task_groups.g]\ntrigger_rule = 'all_done'\n[task_groups.g.tasks.a]\nnoop = true",
    "[task_groups.g]\nschedule = '@daily'\n[task_groups.g.tasks.a]\nnoop = true",
    "[task_groups.g]\nbash = 'true'\n[task_groups.g.tasks.a]\nnoop = true",
];

#[test]
fn a_key_below_the_wrong_header_is_told_where_it_belongs() {
    let mut all = String::new();
    for text in FILES {
        let file = check_text("file.toml", text, None);
        assert!(!file.diagnostics().is_empty(), "{text}");
        let _ = writeln!(all, "{text}");
        for it in file.diagnostics() {
            let _ = writeln!(
                all,
                "    {:?}: {}\n    hint: {}",
                it.severity,
                it.message,
                it.hint.as_deref().unwrap_or_default()
            );
        }
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("headers", all);
    });
}

#[test]
fn params_that_are_used_may_be_named_as_settings_are() {
    for text in [
        "[params]\nowner = 'x'\n[tasks.a]\nbash = 'echo {{ params.owner }}'",
        "[params]\nstart_date = '2026-01-01'\n[tasks.a]\npython = 'import flow; print(flow.params[\"start_date\"])'",
        "owner = 'x'\n[params]\nowner = 'y'\n[tasks.a]\nnoop = true",
        "params = { owner = 'y' }\n[tasks.a]\nnoop = true",
    ] {
        assert_eq!(check_text("file.toml", text, None).diagnostics(), [], "{text}");
    }
}
