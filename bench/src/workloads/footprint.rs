//! What Flow costs before anybody uses it.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;

use super::Bench;
use crate::dag_files::{Work, wide};
use crate::figures::{Report, median};
use crate::processes::Group;

/// Cold starts of each role.
const STARTS: usize = 5;
/// Until everything that follows a start has been done.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report> {
    let mut report = Report::default();
    cold_start(bench, &mut report).await?;
    idle(bench, &mut report).await?;
    Ok(report)
}

/// From the spawn of a process to its first answer, on a database that has its schema; the slowest role counts.
async fn cold_start(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let mut installation = bench.installation()?;
    let mut slowest = 0.0_f64;
    for &role in bench.servers.setup.roles() {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let begin = Instant::now();
            installation.start_role(role)?;
            installation.answers(role).await?;
            times.push(begin.elapsed().as_secs_f64() * 1_000.0);
            installation.stop();
        }
        slowest = slowest.max(median(&times));
        report.list(&format!("cold_start_ms_{role}"), &times);
    }
    report.figure("cold_start", slowest, "ms");
    Ok(())
}

/// Memory and CPU with one DAG that nobody runs; the most expensive role counts.
async fn idle(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let mut installation = bench.installation()?;
    installation.write_dag("one", &wide(1, &Work::run_true()))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    drop(api);
    tokio::time::sleep(SETTLE).await;
    let seconds = u64::try_from(bench.size(10, 2))?;
    let mut groups = Vec::new();
    for &role in bench.servers.setup.roles() {
        groups.push((role, Group::Role(&bench.place.flowctl, installation.pid(role)?)));
    }
    let cpu = join_all(groups.iter().map(|(_, group)| group.cpu_percent(seconds))).await;
    let (mut memory_max, mut cpu_max) = (0.0_f64, 0.0_f64);
    for ((role, group), cpu) in groups.iter().zip(cpu) {
        let memory = group.pss_mb()?;
        report.detail(&format!("idle_memory_mb_{role}"), memory);
        report.detail(&format!("idle_cpu_percent_{role}"), cpu);
        memory_max = memory_max.max(memory);
        cpu_max = cpu_max.max(cpu);
    }
    report.figure("idle_memory", memory_max, "MB");
    report.figure("idle_cpu", cpu_max, "%");
    Ok(())
}
