//! Exit codes and texts that scripts and people rely on.

use flow_tests::{Program, Standalone};
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
    assert!(unknown.stderr.contains("no_such_dag"), "{}", unknown.stderr);
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
