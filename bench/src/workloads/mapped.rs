//! Mapped tasks: ten thousand instances of one, of a group, and a hundred thousand, which is the most there can be.

use anyhow::Result;

use super::burst::{Burst, bursts, cost_ms, rates};
use super::{Bench, burst, pages};
use crate::api::{Api, encoded};
use crate::dag_files::{Work, fan_out, mapped_group, task_id, wide};
use crate::figures::{Report, count, median};

const PLAIN: &str = "plain";
const MAPPED: &str = "mapped";
const GROUP: &str = "mapped_group";
const LARGEST: &str = "largest";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report> {
    let instances = bench.size(10_000, 200);
    let largest = bench.size(100_000, 1_000);
    let mut installation = bench.installation()?;
    installation.write_dag(PLAIN, &wide(instances, &Work::Noop))?;
    installation.write_dag(MAPPED, &fan_out(instances))?;
    installation.write_dag(GROUP, &mapped_group(instances / 2))?;
    installation.write_dag(LARGEST, &fan_out(largest))?;
    let api = installation.start().await?;
    api.dags_visible(4).await?;
    let engine = bench.place.engine();
    let plain = repeated(bench, &api, PLAIN).await?;
    let before = engine.pss_mb()?;
    let mapped = repeated(bench, &api, MAPPED).await?;
    let after = engine.pss_mb()?;
    let group = repeated(bench, &api, GROUP).await?;
    let times = pages::times(&api, &paths(&api, MAPPED, instances).await?, bench.size(20, 3)).await?;
    let most = burst::burst(bench, &api, &[LARGEST.to_owned()]).await?;
    let times_of_largest = pages::times(&api, &paths(&api, LARGEST, largest).await?, bench.size(20, 3)).await?;

    let mut report = Report::default();
    report.figure("tasks_per_second", median(&rates(&mapped)), "/s");
    report.figure("slower_per_task", (cost_ms(&mapped) / cost_ms(&plain) - 1.0) * 100.0, "%");
    report.figure("group_tasks_per_second", median(&rates(&group)), "/s");
    report.figure("largest_tasks_per_second", count(most.tasks) / most.seconds, "/s");
    pages::tell(&mut report, &times);
    report.list("tasks_per_second_not_mapped", &rates(&plain));
    report.list("tasks_per_second_mapped", &rates(&mapped));
    report.list("tasks_per_second_in_a_group", &rates(&group));
    for (name, times) in &times_of_largest {
        report.list(&format!("page_ms_{name}_of_the_largest_p50"), &[median(times)]);
    }
    report.list("memory_mb_before_and_after", &[before, after]);
    report.list("memory_mb_after_the_largest", &[engine.pss_mb()?]);
    Ok(report)
}

async fn repeated(bench: &Bench<'_>, api: &Api, dag: &str) -> Result<Vec<Burst>> {
    bursts(bench, api, &[dag.to_owned()]).await
}

/// What people look at in a run with a mapped task.
async fn paths(api: &Api, dag: &str, instances: usize) -> Result<Vec<(&'static str, String)>> {
    let run = encoded(&api.newest_run(dag).await?);
    let (page, task) = (format!("/dags/{dag}/runs/{run}"), task_id(1));
    let (answer, last) = (format!("/api/v2/dags/{dag}/dagRuns/{run}/taskInstances"), instances - 1);
    Ok(vec![
        ("grid", format!("/dags/{dag}")),
        ("run", page.clone()),
        ("mapped", format!("{page}/tasks/{task}")),
        ("mapped_last", format!("{page}/tasks/{task}?page={}", last / 200)),
        ("mapped_failed", format!("{page}/tasks/{task}?state=failed")),
        ("instance", format!("{page}/tasks/{task}?map_index={last}")),
        ("api_tasks", format!("{answer}?limit=100")),
        ("api_tasks_last", format!("{answer}?limit=100&offset={last}")),
        ("api_explain", format!("/api/flow/dags/{dag}/dagRuns/{run}/taskInstances/{}/explain", task_id(2))),
    ])
}
