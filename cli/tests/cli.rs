//! What the binary prints and returns, without a server.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `flowctl` in a folder, with nothing of this machine's configuration.
fn flowctl(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// Output as one text for a snapshot; the folder's own path does not belong into it.
fn told(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> String {
    let output = flowctl(folder, args, env);
    let clean = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*folder.to_string_lossy(), "[folder]");
    format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap_or(-1),
        clean(&output.stdout),
        clean(&output.stderr)
    )
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn help() {
    insta::assert_snapshot!(told(folder().path(), &["--help"], &[]));
}

#[test]
fn cron_in_words_and_times() {
    let here = folder();
    insta::assert_snapshot!(told(
        here.path(),
        &["cron", "30 2 * * *", "--timezone", "Europe/Stockholm", "--after", "2026-03-27T12:00:00Z", "-n", "4"],
        &[]
    ));
    insta::assert_snapshot!(told(
        here.path(),
        &["cron", "0 9 * * 1#1", "--after", "2026-01-01", "-n", "2", "-o", "json"],
        &[]
    ));
}

#[test]
fn cron_refuses_with_a_reason() {
    let here = folder();
    insta::assert_snapshot!(told(here.path(), &["cron", "61 * * * *"], &[]));
    insta::assert_snapshot!(told(here.path(), &["cron", "0 0 30 2 *"], &[]));
    insta::assert_snapshot!(told(here.path(), &["cron", "0 0 * * *", "--timezone", "Europe/Stokholm"], &[]));
}

#[test]
fn check_tells_every_mistake() {
    let here = folder();
    std::fs::create_dir(here.path().join("dags")).unwrap();
    let broken = "schedule = \"0 25 * * *\"\n\n[tasks.load]\nbsh = \"echo\"\ndepends_on = [\"extrakt\"]\n\n[tasks.extract]\nnoop = true\n";
    std::fs::write(here.path().join("dags/broken.toml"), broken).unwrap();
    std::fs::write(here.path().join("dags/good.toml"), "[tasks.a]\nnoop = true\n").unwrap();
    insta::assert_snapshot!(told(here.path(), &["dags", "check"], &[]));
    insta::assert_snapshot!(told(here.path(), &["dags", "check", "dags/good.toml"], &[]));
    insta::assert_snapshot!(told(here.path(), &["dags", "check", "nowhere"], &[]));
    insta::assert_snapshot!(told(here.path(), &["dags", "check", "-o", "github"], &[]));
    insta::assert_snapshot!(told(here.path(), &["cron", "@daily", "-o", "github"], &[]));
}

/// A file or folder below the DAG folder is checked as a part of it, wherever the command is given.
#[test]
fn a_part_of_the_dag_folder_is_checked_as_such() {
    let here = folder();
    let write = |name: &str, text: &str| {
        let path = here.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("dags/sales/__init__.py", "");
    write("dags/sales/load.py", "def orders():\n    return 1\n");
    write("dags/other.toml", "[tasks.a]\nnoop = true\n");
    write(
        "dags/sub/n.toml",
        "[tasks.a]\npython = { call = \"sales.load:orders\" }\n[tasks.b]\ntrigger_dag = \"other\"\n",
    );
    write("dags/sub/deep/d.toml", "[tasks.a]\npython = { call = \"sales.load:orders\" }\n");
    std::fs::create_dir_all(here.path().join("elsewhere")).unwrap();
    let absolute = here.path().join("dags/sub").display().to_string();
    for (from, path, count) in [
        (".", "dags/sub/n.toml", 1),
        (".", "./dags/sub/n.toml", 1),
        (".", "dags/sub", 2),
        (".", "dags", 3),
        (".", "", 3),
        (".", &absolute, 2),
        ("dags/sub", "n.toml", 1),
        ("dags/sub", ".", 2),
        ("dags/sub", "deep", 1),
        ("dags/sub", "..", 3),
        ("dags/sub", "", 3),
        ("dags", "sub", 2),
        ("elsewhere", "../dags/sub/n.toml", 1),
        ("elsewhere", "", 3),
    ] {
        let paths: Vec<&str> = Some(path).filter(|path| !path.is_empty()).into_iter().collect();
        let done = flowctl(&here.path().join(from), &[&["dags", "check"], &paths[..]].concat(), &[]);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!((text, wrong), (format!("{count} files checked, 0 broken\n"), String::new()), "{from} {path}");
    }
    // What is not part of a DAG folder is one of its own.
    write("elsewhere/n.toml", "[tasks.a]\npython = { call = \"sales.load:orders\" }\n");
    let alone = told(here.path(), &["dags", "check", "elsewhere"], &[]);
    assert!(alone.contains("there is no module `sales`"), "{alone}");
}

#[test]
fn a_file_that_is_no_dag_has_one_mistake() {
    let here = folder();
    for name in ["a.py", "a.yaml", "a.sql", "README", "a.toml.bak"] {
        std::fs::write(here.path().join(name), "import os\n\nwith DAG('x') as dag:\n    a >> b\n").unwrap();
        let refused = told(here.path(), &["dags", "check", name], &[]);
        assert_eq!(refused.matches("error").count(), 1, "{refused}");
        assert!(refused.contains(&format!("`{name}` is no DAG file")) && refused.contains("hint"), "{refused}");
    }
}

#[test]
fn numbers_are_asked_for_in_words() {
    let here = folder();
    for args in [
        &["pools", "set", "small", "abc"][..],
        &["pools", "set", "small", "1.5"],
        &["runs", "list", "--limit", "many"],
        &["tasks", "logs", "d", "t", "--try", "one"],
        &["tasks", "logs", "d", "t", "--map-index", "x"],
        &["cron", "@daily", "--count", "few"],
        &["connections", "set", "c", "--port", "http"],
    ] {
        let refused = told(here.path(), args, &[]);
        assert!(refused.contains("write a whole number, such as 4"), "{args:?}: {refused}");
    }
    let refused = told(here.path(), &["connections", "set", "c", "--port", "70000"], &[]);
    assert!(refused.contains("the number is too large or too small"), "{refused}");
}

#[test]
fn reference_explains_what_can_stand_in_a_file() {
    let here = folder();
    insta::assert_snapshot!(told(here.path(), &["dags", "reference", "sleep"], &[]));
    insta::assert_snapshot!(told(here.path(), &["dags", "reference", "latest_only", "-o", "json"], &[]));
    insta::assert_snapshot!(told(here.path(), &["dags", "reference", "sleeep"], &[]));
    let list = told(here.path(), &["dags", "reference"], &[]);
    assert!(list.contains("\nkubernetes_pod ") && list.contains("\nnotifier "), "{list}");
}

#[test]
fn configuration_mistakes_name_their_place() {
    let here = folder();
    std::fs::write(here.path().join("flow.toml"), "[worker]\nconcurency = 4\n").unwrap();
    insta::assert_snapshot!(told(here.path(), &["config", "show"], &[]));
    std::fs::remove_file(here.path().join("flow.toml")).unwrap();
    insta::assert_snapshot!(told(here.path(), &["config", "show"], &[("FLOW__WORKER__CONCURRENCY", "many")]));
    insta::assert_snapshot!(told(here.path(), &["config", "show", "--set", "lease.duration=6s"], &[]));
    insta::assert_snapshot!(told(here.path(), &["config", "show", "--config", "missing.toml"], &[]));
}

#[test]
fn a_section_is_known_or_refused_with_keys_and_without() {
    let here = folder();
    let shown = |text: &str| {
        std::fs::write(here.path().join("flow.toml"), text).unwrap();
        told(here.path(), &["config", "show"], &[])
    };
    for (text, key) in [
        ("[wrker]\n", "unknown key `wrker` in `flow.toml`"),
        ("[worker]\n[[wrker]]\n", "unknown key `wrker` in `flow.toml`"),
        ("wrker = {}\n", "unknown key `wrker` in `flow.toml`"),
        ("[worker.pool]\n", "unknown key `worker.pool` in `flow.toml`"),
        ("[web.bind]\n", "`web.bind` in `flow.toml` must be text, not a table"),
    ] {
        let told = shown(text);
        assert!(told.contains(key), "{text}: {told}");
    }
    assert!(shown("[wrker]\n").contains("did you mean `worker`?"));
    assert!(!shown("[worker]\n[web]\n").contains("unknown"), "a section without keys is one");
}

#[test]
fn later_layers_win() {
    let here = folder();
    std::fs::write(here.path().join("flow.toml"), "[worker]\nconcurrency = 4\n[web]\nbind = \"127.0.0.1:1\"\n")
        .unwrap();
    let env = [("FLOW__WORKER__CONCURRENCY", "8"), ("FLOW__WORKER__QUEUES", "default, gpu")];
    let output = flowctl(here.path(), &["config", "show", "--set", "web.bind=127.0.0.1:2"], &env);
    let shown: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    assert_eq!(shown["worker"]["concurrency"].as_integer(), Some(8));
    assert_eq!(shown["worker"]["queues"].as_array().unwrap().len(), 2);
    assert_eq!(shown["web"]["bind"].as_str(), Some("127.0.0.1:2"));
}

#[test]
fn a_password_is_not_shown() {
    let env = [("FLOW__DATABASE__URL", "postgres://flow:canary@127.0.0.1:1/flow")];
    for args in [&["config", "show"][..], &["db", "status"], &["doctor"]] {
        let told = told(folder().path(), args, &env);
        assert!(!told.contains("canary"), "{args:?}: {told}");
    }
}

#[test]
fn nobody_there() {
    let here = folder();
    insta::assert_snapshot!(told(here.path(), &["dags", "list"], &[]));
    let unreachable = ["dags", "list", "--url", "http://127.0.0.1:1", "--token", "x"];
    insta::assert_snapshot!(told(here.path(), &unreachable, &[]));
    let database = [("FLOW__DATABASE__URL", "postgres://flow@127.0.0.1:1/flow")];
    insta::assert_snapshot!(told(here.path(), &["db", "status"], &database));
    insta::assert_snapshot!(told(here.path(), &["db", "status"], &[("FLOW__DATABASE__URL", "mysql://here")]));
}

#[test]
fn database_from_nothing_to_current() {
    let here = folder();
    insta::assert_snapshot!(told(here.path(), &["db", "status"], &[]));
    insta::assert_snapshot!(told(here.path(), &["db", "migrate"], &[]));
    insta::assert_snapshot!(told(here.path(), &["audit", "verify"], &[]));
}

#[test]
fn a_role_alone_needs_a_queue_that_others_can_reach() {
    let here = folder();
    flowctl(here.path(), &["db", "migrate"], &[]);
    insta::assert_snapshot!(told(here.path(), &["worker"], &[]));
}

#[test]
fn tokens() {
    let here = folder();
    flowctl(here.path(), &["db", "migrate"], &[]);
    for name in ["login-link", "admin", "standalone"] {
        let created = flowctl(here.path(), &["tokens", "create", name], &[]);
        assert!(created.stdout.starts_with(b"flow_"), "a name is a name: {created:?}");
    }
    flowctl(here.path(), &["login"], &[]);
    let listed = flowctl(here.path(), &["tokens", "list", "-o", "json"], &[]);
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let kinds: Vec<_> = listed.iter().map(|token| format!("{} {}", token["name"], token["kind"])).collect();
    let expected = [r#""admin" "api""#, r#""admin" "login_link""#, r#""login-link" "api""#, r#""standalone" "api""#];
    assert!(expected.iter().all(|token| kinds.contains(&(*token).to_owned())) && kinds.len() == 4, "{kinds:?}");
    let revoked = flowctl(here.path(), &["tokens", "revoke", "admin", "--kind", "login_link"], &[]);
    assert_eq!(revoked.status.code(), Some(0));
    assert_eq!(flowctl(here.path(), &["tokens", "revoke", "admin", "--kind", "link"], &[]).status.code(), Some(2));
    let created = flowctl(here.path(), &["tokens", "create", "ci", "-o", "json"], &[]);
    let created: serde_json::Value = serde_json::from_slice(&created.stdout).unwrap();
    assert!(created["token"].as_str().unwrap().starts_with("flow_"));
    let revoked = flowctl(here.path(), &["tokens", "revoke", "ci"], &[]);
    assert_eq!(revoked.status.code(), Some(0));
    assert_eq!(flowctl(here.path(), &["tokens", "revoke", "ci"], &[]).status.code(), Some(3));
}

#[test]
fn xcom_push_only_inside_a_task() {
    let here = folder();
    insta::assert_snapshot!(told(here.path(), &["xcom", "push", "rows", "3"], &[]));
    let file = here.path().join("xcom");
    let env = [("FLOW_XCOM_FILE", file.to_str().unwrap())];
    flowctl(here.path(), &["xcom", "push", "rows", "3"], &env);
    flowctl(here.path(), &["xcom", "push", "note", "two\nlines"], &env);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "rows=3\nnote=\"two\\nlines\"\n");
}

#[test]
fn init_makes_a_folder_that_checks_and_touches_nothing_that_is_there() {
    let here = folder();
    let first = told(here.path(), &["init"], &[]);
    assert!(
        first.starts_with("exit 0") && first.contains("dags/hello.toml") && first.contains("flowctl standalone"),
        "{first}"
    );
    assert!(told(here.path(), &["dags", "check"], &[]).contains("1 files checked, 0 broken"));
    std::fs::write(here.path().join("dags/hello.toml"), "mine").unwrap();
    assert!(told(here.path(), &["init"], &[]).contains("is there already"));
    assert_eq!(std::fs::read_to_string(here.path().join("dags/hello.toml")).unwrap(), "mine");
}

#[test]
fn a_standalone_without_a_dag_folder_says_how_to_make_one() {
    let said = told(folder().path(), &["standalone", "--bind", "127.0.0.1:0"], &[]);
    assert!(said.starts_with("exit 2") && said.contains("flowctl init"), "{said}");
}

#[test]
fn the_configuration_is_told_to_programs_too() {
    let here = folder();
    std::fs::write(here.path().join("flow.toml"), "\u{feff}[worker]\r\nconcurrency = 3\r\n").unwrap();
    let shown = flowctl(here.path(), &["config", "show", "-o", "json"], &[]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["worker"]["concurrency"], 3);
    assert_eq!(shown["limits"]["xcom_bytes_max"], 1 << 20);
    // For people they are comments: what is printed is a configuration.
    let printed = told(here.path(), &["config", "show"], &[]);
    assert!(printed.contains("# xcom_bytes_max = 1048576  # Bytes of one XCom"), "{printed}");
}

#[test]
fn an_address_needs_no_scheme() {
    let said = told(folder().path(), &["--url", "127.0.0.1:1", "--token", "x", "dags", "list"], &[]);
    assert!(said.starts_with("exit 4") && said.contains("http://127.0.0.1:1"), "{said}");
}
