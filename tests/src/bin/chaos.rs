//! Chaos for as long as one likes: `cargo run -p flow-tests --bin chaos -- --minutes 10 --seed 1`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use flow_tests::chaos::{Options, run};

/// Breaks roles, servers and messages at random under load, and checks that everything comes right again.
#[derive(Debug, Parser)]
struct Args {
    /// How long things are broken
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Where the choices come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds in which everything must have come right afterwards
    #[arg(long, default_value_t = 120)]
    healing: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let options = Options {
        seed: args.seed,
        duration: Duration::from_secs_f64(args.minutes * 60.0),
        healing: Duration::from_secs(args.healing),
        is_verbose: true,
    };
    let report = run(&options).await?;
    for problem in &report.problems {
        eprintln!("problem: {problem}");
    }
    eprintln!("seed={} {report}", args.seed);
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
