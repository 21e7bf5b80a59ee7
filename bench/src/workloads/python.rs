//! Short Python programs in a line, compared with a loop that only spawns them.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Bench, REPEATS};
use crate::dag_files::{Work, chain};
use crate::figures::{Report, median, seconds};
use crate::machine::run_quietly;

const FIBONACCI: &str = "f = lambda n: n if n < 2 else f(n - 1) + f(n - 2); print(f(10))";

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report> {
    let programs = bench.size(40, 3);
    let python = interpreter()?;
    let mut installation = bench.installation()?;
    let work = Work::Command(vec![python.clone(), "-c".to_owned(), FIBONACCI.to_owned()]);
    installation.write_dag("python", &chain(programs, &work))?;
    let api = installation.start().await?;
    api.dags_visible(1).await?;
    let (mut bare, mut flow) = (Vec::new(), Vec::new());
    // In turns, so that a machine that becomes slower or faster does so for both.
    for _ in 0..REPEATS {
        bare.push(bare_loop(&python, programs)?);
        let run = api.trigger("python").await?;
        let ended = api.wait("python", &run).await?;
        let queued = api.tasks("python", &run).await?.iter().map(|task| task.queued).min();
        flow.push(seconds(ended - queued.context("the run has no tasks")?));
    }
    let mut report = Report::default();
    report.figure("times_bare_loop", median(&flow) / median(&bare), "x");
    report.figure("seconds", median(&flow), "s");
    report.list("bare_loop_seconds", &bare);
    report.list("flow_seconds", &flow);
    Ok(report)
}

fn bare_loop(python: &str, programs: usize) -> Result<f64> {
    let begin = Instant::now();
    for _ in 0..programs {
        let mut command = Command::new(python);
        command.args(["-c", FIBONACCI]);
        run_quietly(command)?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

/// The interpreter itself: what `PATH` names may be a script that looks for it, slower than what is measured.
fn interpreter() -> Result<String> {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let output = output.context("failed to run python3, which this workload needs")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
