//! Exit codes and texts that scripts and people rely on.

use flow_tests::{Program, Standalone, eventually};
use serde_json::Value;

const GREET: &str = "
[params]
name = { type = 'string', default = 'world', minLength = 1 }
times = { type = 'integer', default = 1, minimum = 1, maximum = 10 }
[tasks.greet]
bash = 'echo hello {{ params.name }}'
";
const BROKEN: &str = "[tasks.fail]\nbash = 'echo it hurts >&2; exit 3'\n";

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_hints() {
    let mut flow = Standalone::with(&[("greet", GREET), ("broken", BROKEN)]).await;

    let wrong = flow.flowctl(&["trigger", "greet", "-p", "times=11"]).expect(2);
    assert!(wrong.stderr.contains("times") && wrong.stderr.contains("10"), "{}", wrong.stderr);
    let wrong = flow.flowctl(&["trigger", "greet", "-p", "times=often"]).expect(2);
    assert!(wrong.stderr.contains("times"), "{}", wrong.stderr);
    let wrong = flow.flowctl(&["trigger", "greet", "-p", "nmae=Ada"]).expect(2);
    assert!(wrong.stderr.contains("nmae"), "{}", wrong.stderr);
    flow.flowctl(&["trigger", "greet", "--conf", "[1]"]).expect(2);
    flow.flowctl(&["trigger", "greet", "--logical-date", "tomorrow"]).expect(2);
    let (start, end) = ("2026-01-31T06:00:00Z", "2026-02-01");
    for (ends, problem) in [
        (vec!["--data-interval-start", start], "--data-interval-end"),
        (vec!["--data-interval-end", end], "--data-interval-start"),
        (
            vec!["--data-interval-start", "then", "--data-interval-end", end],
            "`--data-interval-start then` is not a time",
        ),
        (vec!["--data-interval-start", end, "--data-interval-end", start], "before it begins"),
    ] {
        let wrong = flow.flowctl(&[&["trigger", "greet"], &ends[..]].concat()).expect(2);
        assert!(wrong.stderr.contains(problem), "{}", wrong.stderr);
    }
    let given = ["trigger", "greet", "--data-interval-start", start, "--data-interval-end", end, "-o", "json"];
    let run: Value = serde_json::from_str(&flow.flowctl(&given).expect(0).stdout).unwrap();
    assert_eq!(run["data_interval_start"], "2026-01-31T06:00:00+00:00");
    assert_eq!(run["data_interval_end"], "2026-02-01T00:00:00+00:00");
    flow.flowctl(&["no-such-command"]).expect(2);

    let unknown = flow.flowctl(&["trigger", "no_such_dag"]).expect(3);
    assert!(unknown.stderr.contains("no_such_dag") && unknown.stderr.contains("flowctl dags list"), "{unknown:?}");
    for command in
        [&["trigger"][..], &["trigger", "-p", "a=1"], &["dags", "show"], &["dags", "pause"], &["dags", "next"]]
    {
        let unknown = flow.flowctl(&[command, &["gret"]].concat()).expect(3);
        assert!(unknown.stderr.ends_with("hint: did you mean `greet`?\n"), "{command:?}: {}", unknown.stderr);
    }
    let unknown = flow.flowctl(&["runs", "list", "--state", "sucess"]).expect(2);
    assert!(unknown.stderr.contains("`sucess`\nhint: did you mean `success`? There are queued, "), "{unknown:?}");
    flow.flowctl(&["runs", "show", "greet", "no_such_run"]).expect(3);

    let failed = flow.flowctl(&["trigger", "broken", "--wait"]).expect(1);
    assert!(failed.stdout.contains("failed") && failed.stderr.contains("flowctl runs show"), "{failed:?}");
    let followed = flow.flowctl(&["trigger", "broken", "--follow"]).expect(1);
    assert!(followed.stderr.contains("exit code 3"), "{}", followed.stderr);
    let explained = flow.flowctl(&["tasks", "explain", "broken", "fail"]).expect(0);
    assert!(explained.stdout.contains("exit code 3"), "{}", explained.stdout);
    let worked = flow.flowctl(&["trigger", "greet", "--wait", "-p", "name=Ada"]).expect(0);
    assert!(worked.stdout.contains("success"), "{}", worked.stdout);
    let listed = flow.flowctl(&["runs", "list", "greet", "-o", "json"]).expect(0);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed[0]["state"], "success", "{listed}");

    flow.flowctl(&["--url", flow.api().url(), "--token", "wrong", "dags", "list"]).expect(5);
    flow.stop_and_audit().await;

    let nobody = flow.flowctl(&["dags", "list"]).expect(4);
    assert!(nobody.stderr.contains("hint: start one with `flowctl standalone`"), "{}", nobody.stderr);
    let port = flow_testbed::free_port().unwrap();
    flow.flowctl(&["--url", &format!("http://127.0.0.1:{port}"), "dags", "list"]).expect(4);
}

