//! Files that arrive start runs, each file one.

use std::path::Path;
use std::time::Duration;

use flow_tests::{Standalone, eventually_within};
use serde_json::Value;

const ARRIVALS: &str = "
start_date = 2026-01-01
schedule = [
  { cron = '0 0 1 1 *', data_intervals = true },
  { files = { path = '@FOLDER@/in/*.csv', stable_for = '400ms', poke_interval = '1s' } },
]
max_active_runs = 1
[params.path]
type = 'string'
default = ''
[tasks.count]
bash = 'wc -l < {{ params.path }}; echo {{ params.size }} bytes'
output = 'last_line'
";

const LOST: &str = "
schedule = ['0 6 * * *', { files = { path = '@FOLDER@/nowhere/*.csv', existing = 'start', poke_interval = '1s' } }]
[params.size]
type = 'integer'
minimum = 3
default = 3
[tasks.a]
noop = true
";

async fn runs(flow: &Standalone, dag: &str) -> Vec<Value> {
    let page = flow.api().get(&format!("/api/v2/dags/{dag}/dagRuns?order_by=id")).await;
    page["dag_runs"].as_array().cloned().unwrap_or_default()
}

/// Waits for the DAG's runs to be as many, and all of them successful.
async fn succeeded(flow: &Standalone, dag: &str, count: usize) -> Vec<Value> {
    eventually_within(Duration::from_secs(30), &format!("{count} runs of `{dag}` succeed"), async || {
        let runs = runs(flow, dag).await;
        (runs.len() == count && runs.iter().all(|run| run["state"] == "success")).then_some(runs)
    })
    .await
}

async fn looked_at(flow: &Standalone, dag: &str, since: &Value) -> Value {
    let path = format!("/api/flow/dags/{dag}/starts");
    eventually_within(Duration::from_secs(20), &format!("the files of `{dag}` are looked at"), async || {
        let start = flow.api().get(&path).await["starts"][0].clone();
        (start["looked_at"].is_string() && start["looked_at"] != *since).then_some(start)
    })
    .await
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_that_arrives_starts_one_run() {
    let mut flow = Standalone::new();
    flow.write_dag("arrivals", ARRIVALS);
    flow.write_dag("lost", LOST);
    let folder = flow.path("in");
    std::fs::create_dir(&folder).unwrap();
    write(&folder, "old.csv", "was here before\n");
    flow.start().await;
    looked_at(&flow, "arrivals", &Value::Null).await;

    write(&folder, "new.csv", "1\n2\n");
    write(&folder, "half.tmp", "not ours");
    let found = succeeded(&flow, "arrivals", 1).await;
    let path = folder.join("new.csv").display().to_string();
    assert_eq!((&found[0]["conf"]["path"], &found[0]["conf"]["size"]), (&path.into(), &4.into()));
    assert_eq!(found[0]["run_type"], "asset_triggered");
    let [start, end] = ["data_interval_start", "data_interval_end"].map(|end| found[0][end].as_str().unwrap());
    assert!(start.ends_with("-01-01T00:00:00+00:00") && end.ends_with("-01-01T00:00:00+00:00"), "{start} {end}");
    assert!(start < end, "the last year that is complete: {start} {end}");
    let who = found[0]["triggering_user_name"].as_str().unwrap();
    assert!(who.starts_with("files /") && who.ends_with("/in/*.csv"), "{who}");
    let run = found[0]["dag_run_id"].as_str().unwrap();
    assert_eq!(flow.api().xcom("arrivals", run, "count", "return_value").await, "4 bytes");

    // Several at once queue behind each other; a file that is written anew counts again; one that goes does not matter.
    write(&folder, "a.csv", "1\n");
    write(&folder, "b.csv", "1\n2\n3\n");
    write(&folder, "new.csv", "1\n2\n3\n4\n");
    std::fs::remove_file(folder.join("old.csv")).unwrap();
    let found = succeeded(&flow, "arrivals", 4).await;
    let mut sizes: Vec<i64> = found.iter().map(|run| run["conf"]["size"].as_i64().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 4, 6, 8]);

    // What counted before a crash still counts after it.
    flow.kill();
    write(&folder, "meanwhile.csv", "1\n2\n3\n4\n5\n");
    flow.start().await;
    let found = succeeded(&flow, "arrivals", 5).await;
    assert_eq!(found[4]["conf"]["size"], 10);

    // A folder that is missing is told where people look; what does not fit the params starts nothing, and is told, too.
    let start = looked_at(&flow, "lost", &Value::Null).await;
    assert!(start["problem"].as_str().unwrap().contains("cannot look into the folder"), "{start}");
    let shown = flow.flowctl(&["dags", "show", "lost"]).expect(0);
    assert!(shown.stdout.contains("/nowhere/*.csv") && shown.stderr.contains("cannot look into"), "{shown:?}");
    std::fs::create_dir(flow.path("nowhere")).unwrap();
    write(&flow.path("nowhere"), "small.csv", "1");
    eventually_within(Duration::from_secs(30), "the file is refused", async || {
        let start = flow.api().get("/api/flow/dags/lost/starts").await["starts"][0].clone();
        start["problem"].as_str().is_some_and(|problem| problem.contains("started no run")).then_some(())
    })
    .await;
    write(&flow.path("nowhere"), "large.csv", "12345");
    let found = succeeded(&flow, "lost", 1).await;
    assert_eq!(found[0]["conf"]["size"], 5);
    flow.stop_and_audit().await;
}
