//! Chaos: roles, servers and messages are broken at random under load, and then everything must come right.
//!
//! The choices come from a seed. What happens is not the same twice, since processes race; what is broken when is.

mod crew;
mod dags;
mod faults;
mod load;
mod people;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use flow_testbed::{Postgres, Redis};
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::random::Random;

use crew::Crew;
use faults::Faults;

/// How long a lease lasts, with the grace after it, in the installations of [`Cluster`].
pub(crate) const LEASE: Duration = Duration::from_millis(3_500);
/// How often the crew and the faults are looked at.
const TICK: Duration = Duration::from_millis(25);
/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// How much chaos.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the choices come from.
    pub seed: u64,
    /// How long things are broken.
    pub duration: Duration,
    /// How long everything may take to come right afterwards.
    pub healing: Duration,
    /// Whether progress is told on standard error.
    pub is_verbose: bool,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Report {
    /// How often each kind of fault was made.
    pub faults: BTreeMap<&'static str, u64>,
    /// Runs that were finished.
    pub runs: u64,
    /// Of these, those that failed.
    pub runs_failed: u64,
    /// Task instances that were finished.
    pub tasks: u64,
    /// Task instances that were taken from a dead or silent worker.
    pub rescues: u64,
    /// Task instances that were given up after too many losses.
    pub poisoned: u64,
    /// Tries that went on waiting in the triggerer.
    pub deferrals: u64,
    /// Callbacks that were delivered.
    pub callbacks: u64,
    /// Runs that events from outside started.
    pub events: u64,
    /// Answers of people that counted, as far as they heard of it.
    pub answers: u64,
    /// How long it took until everything had come right.
    pub healed_after: Duration,
    /// Violations that the audit found.
    pub violations: u64,
    /// Everything that is wrong: violations, and what the journal and the database tell of others.
    pub problems: Vec<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind}={count}")).collect();
        write!(
            out,
            "faults={} ({}) runs={} failed={} tasks={} rescues={} poisoned={} deferrals={} callbacks={} events={} \
             answers={} healed_after={:.1}s violations={} problems={}",
            self.faults.values().sum::<u64>(),
            faults.join(" "),
            self.runs,
            self.runs_failed,
            self.tasks,
            self.rescues,
            self.poisoned,
            self.deferrals,
            self.callbacks,
            self.events,
            self.answers,
            self.healed_after.as_secs_f64(),
            self.violations,
            self.problems.len()
        )
    }
}

/// What the web role has promised to those outside.
#[derive(Debug, Default)]
pub(crate) struct Promised {
    /// Runs that were triggered.
    runs: BTreeSet<String>,
    /// The runs that each event was said to have started.
    events: BTreeMap<u64, Vec<String>>,
}

/// Breaks things, lets them heal, and says what came of it.
///
/// # Errors
/// The servers or the roles cannot be started at all. What goes wrong later is told in the report.
pub async fn run(options: &Options) -> Result<Report> {
    let (postgres, redis) = (Postgres::start()?, Redis::start()?);
    let (secret, value) = people::SECRET;
    let mut cluster =
        Cluster::new(&postgres.url("postgres"), &redis.url())?.configured(|program| program.env(secret, value));
    dags::write(&cluster)?;
    let mut random = Random::new(options.seed);
    let mut crew = Crew::muster(&cluster)?;
    let api = cluster.api()?;
    crew.wait_until_ready(&api, dags::NAMES).await?;
    crew.wait_until_ready(&api, &[dags::HOOKED]).await?;
    let stop_load = CancellationToken::new();
    let load = tokio::spawn(load::run(api.clone(), Random::new(!options.seed), stop_load.clone()));
    let events = tokio::spawn(people::send_events(api.clone(), stop_load.clone()));
    let stop_answers = CancellationToken::new();
    let answers = tokio::spawn(people::answer(api.clone(), stop_answers.clone()));

    let begin = Instant::now();
    let mut faults = Faults::new(&postgres, &redis, &cluster);
    let mut told_at = begin;
    while begin.elapsed() < options.duration {
        faults.tick(&mut random, &mut crew)?;
        crew.tick(&mut random)?;
        if options.is_verbose && told_at.elapsed() >= PROGRESS_INTERVAL {
            told_at = Instant::now();
            eprintln!("{:>4} s  {}  {}", begin.elapsed().as_secs(), faults.summary(), verdict::progress(&postgres));
        }
        tokio::time::sleep(TICK).await;
    }
    stop_load.cancel();
    let promised = Promised { runs: load.await?, events: events.await? };
    faults.heal(&mut crew)?;
    if options.is_verbose {
        eprintln!("{:>4} s  healing", begin.elapsed().as_secs());
    }
    let healing = Instant::now();
    dags::stop_schedule(&cluster)?;
    let mut problems = Vec::new();
    while !verdict::is_quiet(&postgres, &api).await {
        if healing.elapsed() > options.healing {
            problems.push(format!("not everything is finished {:?} after the last fault", options.healing));
            problems.extend(verdict::unfinished(&postgres));
            break;
        }
        crew.tick(&mut random)?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let healed_after = healing.elapsed();
    stop_answers.cancel();
    let answers = answers.await?;
    problems.extend(crew.dismiss().await);
    let mut report = verdict::reach(&cluster, &postgres, &promised, problems);
    report.answers = answers;
    report.faults = faults.counts(&crew);
    report.healed_after = healed_after;
    if !report.problems.is_empty() {
        cluster.keep_folder();
        report.problems.push(format!("logs are kept in {}", cluster.folder().display()));
    }
    Ok(report)
}
