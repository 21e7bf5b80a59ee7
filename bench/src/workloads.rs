//! The workloads. Each starts installations of its own and is told in docs/benchmarks.md.

mod burst;
mod footprint;
mod history;
mod latency;
mod many;
mod mapped;
mod pages;
mod python;
mod throughput;
mod waiting;

use anyhow::Result;
use clap::ValueEnum;

use crate::figures::Report;
use crate::installation::{Installation, Place, Servers};

/// How often a burst is repeated; the median counts.
const REPEATS: usize = 3;

/// What a workload runs on.
pub(crate) struct Bench<'a> {
    pub(crate) place: &'a Place,
    pub(crate) servers: &'a Servers,
    pub(crate) scale: Scale,
}

impl<'a> Bench<'a> {
    fn installation(&self) -> Result<Installation<'a>> {
        Installation::prepare(self.place, self.servers)
    }

    /// A size: as the goals mean it, or just enough to see that it works.
    fn size(&self, full: usize, small: usize) -> usize {
        match self.scale {
            Scale::Full => full,
            Scale::Small => small,
        }
    }
}

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    Small,
    Full,
}

impl Scale {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scale::Small => "small",
            Scale::Full => "full",
        }
    }
}

/// A workload; in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Workload {
    /// Independent tasks, each a process
    Wide,
    /// Tasks in a line
    Chain,
    /// Many DAGs that fan out and in, all at once
    Diamonds,
    /// Independent tasks without a process
    Noop,
    /// From the request to the task's process
    Trigger,
    /// Many DAG files
    Many,
    /// Ten thousand tasks in one run
    BigRun,
    /// Ten thousand instances of one mapped task
    Mapped,
    /// A million finished task instances
    History,
    /// Cold start, idle memory and CPU
    Footprint,
    /// Short Python programs in a line
    Python,
    /// Tasks that wait in the triggerer, all at once
    Deferred,
    /// Sensors that ask a server
    HttpSensors,
    /// A hundred thousand timers
    Timers,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::Wide => "wide",
            Workload::Chain => "chain",
            Workload::Diamonds => "diamonds",
            Workload::Noop => "noop",
            Workload::Trigger => "trigger",
            Workload::Many => "many",
            Workload::BigRun => "big_run",
            Workload::Mapped => "mapped",
            Workload::History => "history",
            Workload::Footprint => "footprint",
            Workload::Python => "python",
            Workload::Deferred => "deferred",
            Workload::HttpSensors => "http_sensors",
            Workload::Timers => "timers",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// Something did not work; the message says what.
    pub(crate) async fn run(self, bench: &Bench<'_>) -> Result<Report> {
        match self {
            Workload::Wide => Box::pin(throughput::wide(bench)).await,
            Workload::Chain => Box::pin(latency::chain(bench)).await,
            Workload::Diamonds => Box::pin(throughput::diamonds(bench)).await,
            Workload::Noop => Box::pin(throughput::noop(bench)).await,
            Workload::Trigger => Box::pin(latency::trigger(bench)).await,
            Workload::Many => Box::pin(many::run(bench)).await,
            Workload::BigRun => Box::pin(throughput::big_run(bench)).await,
            Workload::Mapped => Box::pin(mapped::run(bench)).await,
            Workload::History => Box::pin(history::run(bench)).await,
            Workload::Footprint => Box::pin(footprint::run(bench)).await,
            Workload::Python => Box::pin(python::run(bench)).await,
            Workload::Deferred => Box::pin(waiting::run_deferred(bench)).await,
            Workload::HttpSensors => Box::pin(waiting::run_http_sensors(bench)).await,
            Workload::Timers => Box::pin(waiting::run_timers(bench)).await,
        }
    }
}
