//! Faults: what is broken, when, and how it is put right again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use flow_testbed::{Postgres, Redis};

use super::crew::{Crew, Kind};
use super::{LEASE, dags};
use crate::cluster::Cluster;
use crate::random::Random;

const SCHEDULER_CRASH_POINTS: &[&str] = &["scheduler.before_publish", "scheduler.after_publish"];
const WORKER_CRASH_POINTS: &[&str] = &[
    "worker.before_claim",
    "worker.after_claim",
    "worker.attempt_started",
    "worker.process_started",
    "worker.attempt_ended",
    "worker.before_report",
    "worker.after_report",
];
const STREAM: &str = "flow:queue:default";

/// Something that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    KillScheduler,
    KillWorker,
    KillWeb,
    KillTriggerer,
    PauseTriggerer,
    ArmScheduler,
    ArmWorker,
    DrainWorker,
    PauseWorker,
    PauseScheduler,
    FlushRedis,
    RestartRedis,
    RestartPostgres,
    DuplicateHints,
    Garbage,
    VandaliseRedis,
    EditDag,
}

/// All faults; those that occur twice are twice as likely.
const FAULTS: &[(Fault, &str)] = &[
    (Fault::KillScheduler, "kill_scheduler"),
    (Fault::KillScheduler, "kill_scheduler"),
    (Fault::KillWorker, "kill_worker"),
    (Fault::KillWorker, "kill_worker"),
    (Fault::KillWorker, "kill_worker"),
    (Fault::KillWeb, "kill_web"),
    (Fault::KillWeb, "kill_web"),
    (Fault::KillTriggerer, "kill_triggerer"),
    (Fault::KillTriggerer, "kill_triggerer"),
    (Fault::PauseTriggerer, "pause_triggerer"),
    (Fault::PauseTriggerer, "pause_triggerer"),
    (Fault::ArmScheduler, "arm_scheduler"),
    (Fault::ArmWorker, "arm_worker"),
    (Fault::ArmWorker, "arm_worker"),
    (Fault::DrainWorker, "drain_worker"),
    (Fault::PauseWorker, "pause_worker"),
    (Fault::PauseWorker, "pause_worker"),
    (Fault::PauseScheduler, "pause_scheduler"),
    (Fault::FlushRedis, "flush_redis"),
    (Fault::RestartRedis, "restart_redis"),
    (Fault::RestartPostgres, "restart_postgres"),
    (Fault::DuplicateHints, "duplicate_hints"),
    (Fault::Garbage, "garbage"),
    (Fault::VandaliseRedis, "vandalise_redis"),
    (Fault::EditDag, "edit_dag"),
];

/// What puts a fault right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    StartRedis,
    StartPostgres,
    Resume(usize),
}

/// The faults of one installation.
pub struct Faults<'a> {
    postgres: &'a Postgres,
    redis: &'a Redis,
    cluster: &'a Cluster,
    counts: BTreeMap<&'static str, u64>,
    repairs: Vec<(Instant, Repair)>,
    next_at: Instant,
    chain_length: usize,
}

impl<'a> Faults<'a> {
    pub fn new(postgres: &'a Postgres, redis: &'a Redis, cluster: &'a Cluster) -> Self {
        let next_at = Instant::now() + Duration::from_secs(1);
        Faults { postgres, redis, cluster, counts: BTreeMap::new(), repairs: Vec::new(), next_at, chain_length: 5 }
    }

    /// Repairs what is due, and breaks the next thing when its time has come.
    pub fn tick(&mut self, random: &mut Random, crew: &mut Crew<'_>) -> Result<()> {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) = self.repairs.drain(..).partition(|(at, _)| *at <= now);
        self.repairs = later;
        for (_, repair) in due {
            self.repair(repair, crew)?;
        }
        if now < self.next_at {
            return Ok(());
        }
        self.next_at = now + random.millis(200, 1_400);
        let (fault, name) = FAULTS[random.index(FAULTS.len())];
        if self.make(fault, random, crew)? {
            *self.counts.entry(name).or_default() += 1;
        }
        Ok(())
    }

    /// Puts everything right at once.
    pub fn heal(&mut self, crew: &mut Crew<'_>) -> Result<()> {
        for (_, repair) in std::mem::take(&mut self.repairs) {
            self.repair(repair, crew)?;
        }
        crew.heal();
        Ok(())
    }

