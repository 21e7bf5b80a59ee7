//! What tasks say about their attempts: conditions, loops, kinds of failures, declared outputs.

use flow_tests::Standalone;
use serde_json::json;

const DAG: &str = r#"
[params]
full = false
[default_args]
retries = 1
retry_delay = "1h"
[tasks.unwanted]
run_if = "{{ params.full }}"
bash = "echo never"
[tasks.wanted]
run_if = "{{ not params.full }}"
bash = "echo yes"
[tasks.busy]
bash = "echo $FLOW_TRY_NUMBER; [ $FLOW_TRY_NUMBER = 2 ] || exit 75"
failure_rules = [{ exit_code = ["70-80"], action = "retry", delay = "0s", reason = "busy" }]
[tasks.denied]
bash = "echo 'access denied for Ada' >&2; exit 1"
failure_rules = [{ exit_code = 2, action = "skip" }, { output = "^access denied", action = "fail", reason = "no access" }]
[tasks.nothing]
bash = "echo no rows; exit 1"
failure_rules = [{ output = "no rows", action = "skip" }]
[tasks.loop]
bash = "echo x >> @FOLDER@/loop; wc -l < @FOLDER@/loop"
repeat = { until = "{{ output | int >= 3 and iteration == 3 }}", every = "0s", max = 5 }
[tasks.endless]
bash = "echo no"
repeat = { until = "{{ output }}", every = "0s", max = 2 }
retries = 0
[tasks.declared]
bash = "echo '{\"rows\": [1, \"x\"]}'"
output = "json"
outputs = { return_value = { properties = { rows = { items = { type = "integer" } } } }, note = {} }
retries = 0
"#;

#[tokio::test(flavor = "multi_thread")]
async fn tasks_decide_about_themselves() {
    let mut flow = Standalone::with(&[("control", DAG)]).await;
    let run = flow.trigger("control");
    assert_eq!(flow.finished("control", &run).await, "failed");
    let mut states = Vec::new();
    for task in ["unwanted", "wanted", "busy", "denied", "nothing", "loop", "endless", "declared"] {
        let state = flow.api().task("control", &run, task).await["state"].as_str().unwrap_or_default().to_owned();
        let try_number = flow.api().task("control", &run, task).await["try_number"].clone();
        states.push(format!("{task} {state} {try_number}"));
    }
    let expected = [
        "unwanted skipped 1",
        "wanted success 1",
        "busy success 2",
        "denied failed 1",
        "nothing skipped 1",
        "loop success 1",
        "endless failed 1",
        "declared failed 1",
    ];
    assert_eq!(states, expected);
    assert_eq!(flow.api().xcom("control", &run, "loop", "return_value").await, json!("3"));
    let log = |task: &'static str| {
        let (api, run) = (flow.api(), run.clone());
        async move { api.log("control", &run, task, 1).await.unwrap().join("\n") }
    };
    assert!(log("unwanted").await.contains("`run_if` says no: it is `False`"));
    assert!(log("busy").await.contains("busy"));
    assert!(log("denied").await.ends_with("no access"));
    assert!(log("endless").await.contains("repeated 2 times, and `until` never said yes"));
    let declared = log("declared").await;
    assert!(declared.contains("the declared output `note` is missing"), "{declared}");
    assert!(declared.contains("at `/rows/1`: \"x\" is not of type \"integer\""), "{declared}");
    flow.stop_and_audit().await;
}

const MISSPELT: &str = r#"
[default_args]
retries = 1
retry_delay = "1h"
[tasks.source]
bash = "echo '{\"count\": 7, \"note\": null}'"
output = "json"
[tasks.run_if]
depends_on = ["source"]
run_if = "{{ xcom.source.cuont }}"
bash = "echo never"
[tasks.condition]
depends_on = ["source"]
short_circuit = "{{ xcom.source.cuont == 7 }}"
[tasks.choose]
depends_on = ["source"]
branch = "{{ xcom.source.cuont }}"
[tasks.until]
depends_on = ["source"]
bash = "echo no"
repeat = { until = "{{ xcom.source.cuont }}", every = "1h", max = 2 }
[tasks.conf]
depends_on = ["source"]
trigger_dag = { trigger_dag_id = "other", conf = { rows = "{{ xcom.source.cuont }}" } }
[tasks.with]
depends_on = ["source"]
python = { code = "print(1)", args = ["{{ xcom.source.cuont }}"] }
[tasks.parameters]
depends_on = ["source"]
sql = { sqlite = "@FOLDER@/x.db", query = "select :rows", parameters = { rows = "{{ xcom.source.cuont }}" } }
[tasks.null]
depends_on = ["source"]
run_if = "{{ xcom.source.note }}"
bash = "echo never"
[tasks.null_row]
depends_on = ["source"]
sql = { sqlite = "@FOLDER@/x.db", query = "select :note as note", parameters = { note = "{{ xcom.source.note }}" } }
"#;

/// A field that an output does not have is no null, and no "no"; a field that is null is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_defined_fails_at_once_wherever_a_value_is_taken() {
    let mut flow = Standalone::with(&[("misspelt", MISSPELT)]).await;
    let run = flow.trigger("misspelt");
    assert_eq!(flow.finished("misspelt", &run).await, "failed");
    for task in ["run_if", "condition", "choose", "until", "conf", "with", "parameters"] {
        let found = flow.api().task("misspelt", &run, task).await;
        let log = flow.api().log("misspelt", &run, task, 1).await.unwrap().join("\n");
        assert_eq!((&found["state"], &found["try_number"]), (&json!("failed"), &json!(1)), "{task}: {log}");
        let place = if task == "with" { "args" } else { task };
        assert!(log.contains("cannot render the template of `") && log.contains(place), "{task}: {log}");
        assert!(log.contains("`xcom.source.cuont` is not defined"), "{task}: {log}");
        assert!(log.contains("hint: the output of `source` has no field `cuont`"), "{task}: {log}");
    }
    assert_eq!(flow.api().task("misspelt", &run, "null").await["state"], "skipped");
    assert_eq!(flow.api().xcom("misspelt", &run, "null_row", "return_value").await, json!([{ "note": null }]));
    flow.stop_and_audit().await;
}
