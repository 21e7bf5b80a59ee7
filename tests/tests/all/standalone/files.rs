//! The DAG folder: what changes in it is seen, and what is broken in it breaks nothing.

use std::time::Duration;

use flow_tests::{Standalone, eventually_within};

const SEEN_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_seen_broken_files_change_nothing_and_deleted_ones_retire() {
    let mut flow = Standalone::with(&[("edited", "[tasks.say]\nbash = 'echo first'\n")]).await;
    let said = async |flow: &Standalone| {
        let run = flow.trigger("edited");
        assert_eq!(flow.finished("edited", &run).await, "success");
        flow.api().xcom("edited", &run, "say", "return_value").await
    };
    assert_eq!(said(&flow).await, "first");

    flow.write_dag("edited", "[tasks.say]\nbash = 'echo second'\n");
    eventually_within(SEEN_WITHIN, "the edit is published", async || {
        let details = flow.api().get("/api/v2/dags/edited/details").await;
        (details["latest_dag_version"]["version_number"] == 2).then_some(())
    })
    .await;
    assert_eq!(said(&flow).await, "second");

    flow.write_dag("edited", "[tasks.say]\nbahs = 'echo third'\n");
    let error = eventually_within(SEEN_WITHIN, "the mistake is shown", async || {
        let errors = flow.api().get("/api/v2/importErrors").await;
        errors["import_errors"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(error["filename"], "edited.toml");
    let text = error["stack_trace"].as_str().unwrap();
    assert!(text.contains("bahs") && text.contains("bash"), "{text}");
    assert_eq!(said(&flow).await, "second", "the good version goes on");
    let check = flow.flowctl(&["dags", "check", "dags"]);
    assert_ne!(check.code, 0);

    flow.write_dag("edited", "[tasks.say]\nbash = 'echo fourth'\n");
    eventually_within(SEEN_WITHIN, "the mistake is forgotten", async || {
        (flow.api().get("/api/v2/importErrors").await["total_entries"] == 0).then_some(())
    })
    .await;
    assert_eq!(said(&flow).await, "fourth");

    std::fs::remove_file(flow.path("dags/edited.toml")).unwrap();
    let refused = eventually_within(SEEN_WITHIN, "the DAG retires", async || {
        let done = flow.flowctl(&["trigger", "edited"]);
        (done.code != 0).then_some(done)
    })
    .await;
    assert!(refused.stderr.contains("edited.toml"), "{}", refused.stderr);
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_and_its_schedule_start_by_themselves() {
    let mut flow = Standalone::with(&[]).await;
    flow.write_dag("ticking", "schedule = { every = '1s' }\n[tasks.tick]\nnoop = true\n");
    flow.wait_for_dag("ticking").await;
    eventually_within(Duration::from_secs(15), "three scheduled runs succeed", async || {
        let runs = flow.api().get("/api/v2/dags/ticking/dagRuns?state=success").await;
        (runs["total_entries"].as_i64()? >= 3).then_some(())
    })
    .await;
    flow.flowctl(&["dags", "pause", "ticking"]).expect(0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let count = flow.api().get("/api/v2/dags/ticking/dagRuns").await["total_entries"].clone();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let later = flow.api().get("/api/v2/dags/ticking/dagRuns").await["total_entries"].clone();
    assert_eq!(count, later, "a paused DAG starts nothing new");
    flow.stop_and_audit().await;
}
