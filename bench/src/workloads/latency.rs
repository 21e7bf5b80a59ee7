//! How long Flow takes to react.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, REPEATS};
use crate::api::clock;
use crate::dag_files::{Work, chain as chain_file, wide};
use crate::figures::{Report, percentile, seconds};

/// Between two requests, so that each finds an idle engine.
const PAUSE: Duration = Duration::from_millis(100);

/// From the end of a task to the start of the one after it.
pub(super) async fn chain(bench: &Bench<'_>) -> Result<Report> {
    let mut installation = bench.installation()?;
    installation.write_dag("chain", &chain_file(bench.size(100, 10), &Work::run_true()))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let mut gaps = Vec::new();
    for _ in 0..REPEATS {
        let run = api.trigger("chain").await?;
        api.wait("chain", &run).await?;
        let mut tasks = api.tasks("chain", &run).await?;
        tasks.sort_by(|left, right| left.task_id.cmp(&right.task_id));
        gaps.extend(tasks.windows(2).map(|pair| seconds(pair[1].started - pair[0].ended) * 1_000.0));
    }
    let mut report = Report::default();
    report.figure("gap_p50", percentile(&gaps, 0.5), "ms");
    report.figure("gap_p95", percentile(&gaps, 0.95), "ms");
    report.detail("gap_max_ms", percentile(&gaps, 1.0));
    report.detail("gaps", gaps.len());
    Ok(report)
}

/// From the moment the request is sent to the start of the task. The task is `date`, so it tells itself when it runs.
pub(super) async fn trigger(bench: &Bench<'_>) -> Result<Report> {
    let mut installation = bench.installation()?;
    let work = Work::Command(vec!["date".to_owned(), "+%s%6N".to_owned()]);
    installation.write_dag("trigger", &wide(1, &work))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let (mut to_start, mut to_process) = (Vec::new(), Vec::new());
    for _ in 0..bench.size(20, 5) {
        tokio::time::sleep(PAUSE).await;
        let sent = clock();
        let run = api.trigger("trigger").await?;
        api.wait("trigger", &run).await?;
        let task = api.tasks("trigger", &run).await?.pop().context("the run has no task")?;
        let said = api.return_value("trigger", &run, &task.task_id).await?;
        let said = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
        let running: i64 = said.parse().with_context(|| format!("`date` printed {said}"))?;
        to_start.push(seconds(task.started - sent) * 1_000.0);
        to_process.push(seconds(running - sent) * 1_000.0);
    }
    let mut report = Report::default();
    report.figure("to_process_p50", percentile(&to_process, 0.5), "ms");
    report.figure("to_process_p95", percentile(&to_process, 0.95), "ms");
    report.figure("to_start_date_p50", percentile(&to_start, 0.5), "ms");
    report.figure("to_start_date_p95", percentile(&to_start, 0.95), "ms");
    report.list("to_process_ms", &to_process);
    Ok(report)
}
