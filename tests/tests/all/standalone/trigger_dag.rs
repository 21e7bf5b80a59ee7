//! Tasks that start runs of other DAGs.

use flow_tests::Standalone;
use serde_json::json;

const PARENT: &str = r#"
[tasks.good]
trigger_dag = { trigger_dag_id = "child", conf = { word = "{{ run_id }} $(id) ' \"" }, wait_for_completion = true, poke_interval = "50ms" }
[tasks.bad]
trigger_dag = { trigger_dag_id = "child", conf = { word = "no" }, wait_for_completion = true, poke_interval = "50ms" }
[tasks.careless]
trigger_dag = { trigger_dag_id = "child", conf = { word = 7 } }
[tasks.nobody]
trigger_dag = "chld"
[tasks.once]
trigger_dag = { trigger_dag_id = "child", trigger_run_id = "only-once", conf = { word = "yes" }, wait_for_completion = true, poke_interval = "50ms" }
[tasks.thrice]
depends_on = ["once"]
trigger_dag = { trigger_dag_id = "child", trigger_run_id = "only-once", conf = { word = "yes" } }
[tasks.reset]
depends_on = ["twice"]
trigger_rule = "none_failed"
trigger_dag = { trigger_dag_id = "child", trigger_run_id = "only-once", reset_dag_run = true, wait_for_completion = true, poke_interval = "50ms" }
[tasks.asleep]
trigger_dag = { trigger_dag_id = "asleep", fail_when_dag_is_paused = true }
[tasks.patient]
trigger_dag = "asleep"
[tasks.twice]
depends_on = ["once"]
trigger_dag = { trigger_dag_id = "child", trigger_run_id = "only-once", skip_when_already_exists = true }
"#;

const CHILD: &str = r#"
[params]
word = { type = "string", default = "yes" }
[tasks.say]
bash = "test {{ params.word }} != no"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_starts_another_and_waits_for_it() {
    let asleep = "is_paused_upon_creation = true\n[tasks.a]\nnoop = true\n";
    let mut flow = Standalone::with(&[("parent", PARENT), ("child", CHILD), ("asleep", asleep)]).await;
    let run = flow.trigger("parent");
    assert_eq!(flow.finished("parent", &run).await, "failed");
    let mut states = Vec::new();
    for task in ["good", "bad", "careless", "nobody", "once", "twice", "thrice", "reset", "asleep", "patient"] {
        let state = flow.api().task("parent", &run, task).await["state"].as_str().unwrap_or_default().to_owned();
        states.push(format!("{task} {state}"));
    }
    let expected = [
        "good success",
        "bad failed",
        "careless failed",
        "nobody failed",
        "once success",
        "twice skipped",
        "thrice failed",
        "reset success",
        "asleep failed",
        "patient success",
    ];
    assert_eq!(states, expected);
    // The value of the XCom is the run's id, and the run got the value as it was.
    let started = flow.api().xcom("parent", &run, "good", "return_value").await;
    let child =
        flow.api().get(&format!("/api/v2/dags/child/dagRuns/{}", started.as_str().unwrap().replace('+', "%2B"))).await;
    assert_eq!(child["conf"]["word"], json!(format!("{run} $(id) ' \"")));
    assert_eq!(child["run_type"], "operator_triggered");
    let log = |task: &'static str| {
        let (api, run) = (flow.api(), run.clone());
        async move { api.log("parent", &run, task, 1).await.unwrap().join("\n") }
    };
    assert!(log("nobody").await.contains("there is no dag `chld` to trigger"));
    assert!(log("thrice").await.contains("dag `child` already has a run `only-once`\nhint: give each run its own"));
    assert!(log("reset").await.contains("cleared the run `only-once` of dag `child`"));
    assert!(log("asleep").await.contains("hint: flowctl dags unpause asleep"));
    assert!(log("patient").await.contains("dag `asleep` is paused: the run waits"));
    // It has run twice: it was cleared.
    let say = flow.api().tries("child", "only-once", "say").await;
    assert_eq!(say.len(), 2, "{say:?}");
    assert!(log("careless").await.contains("`conf` does not fit the params of dag `child`"));
    flow.stop_and_audit().await;
}
