//! The roles, and what a supervisor does for them: whoever dies is started again.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use crate::api::Api;
use crate::cluster::Cluster;
use crate::random::Random;
use crate::role::Role;

const SIGABRT: i32 = 6;

/// What a seat is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Scheduler,
    Worker,
    Triggerer,
    Web,
}

impl Kind {
    fn command(self) -> &'static str {
        match self {
            Kind::Scheduler => "scheduler",
            Kind::Worker => "worker",
            Kind::Triggerer => "triggerer",
            Kind::Web => "web",
        }
    }
}

/// A place in the crew.
struct Seat {
    name: String,
    kind: Kind,
    role: Option<Role>,
    start_at: Instant,
    /// The crash point that its next process gets.
    next_crash: Option<String>,
    /// The crash point that its process has.
    crash: Option<String>,
    is_asked_to_stop: bool,
    is_paused: bool,
}

/// Two schedulers, three workers, two triggerers, one web role.
pub struct Crew<'a> {
    cluster: &'a Cluster,
    seats: Vec<Seat>,
    /// Processes that came to a crash point and died there.
    pub crashes: u64,
    unexpected: Vec<String>,
}

impl<'a> Crew<'a> {
    /// Starts everybody.
    pub fn muster(cluster: &'a Cluster) -> Result<Crew<'a>> {
        let seat = |kind: Kind, number: usize| Seat {
            name: format!("{}-{number}", kind.command()),
            kind,
            role: None,
            start_at: Instant::now(),
            next_crash: None,
            crash: None,
            is_asked_to_stop: false,
            is_paused: false,
        };
        let mut seats: Vec<Seat> = (1..=2).map(|number| seat(Kind::Scheduler, number)).collect();
        seats.extend((1..=3).map(|number| seat(Kind::Worker, number)));
        seats.extend((1..=2).map(|number| seat(Kind::Triggerer, number)));
        seats.push(seat(Kind::Web, 1));
        let mut crew = Crew { cluster, seats, crashes: 0, unexpected: Vec::new() };
        crew.start_due()?;
        Ok(crew)
    }

    /// Waits until the web role answers and all DAGs are there.
    pub async fn wait_until_ready(&mut self, api: &Api, dags: &[&str]) -> Result<()> {
        let begin = Instant::now();
        for dag in dags {
            while api.get(&format!("/api/v2/dags/{dag}")).await.is_null() {
                anyhow::ensure!(begin.elapsed() < Duration::from_secs(30), "dag `{dag}` is not published");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Looks after everybody once.
    pub fn tick(&mut self, random: &mut Random) -> Result<()> {
        for seat in &mut self.seats {
            let Some(status) = seat.role.as_mut().and_then(Role::ended) else { continue };
            if status.signal() == Some(SIGABRT) && seat.crash.is_some() {
                self.crashes += 1;
            } else if !(seat.is_asked_to_stop && status.success()) {
                let log = seat.role.as_ref().map(Role::log_end).unwrap_or_default();
                self.unexpected.push(format!("{} ended by itself with {status}\n{log}", seat.name));
            }
            seat.role = None;
            seat.start_at = Instant::now() + absence(random);
        }
        self.start_due()
    }

    fn start_due(&mut self) -> Result<()> {
        for seat in &mut self.seats {
            if seat.role.is_some() || seat.start_at > Instant::now() {
                continue;
            }
            seat.crash = seat.next_crash.take();
            seat.is_asked_to_stop = false;
            let env: Vec<(&str, &str)> = seat.crash.iter().map(|point| ("FLOW_CRASH_POINT", point.as_str())).collect();
            seat.role = Some(self.cluster.start_with(&seat.name, &[seat.kind.command()], &env)?);
        }
        Ok(())
    }

    /// A seat of this kind whose process runs and is not paused.
    pub fn pick(&self, random: &mut Random, kind: Kind) -> Option<usize> {
        let fit: Vec<usize> = (0..self.seats.len())
            .filter(|index| {
                let seat = &self.seats[*index];
                seat.kind == kind && seat.role.is_some() && !seat.is_paused && !seat.is_asked_to_stop
            })
            .collect();
        if fit.is_empty() { None } else { Some(fit[random.index(fit.len())]) }
    }

    /// SIGKILL; it is back a little later, perhaps with a crash point.
    pub fn kill(&mut self, seat: usize, random: &mut Random, next_crash: Option<String>) {
        let seat = &mut self.seats[seat];
        if let Some(mut role) = seat.role.take() {
            role.kill();
        }
        seat.next_crash = next_crash;
        seat.start_at = Instant::now() + absence(random);
    }

    /// SIGTERM.
    pub fn ask_to_stop(&mut self, seat: usize) {
        let seat = &mut self.seats[seat];
        seat.is_asked_to_stop = true;
        if let Some(role) = &seat.role {
            role.signal(Signal::TERM);
        }
    }

    /// SIGSTOP.
    pub fn pause(&mut self, seat: usize) {
        let seat = &mut self.seats[seat];
        seat.is_paused = true;
        if let Some(role) = &seat.role {
            role.signal(Signal::STOP);
        }
    }

    /// SIGCONT.
    pub fn resume(&mut self, seat: usize) {
        let seat = &mut self.seats[seat];
        seat.is_paused = false;
        if let Some(role) = &seat.role {
            role.signal(Signal::CONT);
        }
    }

    /// Everybody is to be there, unarmed: those with crash points are killed and started anew.
    pub fn heal(&mut self) {
        for index in 0..self.seats.len() {
            self.resume(index);
            let seat = &mut self.seats[index];
            seat.next_crash = None;
            seat.start_at = Instant::now();
            if seat.crash.take().is_some()
                && let Some(mut role) = seat.role.take()
            {
                role.kill();
            }
        }
    }

    /// Stops everybody, and tells what went wrong with them in all this time.
    pub async fn dismiss(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.unexpected);
        for seat in &mut self.seats {
            if let Some(mut role) = seat.role.take()
                && let Err(error) = role.stop(Duration::from_secs(20)).await
            {
                problems.push(format!("{} did not stop in peace: {error:#}", seat.name));
            }
        }
        problems
    }
}

/// How long a dead process is missed: mostly shortly, sometimes for longer than its lease.
fn absence(random: &mut Random) -> Duration {
    if random.between(1, 4) == 1 { super::LEASE + random.millis(500, 2_500) } else { random.millis(50, 800) }
}
