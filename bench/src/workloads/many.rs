//! Many DAG files: how soon they are visible, and what they cost when nothing happens.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Bench;
use crate::dag_files::one_of_many;
use crate::figures::Report;

/// Until everything that follows a start or a new file has been done.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report> {
    let mut report = Report::default();
    for files in [bench.size(1_000, 50), bench.size(10_000, 200)] {
        at_start(bench, files, &mut report).await?;
        moved_in(bench, files, &mut report).await?;
    }
    Ok(report)
}

/// The files are there when the scheduler, or the standalone, is started: timed from its start.
async fn at_start(bench: &Bench<'_>, files: usize, report: &mut Report) -> Result<()> {
    let mut installation = bench.installation()?;
    write_files(&installation.dags().join("many"), files)?;
    let (last, others) = bench.servers.setup.roles().split_last().context("a set-up has roles")?;
    for role in others {
        installation.start_role(role)?;
        installation.answers(role).await?;
    }
    let begin = Instant::now();
    installation.start_role(last)?;
    let api = installation.api().await?;
    api.dags_visible(files).await?;
    report.figure(&format!("visible_{files}"), begin.elapsed().as_secs_f64(), "s");
    let engine = bench.place.engine();
    tokio::time::sleep(SETTLE).await;
    let idle = engine.cpu_percent(u64::try_from(bench.size(10, 2))?).await;
    report.figure(&format!("idle_cpu_{files}"), idle, "%");
    report.figure(&format!("memory_{files}"), engine.pss_mb()?, "MB");
    Ok(())
}

/// The files are moved into the folder of a running installation, all at once: timed from the move.
async fn moved_in(bench: &Bench<'_>, files: usize, report: &mut Report) -> Result<()> {
    let mut installation = bench.installation()?;
    let staged = installation.folder().join("staged");
    write_files(&staged, files)?;
    let api = installation.start().await?;
    tokio::time::sleep(SETTLE / 5).await;
    let begin = Instant::now();
    std::fs::rename(&staged, installation.dags().join("many"))?;
    api.dags_visible(files).await?;
    report.figure(&format!("moved_in_{files}"), begin.elapsed().as_secs_f64(), "s");
    Ok(())
}

fn write_files(folder: &Path, files: usize) -> Result<()> {
    std::fs::create_dir(folder)?;
    for number in 0..files {
        std::fs::write(folder.join(format!("many_{number:05}.toml")), one_of_many(number))?;
    }
    Ok(())
}