    /// How often each was made.
    pub fn counts(&self, crew: &Crew<'_>) -> BTreeMap<&'static str, u64> {
        let mut counts = self.counts.clone();
        counts.insert("crash_point", crew.crashes);
        counts
    }

    pub fn summary(&self) -> String {
        format!("{} faults", self.counts.values().sum::<u64>())
    }

    fn repair(&mut self, repair: Repair, crew: &mut Crew<'_>) -> Result<()> {
        match repair {
            Repair::StartRedis => self.redis.start_again(),
            Repair::StartPostgres => self.postgres.start_again(),
            Repair::Resume(seat) => {
                crew.resume(seat);
                Ok(())
            }
        }
    }

    fn is_awaited(&self, repair: Repair) -> bool {
        self.repairs.iter().any(|(_, awaited)| *awaited == repair)
    }

    /// Breaks something; false if that cannot be done now.
    fn make(&mut self, fault: Fault, random: &mut Random, crew: &mut Crew<'_>) -> Result<bool> {
        let kind = match fault {
            Fault::KillScheduler | Fault::ArmScheduler | Fault::PauseScheduler => Kind::Scheduler,
            Fault::KillWeb => Kind::Web,
            Fault::KillTriggerer | Fault::PauseTriggerer => Kind::Triggerer,
            _ => Kind::Worker,
        };
        let seat = crew.pick(random, kind);
        match (fault, seat) {
            (Fault::KillScheduler | Fault::KillWorker | Fault::KillTriggerer | Fault::KillWeb, Some(seat)) => {
                crew.kill(seat, random, None);
            }
            (Fault::ArmScheduler, Some(seat)) => {
                let point = crash_point(SCHEDULER_CRASH_POINTS, random);
                crew.kill(seat, random, Some(point));
            }
            (Fault::ArmWorker, Some(seat)) => {
                let point = crash_point(WORKER_CRASH_POINTS, random);
                crew.kill(seat, random, Some(point));
            }
            (Fault::DrainWorker, Some(seat)) => crew.ask_to_stop(seat),
            (Fault::PauseWorker | Fault::PauseScheduler | Fault::PauseTriggerer, Some(seat)) => {
                crew.pause(seat);
                let until = Instant::now() + LEASE + random.millis(500, 3_000);
                self.repairs.push((until, Repair::Resume(seat)));
            }
            (Fault::RestartRedis, _) if !self.is_awaited(Repair::StartRedis) => {
                self.redis.kill()?;
                self.repairs.push((Instant::now() + random.millis(100, 3_000), Repair::StartRedis));
            }
            (Fault::RestartPostgres, _) if !self.is_awaited(Repair::StartPostgres) => {
                self.postgres.stop_immediate()?;
                self.repairs.push((Instant::now() + random.millis(100, 3_000), Repair::StartPostgres));
            }
            (Fault::FlushRedis, _) => return Ok(self.redis.flush_all().is_ok()),
            (Fault::DuplicateHints, _) => return Ok(self.duplicate_hints().is_ok()),
            (Fault::Garbage, _) => return Ok(self.garbage().is_ok()),
            (Fault::VandaliseRedis, _) => return Ok(self.vandalise_redis(random).is_ok()),
            (Fault::EditDag, _) => {
                self.chain_length = 11 - self.chain_length;
                self.cluster.write_dag("chain", &dags::chain(self.chain_length))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Hints that were sent before, that are too old, and that cannot be known yet.
    fn duplicate_hints(&self) -> Result<()> {
        let rows = self.postgres.sql("select id, epoch from task_instance order by id desc limit 60")?;
        for row in rows.lines() {
            let Some((id, epoch)) = row.split_once('|') else { continue };
            let epoch: i64 = epoch.parse()?;
            for epoch in [epoch, epoch, epoch - 1, epoch + 1] {
                self.redis.command(&["XADD", STREAM, "*", "ti", id, "epoch", &epoch.to_string()])?;
            }
        }
        Ok(())
    }

    /// Messages that are no hints.
    fn garbage(&self) -> Result<()> {
        let huge = "9".repeat(100_000);
        let messages: [&[&str]; 7] = [
            &["what", "ever"],
            &["ti", "1"],
            &["ti", "one", "epoch", "two"],
            &["ti", "-1", "epoch", "-1"],
            &["ti", "9223372036854775807", "epoch", "9223372036854775807"],
            &["ti", &huge, "epoch", "1"],
            &["", ""],
        ];
        for message in messages {
            let mut words = vec!["XADD", STREAM, "*"];
            words.extend(message);
            self.redis.command(&words)?;
        }
        Ok(())
    }

    /// Keys that are gone, or are something else.
    fn vandalise_redis(&self, random: &mut Random) -> Result<()> {
        match random.index(4) {
            0 => self.redis.command(&["XGROUP", "DESTROY", STREAM, "workers"])?,
            1 => self.redis.command(&["SET", "flow:high_water_mark", "not a number"])?,
            2 => self.redis.command(&["DEL", STREAM])?,
            _ => self.redis.command(&["SET", STREAM, "not a stream", "PX", "3000"])?,
        };
        Ok(())
    }
}

fn crash_point(points: &[&str], random: &mut Random) -> String {
    format!("{}:{}", points[random.index(points.len())], random.between(1, 8))
}
