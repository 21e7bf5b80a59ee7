//! A database with a long history: are tasks and pages as fast as in an empty one?

use std::time::Instant;

use anyhow::Result;

use super::Bench;
use super::burst::{bursts, cost_ms, cpu_ms, rates};
use super::pages::{Times, times};
use crate::api::{Api, encoded};
use crate::dag_files::{Work, task_id, wide};
use crate::figures::{Report, median, percentile};
use crate::seed::copy_runs;

const DAG: &str = "wide";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report> {
    let mut installation = bench.installation()?;
    let tasks = bench.size(1_000, 50);
    installation.write_dag(DAG, &wide(tasks, &Work::run_true()))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let dags = [DAG.to_owned()];
    let before = bursts(bench, &api, &dags).await?;
    let pages_before = pages(&api, bench.size(20, 3)).await?;
    installation.stop();

    let begin = Instant::now();
    let copies = bench.size(1_000, 10);
    copy_runs(&installation, copies).await?;
    let seeding = begin.elapsed().as_secs_f64();

    let api = installation.start().await?;
    let after = bursts(bench, &api, &dags).await?;
    let pages_after = pages(&api, bench.size(20, 3)).await?;
    let all: Vec<f64> = pages_after.values().flatten().copied().collect();
    let mut report = Report::default();
    report.figure("slower_per_task", (cost_ms(&after) / cost_ms(&before) - 1.0) * 100.0, "%");
    report.figure("tasks_per_second", median(&rates(&after)), "/s");
    report.figure("pages_p99", percentile(&all, 0.99), "ms");
    report.list("tasks_per_second_before", &rates(&before));
    report.list("tasks_per_second_after", &rates(&after));
    let cpu = [&before, &after].map(|bursts| cpu_ms(bursts, |burst| burst.engine_cpu + burst.servers_cpu));
    report.list("cpu_per_task_ms_before_and_after", &cpu);
    for (name, times) in &pages_after {
        let before = pages_before.get(name).map_or(f64::NAN, |times| median(times));
        report.list(
            &format!("page_ms_{name}_before_p50_after_p50_p99"),
            &[before, median(times), percentile(times, 0.99)],
        );
    }
    report.detail("finished_task_instances", copies * tasks);
    report.detail("seeding_seconds", seeding);
    Ok(report)
}

async fn pages(api: &Api, rounds: usize) -> Result<Times> {
    let run = encoded(&api.newest_run(DAG).await?);
    let paths = [
        ("dags", "/".to_owned()),
        ("dag", format!("/dags/{DAG}")),
        ("run", format!("/dags/{DAG}/runs/{run}")),
        ("task", format!("/dags/{DAG}/runs/{run}/tasks/{}", task_id(0))),
        ("api_runs", "/api/v2/dags/~/dagRuns?limit=100".to_owned()),
        ("api_tasks", format!("/api/v2/dags/{DAG}/dagRuns/{run}/taskInstances?limit=100")),
    ];
    times(api, &paths, rounds).await
}
