//! Waiting in the triggerer: timers, HTTP sensors, and many tasks deferred at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::answering::Server;
use crate::api::clock;
use crate::dag_files::{HttpSensors, deferred, http_sensors, timers};
use crate::figures::{Report, count, percentile};
use crate::installation::{Installation, Setup};
use crate::processes::Group;

/// How often the number of waiting tasks is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// One hundred thousand timers in one triggerer: what they cost while they wait, and how late they fire.
pub(super) async fn run_timers(bench: &Bench<'_>) -> Result<Report> {
    let (tasks, instances) = (bench.size(10, 2), bench.size(10_000, 200));
    let seconds = bench.size(240, 10);
    let mut report = Report::default();
    let mut installation = bench.installation()?;
    installation.write_dag("timers", &timers(tasks, instances, seconds))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let before = memory(bench, &installation)?;
    let begin = Instant::now();
    let run = api.trigger("timers").await?;
    let all = tasks * instances;
    let waiting = wait_for_deferred(&installation, all, Duration::from_secs(u64::try_from(seconds)?)).await?;
    report.detail("deferred_after_s", begin.elapsed().as_secs_f64());
    report.figure("waiting", count(waiting), "timers");
    let memory = memory(bench, &installation)?;
    report.figure("memory", memory, "MB");
    report.detail("memory_before", before);
    let cpu = Group::Role(&bench.place.flowctl, installation.pid(triggerer(&installation))?).cpu_percent(10).await;
    report.detail("cpu_while_waiting_percent", cpu);
    api.wait("timers", &run).await?;
    late(&installation, seconds, &mut report)
}

/// One thousand tasks deferred at once, from the scheduler's first look to the end of the run.
pub(super) async fn run_deferred(bench: &Bench<'_>) -> Result<Report> {
    let (tasks, seconds) = (bench.size(1_000, 50), bench.size(60, 5));
    let mut report = Report::default();
    let mut installation = bench.installation()?;
    installation.write_dag("deferred", &deferred(tasks, seconds))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let run = api.trigger("deferred").await?;
    let peak = wait_for_deferred(&installation, tasks, Duration::from_secs(u64::try_from(seconds)?)).await?;
    report.figure("at_once", count(peak), "tasks");
    api.wait("deferred", &run).await?;
    late(&installation, seconds, &mut report)
}

/// Ten thousand sensors that ask one server every ten seconds.
pub(super) async fn run_http_sensors(bench: &Bench<'_>) -> Result<Report> {
    let (tasks, instances) = (bench.size(10, 2), bench.size(1_000, 50));
    let pause = bench.size(10, 2);
    let server = Server::start().await?;
    let mut report = Report::default();
    let mut installation = bench.installation()?;
    let dag = HttpSensors { tasks, instances, url: server.url(), pause };
    installation.write_dag("sensors", &http_sensors(&dag))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let run = api.trigger("sensors").await?;
    let all = tasks * instances;
    let waiting = wait_for_deferred(&installation, all, Duration::from_secs(600)).await?;
    ensure!(waiting == all, "only {waiting} of {all} sensors wait");
    tokio::time::sleep(Duration::from_secs(u64::try_from(pause)? * 2)).await;
    let (requests, begin) = (server.requests(), Instant::now());
    let window = Duration::from_secs(u64::try_from(pause * 3)?);
    let role = installation.pid(triggerer(&installation))?;
    let cpu = Group::Role(&bench.place.flowctl, role).cpu_percent(window.as_secs()).await;
    report.figure("requests_per_second", count(server.requests() - requests) / begin.elapsed().as_secs_f64(), "/s");
    report.figure("connections", count(server.connections_at_once()), "");
    report.figure("memory", memory(bench, &installation)?, "MB");
    report.detail("cpu_percent", cpu);
    let told = clock();
    server.say_done();
    api.wait("sensors", &run).await?;
    let ended = installation.sql("select ended_at from task_instance")?;
    let after: Vec<f64> =
        ended.lines().filter_map(|line| line.parse::<i64>().ok()).map(|at| ms(at - told) / 1e3).collect();
    ensure!(after.len() == all, "{} of {all} sensors have ended", after.len());
    report.figure("seen_after_p50", percentile(&after, 0.5), "s");
    report.figure("seen_after_p99", percentile(&after, 0.99), "s");
    Ok(report)
}

/// Waits until so many task instances are deferred, for as long as they can be; how many there were at most.
async fn wait_for_deferred(installation: &Installation<'_>, wanted: usize, patience: Duration) -> Result<usize> {
    let (begin, mut most) = (Instant::now(), 0);
    while most < wanted && begin.elapsed() < patience {
        let found = installation.sql("select count(*) from task_instance where state = 'deferred'")?;
        most = most.max(found.trim().parse().context("no number of deferred task instances")?);
        tokio::time::sleep(LOOK).await;
    }
    Ok(most)
}

/// How much later than `seconds` after their start the tries have ended, by Flow's own record.
fn late(installation: &Installation<'_>, seconds: usize, report: &mut Report) -> Result<Report> {
    let rows = installation.sql("select ended_at - started_at from task_instance")?;
    let wanted = i64::try_from(seconds)? * 1_000_000;
    let late: Vec<f64> = rows.lines().filter_map(|row| row.parse::<i64>().ok()).map(|took| ms(took - wanted)).collect();
    ensure!(!late.is_empty(), "no task instance has ended");
    report.figure("late_p50", percentile(&late, 0.5), "ms");
    report.figure("late_p99", percentile(&late, 0.99), "ms");
    report.detail("late_max_ms", percentile(&late, 1.0));
    let ends = installation.sql("select ended_at from task_instance order by ended_at")?;
    let ends: Vec<i64> = ends.lines().filter_map(|end| end.parse().ok()).collect();
    if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
        report.detail("fired_within_s", ms(last - first) / 1e3);
    }
    Ok(std::mem::take(report))
}

/// The role that carries what waits.
fn triggerer(installation: &Installation<'_>) -> &'static str {
    if installation.setup() == Setup::Embedded { "standalone" } else { "triggerer" }
}

fn memory(bench: &Bench<'_>, installation: &Installation<'_>) -> Result<f64> {
    Group::Role(&bench.place.flowctl, installation.pid(triggerer(installation))?).pss_mb()
}

/// Microseconds as milliseconds.
fn ms(micros: i64) -> f64 {
    i32::try_from(micros).map_or(f64::NAN, f64::from) / 1e3
}
