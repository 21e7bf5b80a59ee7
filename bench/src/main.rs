//! The performance harness: starts Flow as a user would, drives it through DAG files and the REST API, and prints what
//! it measured beside the goals.
//!
//! `cargo run --release -p flow-bench -- --setup both`; what each workload measures is told in docs/benchmarks.md.

mod answering;
mod api;
mod dag_files;
mod figures;
mod goals;
mod installation;
mod machine;
mod processes;
mod seed;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use figures::{Outcome, print_line, print_table};
use installation::{Place, Servers, Setup};
use workloads::{Bench, Scale, Workload};

/// Measures Flow on this machine and compares it with its goals.
#[derive(Debug, Parser)]
#[command(name = "flow-bench")]
struct Args {
    /// What to measure: all in one process with SQLite, or one process per role with PostgreSQL and Redis
    #[arg(long, value_enum, default_value_t = Setups::Embedded)]
    setup: Setups,
    /// Workloads, separated by commas [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    workload: Vec<Workload>,
    /// `full` is what the goals are about; `small` only shows that everything works
    #[arg(long, value_enum, default_value_t = Scale::Full)]
    scale: Scale,
    /// The program to measure
    #[arg(long, value_name = "PATH", default_value = "target/release/flowctl")]
    flowctl: PathBuf,
    /// Attempts that the worker runs at once [default: flowctl's own default]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Folder on the disk to measure on; it gets a temporary folder inside [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Give up a workload after this many seconds [default: 900, or 300 with `--scale small`]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setups {
    Embedded,
    PostgresRedis,
    Both,
}

impl Setups {
    fn list(self) -> &'static [Setup] {
        match self {
            Setups::Embedded => &[Setup::Embedded],
            Setups::PostgresRedis => &[Setup::PostgresRedis],
            Setups::Both => &[Setup::Embedded, Setup::PostgresRedis],
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs everything that was asked for; whether every workload could be measured.
async fn run(args: Args) -> Result<bool> {
    rustls::crypto::ring::default_provider().install_default().ok().context("a TLS provider is installed already")?;
    let place = Place::new(find_flowctl(&args.flowctl)?, args.folder.as_deref(), args.concurrency)?;
    machine::describe(&place);
    let default_timeout = if args.scale == Scale::Small { 300 } else { 900 };
    let timeout = Duration::from_secs(args.timeout.unwrap_or(default_timeout));
    let wanted = if args.workload.is_empty() { Workload::value_variants() } else { &args.workload };
    let mut outcomes = Vec::new();
    for &setup in args.setup.list() {
        let servers = Servers::start(setup)?;
        for &workload in wanted {
            let bench = Bench { place: &place, servers: &servers, scale: args.scale };
            let outcome = measure(&bench, setup, workload, timeout).await;
            print_line(&outcome, args.scale);
            outcomes.push(outcome);
        }
    }
    print_table(&outcomes, args.scale);
    Ok(outcomes.iter().all(|outcome| outcome.result.is_ok()))
}

/// Runs one workload. What goes wrong is part of the outcome, so that the next workload still runs.
async fn measure(bench: &Bench<'_>, setup: Setup, workload: Workload, timeout: Duration) -> Outcome {
    eprintln!("{}: {} ...", setup.name(), workload.name());
    let begin = Instant::now();
    let result = match tokio::time::timeout(timeout, workload.run(bench)).await {
        Ok(result) => result.map_err(|error| {
            let mut lines = vec![format!("{error:#}")];
            lines.extend(bench.place.complaints());
            lines.join("\n")
        }),
        Err(_) => Err(format!("not done after {} s\nhint: raise the limit with `--timeout`", timeout.as_secs())),
    };
    if let Err(error) = &result {
        eprintln!("{}: {} failed: {error}", setup.name(), workload.name());
    }
    Outcome { setup, workload: workload.name(), seconds: begin.elapsed().as_secs_f64(), result }
}

fn find_flowctl(path: &std::path::Path) -> Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(_) => bail!(
            "there is no program `{}`\nhint: `cargo build --release` makes target/release/flowctl; or name another with `--flowctl`",
            path.display()
        ),
    }
}
