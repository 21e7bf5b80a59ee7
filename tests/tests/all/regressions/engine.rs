//! What the engine decided wrongly.

use std::time::Duration;

use flow_tests::{eventually, eventually_within};
use reqwest::Method;
use serde_json::{Value, json};

use super::Place;

const LEASE: &str = r#"
dag_id = "lease"
[tasks.create]
bash = "echo made"
[tasks.work]
depends_on = ["create"]
bash = "sleep 60"
[tasks.delete]
depends_on = ["work"]
teardown_of = ["create"]
bash = "echo deleted"
"#;

pub(super) async fn teardowns_run_when_their_run_is_ended(place: &Place) {
    place.publish("lease", LEASE).await;
    for way in ["cancel", "failed", "success"] {
        let run = place.trigger("lease", &[]);
        let works = async || (place.task_state("lease", &run, "work").await == "running").then_some(());
        eventually("`work` runs", works).await;
        if way == "cancel" {
            place.flowctl(&["runs", "cancel", "lease", &run]).expect(0);
        } else {
            let path = format!("/api/v2/dags/lease/dagRuns/{}", run.replace('+', "%2B"));
            let (status, answer) = place.api.ask(Method::PATCH, &path, Some(&json!({ "state": way }))).await.unwrap();
            assert_eq!((status, &answer["state"]), (200, &json!("running")), "until the teardown is over: {answer}");
        }
        let expected = if way == "success" { "success" } else { "failed" };
        assert_eq!(place.end("lease", &run).await, expected, "{way}");
        for (task, state) in [("create", "success"), ("work", expected), ("delete", "success")] {
            assert_eq!(place.task_state("lease", &run, task).await, state, "{way}: {task}");
        }
        assert_eq!(place.left("lease", &run, "delete").await, "deleted");
    }
}

const SKIPPED_LIST: &str = r#"
dag_id = "skipped_list"
[tasks.list]
bash = "exit 99"
output = "json"
[tasks.each]
trigger_rule = "all_done"
expand = { v = "{{ xcom.list }}" }
bash = "echo {{ v }}"
"#;

pub(super) async fn mapped_over_a_skipped_task_is_skipped(place: &Place) {
    let run = place.succeeded("skipped_list", SKIPPED_LIST, &[]).await;
    assert_eq!(place.task_state("skipped_list", &run, "each").await, "skipped");
}

const LATE: &str = r#"
dagrun_timeout = "4s"
on_failure = [{ command = ["sh", "-c", "echo failed >> @FOLDER@/told"] }]
[default_args]
on_skipped = [{ command = ["sh", "-c", "echo skipped >> @FOLDER@/told"] }]
[tasks.sleeps]
bash = "sleep 30"
[tasks.waits]
file_sensor = "@FOLDER@/never"
"#;

pub(super) async fn what_the_clock_skips_is_not_told_as_skipped(place: &Place) {
    let (run, state) = place.run("late", LATE, &[]).await;
    assert_eq!(state, "failed");
    for task in ["sleeps", "waits"] {
        assert_eq!(place.task_state("late", &run, task).await, "skipped");
    }
    let told = eventually("the failure is told", async || std::fs::read_to_string(place.path("told")).ok()).await;
    assert_eq!(told, "failed\n");
    // Whatever is to be called is listed from the moment on in which it happened.
    let path = format!("/api/flow/dags/late/dagRuns/{}/callbacks", run.replace('+', "%2B").replace(':', "%3A"));
    let callbacks = place.api.get(&path).await["callbacks"].as_array().cloned().unwrap();
    assert!(callbacks.len() == 1 && callbacks[0]["event"] == "failure", "{callbacks:?}");
}

/// The instants at which the first runs of a DAG started and ended, in seconds.
async fn first_runs(place: &Place, dag: &str, count: usize) -> Vec<(f64, f64)> {
    let instant = |text: &Value| {
        let at: flow_model::Timestamp = text.as_str()?.parse().ok()?;
        Some(at.as_micros() as f64 / 1e6)
    };
    eventually_within(Duration::from_secs(60), &format!("{count} runs of `{dag}` are over"), async || {
        let page = place.api.get(&format!("/api/v2/dags/{dag}/dagRuns?order_by=id&limit={count}")).await;
        let runs = page["dag_runs"].as_array().cloned()?;
        let times: Option<Vec<(f64, f64)>> =
            runs.iter().map(|run| Some((instant(&run["start_date"])?, instant(&run["end_date"])?))).collect();
        times.filter(|times| times.len() == count)
    })
    .await
}

pub(super) async fn continuous_runs_have_a_brake(place: &Place) {
    for (dag, script) in [("fails_at_once", "exit 1"), ("ends_at_once", "true")] {
        place.publish(dag, &format!("schedule = \"@continuous\"\n[tasks.a]\nbash = \"{script}\"\n")).await;
    }
    // After failures the pause doubles: 1, 2, 4 seconds from the end on.
    let failed = first_runs(place, "fails_at_once", 4).await;
    for (number, pair) in failed.windows(2).enumerate() {
        let pause = pair[1].0 - pair[0].1;
        assert!(pause >= f64::from(1_u32 << number), "{failed:?}");
    }
    let succeeded = first_runs(place, "ends_at_once", 4).await;
    assert!(succeeded.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1.0), "{succeeded:?}");
    for dag in ["fails_at_once", "ends_at_once"] {
        place.flowctl(&["dags", "pause", dag]).expect(0);
    }
}
