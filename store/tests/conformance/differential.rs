//! The same random program on both databases leaves the same history.

use flow_store::StoreKind;

use crate::bench::Bench;
use crate::world::{Random, World};

const STEPS: usize = 250;

async fn both_agree(seed: u64) {
    let mut left = World::new(Bench::new(StoreKind::Sqlite).await).await;
    let mut right = World::new(Bench::new(StoreKind::Postgres).await).await;
    let mut random = [Random(seed), Random(seed)];
    let mut done = Vec::new();
    for step in 0..STEPS {
        let (a, b) = (left.step(&mut random[0]).await, right.step(&mut random[1]).await);
        assert_eq!(a, b, "seed {seed}, step {step}, after {:#?}", &done[done.len().saturating_sub(20)..]);
        done.push(a);
        if step % 50 == 49 {
            let (a, b) = (left.history().await, right.history().await);
            let different = a.iter().zip(&b).find(|(a, b)| a != b);
            assert!(different.is_none() && a.len() == b.len(), "seed {seed}, step {step}: {different:#?}");
            left.bench.assert_sound().await;
            right.bench.assert_sound().await;
        }
    }
    left.finish().await;
    right.finish().await;
    assert_eq!(left.history().await, right.history().await, "seed {seed}, at the end");
}

#[tokio::test]
async fn first_program() {
    both_agree(1).await;
}

#[tokio::test]
async fn second_program() {
    both_agree(2).await;
}

#[tokio::test]
async fn third_program() {
    both_agree(3).await;
}

#[tokio::test]
async fn fourth_program() {
    both_agree(4).await;
}

/// More programs: `FLOW_SEEDS=100..200 cargo test -p flow-store --test conformance -- --ignored more_programs`.
#[tokio::test]
#[ignore = "takes as long as one lets it"]
async fn more_programs() {
    let seeds = std::env::var("FLOW_SEEDS").unwrap_or_else(|_| "100..110".to_owned());
    let (from, to) = seeds.split_once("..").unwrap();
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        both_agree(seed).await;
    }
}
