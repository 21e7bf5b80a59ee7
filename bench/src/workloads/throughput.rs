//! Tasks in a second.

use anyhow::Result;

use super::Bench;
use super::burst::{Burst, bursts, cost_ms, cpu_ms, rates};
use crate::dag_files::{Work, diamond, wide as wide_file};
use crate::figures::{Report, count, median};
use crate::machine::bare_spawn;

/// Independent tasks that are processes; also what the engine itself costs, beyond the processes.
pub(super) async fn wide(bench: &Bench<'_>) -> Result<Report> {
    let bare = bare_spawn(u32::try_from(bench.size(2_000, 200))?)?;
    let dags = [("wide".to_owned(), wide_file(bench.size(1_000, 50), &Work::run_true()))];
    let bursts = run(bench, &dags).await?;
    let mut report = report(&bursts);
    let engine = cpu_ms(&bursts, |burst| burst.engine_cpu);
    report.figure("engine_cpu_per_task", (engine - bare.cpu_ms).max(0.0), "ms");
    report.figure("servers_cpu_per_task", cpu_ms(&bursts, |burst| burst.servers_cpu), "ms");
    report.detail("cpu_per_task_with_spawn_ms", engine);
    report.detail("bare_spawn_cpu_ms", bare.cpu_ms);
    report.detail("bare_spawns_per_second", bare.per_second);
    Ok(report)
}

/// DAGs that fan out and in, all triggered at once.
pub(super) async fn diamonds(bench: &Bench<'_>) -> Result<Report> {
    let text = diamond(bench.size(48, 8), &Work::run_true());
    let dags: Vec<(String, String)> =
        (0..bench.size(20, 3)).map(|index| (format!("diamond_{index:02}"), text.clone())).collect();
    Ok(report(&run(bench, &dags).await?))
}

/// Independent tasks that are no processes.
pub(super) async fn noop(bench: &Bench<'_>) -> Result<Report> {
    let dags = [("noop".to_owned(), wide_file(bench.size(5_000, 200), &Work::Noop))];
    Ok(report(&run(bench, &dags).await?))
}

/// A run ten times as big as another: does a task cost more in it?
pub(super) async fn big_run(bench: &Bench<'_>) -> Result<Report> {
    let dags = [("small_run", bench.size(1_000, 50)), ("big_run", bench.size(10_000, 500))]
        .map(|(dag_id, tasks)| (dag_id.to_owned(), wide_file(tasks, &Work::Noop)));
    let small = run(bench, &dags[..1]).await?;
    let big = run(bench, &dags[1..]).await?;
    let mut report = report(&big);
    report.figure("slower_per_task", (cost_ms(&big) / cost_ms(&small) - 1.0) * 100.0, "%");
    report.list("tasks_per_second_of_the_small_run", &rates(&small));
    Ok(report)
}

/// Bursts of these DAGs in an installation of their own.
async fn run(bench: &Bench<'_>, dags: &[(String, String)]) -> Result<Vec<Burst>> {
    let mut installation = bench.installation()?;
    for (dag_id, text) in dags {
        installation.write_dag(dag_id, text)?;
    }
    let api = installation.start().await?;
    api.dags_visible(dags.len()).await?;
    let dag_ids: Vec<String> = dags.iter().map(|(dag_id, _)| dag_id.clone()).collect();
    bursts(bench, &api, &dag_ids).await
}

fn report(bursts: &[Burst]) -> Report {
    let mut report = Report::default();
    let rates = rates(bursts);
    let from_request: Vec<f64> = bursts.iter().map(|burst| count(burst.tasks) / burst.seconds_from_request).collect();
    report.figure("tasks_per_second", median(&rates), "/s");
    report.list("tasks_per_second_of_each_repeat", &rates);
    report.list("tasks_per_second_from_the_request", &from_request);
    report.detail("tasks", bursts.first().map_or(0, |burst| burst.tasks));
    report
}
