//! Runs that are triggered at once and timed until the last of them has ended.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::{Bench, REPEATS};
use crate::api::{Api, clock};
use crate::figures::{count, median, seconds};
use crate::processes::Group;

/// What one burst took.
#[derive(Debug)]
pub(super) struct Burst {
    pub(super) tasks: usize,
    /// From the moment the first task was queued to the end of the last run.
    pub(super) seconds: f64,
    /// From the moment the first request was sent to the end of the last run.
    pub(super) seconds_from_request: f64,
    /// CPU of Flow and of the processes of the tasks.
    pub(super) engine_cpu: f64,
    /// CPU of PostgreSQL and Redis.
    pub(super) servers_cpu: f64,
}

/// Triggers the DAGs at once and waits for all of them.
pub(super) async fn burst(bench: &Bench<'_>, api: &Api, dags: &[String]) -> Result<Burst> {
    let engine = bench.place.engine();
    let cpu = (engine.cpu_seconds(), Group::Servers.cpu_seconds());
    let sent = clock();
    let runs = try_join_all(dags.iter().map(|dag| api.trigger(dag))).await?;
    let mut ended = sent;
    for (dag, run) in dags.iter().zip(&runs) {
        ended = ended.max(api.wait(dag, run).await?);
    }
    let (engine_cpu, servers_cpu) = (engine.cpu_seconds() - cpu.0, Group::Servers.cpu_seconds() - cpu.1);
    let (mut tasks, mut first_queued) = (0, ended);
    for (dag, run) in dags.iter().zip(&runs) {
        let of_run = api.tasks(dag, run).await?;
        tasks += of_run.len();
        first_queued = of_run.iter().map(|task| task.queued).fold(first_queued, i64::min);
    }
    Ok(Burst {
        tasks,
        seconds: seconds(ended - first_queued),
        seconds_from_request: seconds(ended - sent),
        engine_cpu,
        servers_cpu,
    })
}

/// The same burst several times.
pub(super) async fn bursts(bench: &Bench<'_>, api: &Api, dags: &[String]) -> Result<Vec<Burst>> {
    let mut bursts = Vec::new();
    for _ in 0..REPEATS {
        bursts.push(burst(bench, api, dags).await?);
    }
    Ok(bursts)
}

/// Tasks in a second, of each burst.
pub(super) fn rates(bursts: &[Burst]) -> Vec<f64> {
    bursts.iter().map(|burst| count(burst.tasks) / burst.seconds).collect()
}

/// Milliseconds for a task, of the burst in the middle.
pub(super) fn cost_ms(bursts: &[Burst]) -> f64 {
    1_000.0 / median(&rates(bursts))
}

/// Milliseconds of CPU for a task, of the burst in the middle.
pub(super) fn cpu_ms(bursts: &[Burst], cpu: impl Fn(&Burst) -> f64) -> f64 {
    let values: Vec<f64> = bursts.iter().map(|burst| cpu(burst) * 1_000.0 / count(burst.tasks)).collect();
    median(&values)
}
