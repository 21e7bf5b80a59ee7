//! Executables that speak the plugin protocol, from the file to the XCom.

use std::time::Duration;

use flow_tests::{Standalone, eventually_within};
use serde_json::{Value, json};

/// Answers with what it was told.
const ECHO: &str = r#"#!/usr/bin/env python3
import json, sys
request = json.loads(sys.stdin.readline())
print(json.dumps({"type": "log", "message": "try " + str(request["context"]["try_number"])}), flush=True)
print(json.dumps({"type": "result", "state": "success", "value": request}), flush=True)
"#;

fn with_plugins(plugins: &[(&str, &str)]) -> Standalone {
    let flow = Standalone::new();
    std::fs::create_dir(flow.path("dags/plugins")).unwrap();
    for (name, text) in plugins {
        std::fs::write(flow.path("dags/plugins").join(name), text).unwrap();
    }
    flow
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_arrives_as_it_is() {
    let dag = "
[tasks.echo.plugin]
name = 'echo'
with = { text = '{{ conf.text }}', nested = { list = ['{{ conf.text }}', 1, true] } }
";
    let mut flow = with_plugins(&[("echo", ECHO)]);
    flow.write_dag("echoing", dag);
    flow.start().await;
    let hostile =
        "\"}\n{\"type\":\"result\",\"state\":\"failed\"}\n$(id) `id` ' \\ ${HOME} {{ ds }} \u{7f}\u{2028} \u{1f600}";
    let conf = json!({ "text": hostile }).to_string();
    flow.flowctl(&["trigger", "echoing", "--conf", &conf, "--wait"]).expect(0);
    let run = flow.api().get("/api/v2/dags/echoing/dagRuns").await["dag_runs"][0]["dag_run_id"].clone();
    let run = run.as_str().unwrap();
    let value = flow.api().xcom("echoing", run, "echo", "return_value").await;
    assert_eq!(value["with"], json!({ "text": hostile, "nested": { "list": [hostile, 1, true] } }));
    assert_eq!((&value["protocol"], &value["type"]), (&json!(1), &json!("execute")));
    let context = &value["context"];
    assert_eq!((&context["dag_id"], &context["task_id"]), (&json!("echoing"), &json!("echo")));
    assert_eq!((&context["try_number"], &context["conf"]["text"]), (&json!(1), &json!(hostile)));
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_that_misbehave() {
    let mut flow = with_plugins(&[
        ("chatty", "#!/bin/sh\necho loading model\nexec sleep 300\n"),
        ("silent", "#!/bin/sh\necho 'no licence found' >&2\nexit 7\n"),
        ("deaf", "#!/bin/sh\nexec sleep 300\n"),
        (
            "hopeless",
            "#!/bin/sh\necho '{\"type\":\"result\",\"state\":\"failed\",\"reason\":\"no access\",\"retryable\":false}'\n",
        ),
    ]);
    flow.write_dag(
        "misbehaving",
        "
[default_args]
env = { PROBE = '@FOLDER@' }
[tasks.chatty]
plugin = 'chatty'
[tasks.silent]
plugin = 'silent'
[tasks.deaf]
plugin = 'deaf'
execution_timeout = '300ms'
[tasks.hopeless]
plugin = 'hopeless'
retries = 3
[tasks.absent]
plugin = 'absent'
",
    );
    flow.start().await;
    let run = flow.trigger("misbehaving");
    assert_eq!(flow.finished("misbehaving", &run).await, "failed");
    let mut reasons = Vec::new();
    for task in ["chatty", "silent", "deaf", "hopeless", "absent"] {
        let tries = flow.api().tries("misbehaving", &run, task).await;
        assert_eq!(tries.len(), 1, "{tries:?}");
        let log = flow.api().log("misbehaving", &run, task, 1).await.unwrap();
        reasons.push(log.join("\n"));
    }
    assert!(reasons[0].contains("plugin `chatty` wrote `loading model`, which is no message"), "{reasons:?}");
    assert!(reasons[1].contains("without a result (exit code 7); its last words: `no licence found`"), "{reasons:?}");
    assert!(reasons[2].contains("timed out"), "{reasons:?}");
    assert!(reasons[3].contains("no access"), "{reasons:?}");
    assert!(reasons[4].contains("plugin `absent` was not published"), "{reasons:?}");
    eventually_within(Duration::from_secs(5), "nothing is left", async || flow.probes().is_empty().then_some(())).await;
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_only_the_worker_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo");
    std::fs::write(&path, ECHO).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut flow = Standalone::new().env("FLOW__WORKER__PLUGINS_FOLDER", &folder.path().display().to_string());
    flow.write_dag("installed", "[tasks.echo]\nplugin = { name = 'echo', with = { a = 1 } }\n");
    let checked = flow.flowctl(&["dags", "check", "dags/installed.toml"]).expect(0);
    let told = format!("{}{}", checked.stdout, checked.stderr);
    assert!(told.contains("there is no `plugins/echo` beside the DAG file"), "{told}");
    flow.start().await;
    let run = flow.trigger("installed");
    assert_eq!(flow.finished("installed", &run).await, "success");
    let value: Value = flow.api().xcom("installed", &run, "echo", "return_value").await;
    assert_eq!(value["with"], json!({ "a": 1 }));
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_goes_on_later() {
    let patient = r#"#!/usr/bin/env python3
import json, sys
request = json.loads(sys.stdin.readline())
seen = (request["resume"] or []) + [request["context"]["try_number"]]
if len(seen) < 3:
    print(json.dumps({"type": "defer", "after_seconds": 0, "resume": seen}))
else:
    print(json.dumps({"type": "result", "state": "success", "value": seen}))
"#;
    let mut flow = with_plugins(&[("patient", patient)]);
    flow.write_dag("patience", "[tasks.wait]\nplugin = 'patient'\n");
    flow.start().await;
    let run = flow.trigger("patience");
    assert_eq!(flow.finished("patience", &run).await, "success");
    assert_eq!(flow.api().xcom("patience", &run, "wait", "return_value").await, json!([1, 1, 1]));
    flow.stop_and_audit().await;
}
