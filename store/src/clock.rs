//! The database's clock, without asking the database each time.
//!
//! All instants that the engine compares are the database's. Asking it before each operation would cost a round trip,
//! so the offset between its clock and this machine's boot-time clock is measured now and then; boot-time is chosen
//! because it never jumps when somebody sets the wall clock, and goes on while the machine sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flow_model::Timestamp;

/// How often the offset is measured again.
const RESYNC_MICROS: i64 = 10_000_000;

/// A clock that tests move by hand.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start` until it is moved.
    pub fn new(start: Timestamp) -> Self {
        ManualClock(Arc::new(AtomicI64::new(start.as_micros())))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets it.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.as_micros(), Ordering::SeqCst);
    }
}

/// Where the store takes the time from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    Database(Arc<Synced>),
    Manual(ManualClock),
}

#[derive(Debug)]
pub(crate) struct Synced {
    /// Database time minus boot time, in microseconds.
    offset: AtomicI64,
    /// Boot time of the last measurement.
    measured_at: AtomicI64,
    /// The latest instant given out: the clock never goes back.
    latest: AtomicI64,
}

impl Synced {
    pub(crate) fn new() -> Self {
        Synced { offset: AtomicI64::new(0), measured_at: AtomicI64::new(i64::MIN), latest: AtomicI64::new(i64::MIN) }
    }

    /// Takes in what the database's clock showed between two readings of the boot-time clock.
    pub(crate) fn measured(&self, before: i64, database: i64, after: i64) {
        self.offset.store(database - (before + (after - before) / 2), Ordering::SeqCst);
        self.measured_at.store(after, Ordering::SeqCst);
    }

    pub(crate) fn is_stale(&self) -> bool {
        let measured = self.measured_at.load(Ordering::SeqCst);
        measured == i64::MIN || boot_micros() - measured > RESYNC_MICROS
    }

    pub(crate) fn now(&self) -> Timestamp {
        let estimate = boot_micros() + self.offset.load(Ordering::SeqCst);
        let before = self.latest.fetch_max(estimate, Ordering::SeqCst);
        Timestamp::from_micros(before.max(estimate))
    }
}

/// Microseconds since boot, suspended time included.
pub(crate) fn boot_micros() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// The wall clock of this machine: SQLite's clock, since the database is on this machine.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub(crate) fn wall_micros() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
}