#[test]
fn a_database_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let port = flow_testbed::free_port().unwrap();
    let url = format!("postgres://flow:secret@127.0.0.1:{port}/flow");
    let program = Program::new(folder.path()).unwrap().env("FLOW__DATABASE__URL", url);
    let done = program.run(&["db", "status"]).expect(4);
    assert!(done.stderr.contains("hint:"), "{}", done.stderr);
    assert!(!done.stderr.contains("secret"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_what_is_not_there_is_not_found() {
    let fan = "[tasks.one]\nbash = 'echo here'\n[tasks.many]\nbash = 'echo {{ n }}'\nexpand = { n = [1, 2, 3] }\n";
    let mut flow = Standalone::with(&[("fan", fan)]).await;
    let run = flow.trigger("fan");
    assert_eq!(flow.finished("fan", &run).await, "success");
    let logs = |more: &[&str], code: i32| {
        flow.flowctl(&[&["tasks", "logs", "fan"], more, &["--run", &run]].concat()).expect(code)
    };
    for (more, told) in [
        (&["one", "--try", "3"][..], "has no try 3 in the run"),
        (&["one", "--try", "3"], "hint: its only try is 1"),
        (&["one", "--try", "3", "--follow"], "hint: its only try is 1"),
        (&["many", "--map-index", "7"], "has no instance with the map index 7"),
        (&["many", "--map-index", "7"], "hint: its map indexes go from 0 to 2"),
        (&["many", "--map-index", "7", "--follow"], "hint: its map indexes go from 0 to 2"),
        (&["many", "--map-index", "1", "--try", "2"], "hint: its only try is 1"),
        (&["one", "--map-index", "0"], "hint: it is not mapped"),
    ] {
        let refused = logs(more, 3);
        assert!(refused.stderr.contains(told) && refused.stdout.is_empty(), "{more:?}: {refused:?}");
    }
    assert_eq!(logs(&["one", "--try", "1"], 0).stdout, "here\n");
    assert_eq!(logs(&["many", "--map-index", "2"], 0).stdout, "3\n");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_whose_file_is_broken_says_so_when_it_is_triggered() {
    let mut flow = Standalone::with(&[("greet", GREET)]).await;
    assert!(flow.flowctl(&["trigger", "greet"]).expect(0).stderr.is_empty());
    for dag in ["never", "greet"] {
        flow.write_dag(dag, "[tasks.greet]\nbsh = 'true'\n");
    }
    eventually("both files are read", async || {
        (flow.api().get("/api/v2/importErrors").await["total_entries"] == 2).then_some(())
    })
    .await;
    let never = flow.flowctl(&["trigger", "never"]).expect(3);
    assert!(never.stderr.contains("`never` was never published, because its file has errors"), "{never:?}");
    assert!(never.stderr.contains("bsh") && never.stderr.contains("`flowctl dags check`"), "{never:?}");
    for wait in [&[][..], &["--wait"]] {
        let run = flow.flowctl(&[&["trigger", "greet"], wait].concat()).expect(0);
        assert!(
            run.stderr.contains("warning: the file of `greet` has errors, so its last good version runs"),
            "{run:?}"
        );
        assert!(run.stderr.contains("bsh"), "{run:?}");
    }
    flow.stop_and_audit().await;
}
