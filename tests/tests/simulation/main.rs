//! The engine in virtual time: real store, real decisions, simulated workers, triggerers, queue, people, events and faults, everything
//! chosen by one seed.
//!
//! `FLOW_SIM_SEED=<seed>` runs one seed, `FLOW_SIM_SEEDS=<count>` runs that many; `FLOW_SIM_TRACES=<folder>` keeps there what
//! happened in each.

mod answer;
mod attempt;
mod callback;
mod dags;
mod encore;
mod healing;
mod network;
mod outside;
mod people;
mod scheduler;
mod seed;
mod shape;
mod triggerer;
mod worker;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use flow_store::StoreKind;
use seed::simulate;

/// Seeds that run where nothing else is asked for.
const SEEDS: u64 = 24;
const SEEDS_ON_POSTGRES: u64 = 2;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not `{text}`")))
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    match (number("FLOW_SIM_SEED"), number("FLOW_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(default),
    }
}

#[test]
fn everything_ends_as_it_should() {
    let seeds = seeds(SEEDS);
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    simulate(seed, StoreKind::Sqlite);
                }
            });
        }
    });
}

#[test]
fn postgresql_and_sqlite_tell_the_same_story() {
    let seeds = seeds(SEEDS_ON_POSTGRES);
    for seed in seeds.start..seeds.end.min(seeds.start + 100) {
        assert_same(seed, StoreKind::Sqlite, StoreKind::Postgres);
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    assert_same(number("FLOW_SIM_SEED").unwrap_or(7), StoreKind::Sqlite, StoreKind::Sqlite);
}

fn assert_same(seed: u64, first: StoreKind, second: StoreKind) {
    let (one, other) = (simulate(seed, first), simulate(seed, second));
    for (a, b) in one.trace.iter().zip(&other.trace).chain(one.history.iter().zip(&other.history)) {
        assert_eq!(a, b, "seed {seed} on {first:?} and on {second:?}");
    }
    assert_eq!(one, other, "seed {seed} on {first:?} and on {second:?}");
}
