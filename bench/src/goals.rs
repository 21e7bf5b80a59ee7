//! The goals, for a machine with two cores that does nothing else.

use std::fmt;

use crate::installation::Setup;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

use Goal::{AtLeast, AtMost};

/// Workload, figure, goal embedded, goal with PostgreSQL and Redis. The same table is in docs/benchmarks.md.
const GOALS: &[(&str, &str, Goal, Goal)] = &[
    ("wide", "tasks_per_second", AtLeast(1_300.0), AtLeast(1_000.0)),
    ("wide", "engine_cpu_per_task", AtMost(0.5), AtMost(1.0)),
    ("diamonds", "tasks_per_second", AtLeast(1_300.0), AtLeast(1_000.0)),
    ("chain", "gap_p50", AtMost(2.0), AtMost(5.0)),
    ("chain", "gap_p95", AtMost(4.0), AtMost(10.0)),
    ("noop", "tasks_per_second", AtLeast(10_000.0), AtLeast(5_000.0)),
    ("trigger", "to_process_p50", AtMost(6.0), AtMost(12.0)),
    ("trigger", "to_process_p95", AtMost(12.0), AtMost(25.0)),
    ("many", "visible_1000", AtMost(0.3), AtMost(0.5)),
    ("many", "visible_10000", AtMost(3.0), AtMost(5.0)),
    ("big_run", "slower_per_task", AtMost(10.0), AtMost(10.0)),
    ("mapped", "slower_per_task", AtMost(10.0), AtMost(10.0)),
    ("mapped", "pages_p99", AtMost(100.0), AtMost(100.0)),
    ("history", "slower_per_task", AtMost(10.0), AtMost(10.0)),
    ("history", "pages_p99", AtMost(100.0), AtMost(100.0)),
    ("footprint", "cold_start", AtMost(100.0), AtMost(300.0)),
    ("footprint", "idle_memory", AtMost(30.0), AtMost(30.0)),
    ("footprint", "idle_cpu", AtMost(0.1), AtMost(0.5)),
    ("python", "times_bare_loop", AtMost(1.05), AtMost(1.15)),
];

/// The goal of a figure, if it has one.
pub(crate) fn find(workload: &str, figure: &str, setup: Setup) -> Option<Goal> {
    let (_, _, embedded, external) =
        GOALS.iter().find(|(goal_workload, goal_figure, ..)| *goal_workload == workload && *goal_figure == figure)?;
    Some(match setup {
        Setup::Embedded => *embedded,
        Setup::PostgresRedis => *external,
    })
}

impl Goal {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            AtLeast(least) => value >= least,
            AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AtLeast(least) => write!(formatter, ">= {least}"),
            AtMost(most) => write!(formatter, "<= {most}"),
        }
    }
}
