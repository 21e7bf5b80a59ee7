//! Messages against a server that answers as it is told.

use std::time::Duration;

use flow_store::OutcomeKind;
use serde_json::json;

use crate::attempt::bench::{Bench, Told};
use crate::scripted::{Answer, on_port};

async fn told_by(answer: Answer) -> Told {
    let (port, _) = on_port(move |_| answer.clone()).await;
    let bench = Bench::new(&json!({ "webhook": { "url": format!("http://127.0.0.1:{port}/told") } }));
    bench.run().await
}

fn pause(told: &Told) -> Duration {
    let OutcomeKind::Failed { retry_at } = told.kind() else { panic!("{:?}", told.kind()) };
    retry_at.since(told.outcome().ended_at)
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let busy = |seconds: &str| Answer {
        headers: vec![("retry-after", seconds.to_owned())],
        ..Answer::bytes(429, "slow down")
    };
    let told = told_by(busy("1200")).await;
    assert_eq!(pause(&told), Duration::from_secs(1_200));
    assert!(told.log.contains("answered with status 429: slow down"), "{}", told.log);
    // The task's own delay is five minutes, and nobody is believed who asks for a day.
    assert_eq!(pause(&told_by(busy("1")).await), Duration::from_secs(300));
    assert_eq!(pause(&told_by(busy("86400")).await), Duration::from_secs(3_600));
    assert_eq!(
        pause(&told_by(Answer { headers: vec![("retry-after", "7200".to_owned())], ..Answer::empty(500) }).await),
        Duration::from_secs(300)
    );
}

#[tokio::test]
async fn what_is_refused_or_leads_elsewhere_says_so() {
    let told = told_by(Answer::bytes(403, "invalid_token")).await;
    assert!(matches!(told.kind(), OutcomeKind::FailedForGood), "{:?}", told.kind());
    let told = told_by(Answer::empty(302)).await;
    assert!(
        told.log.contains("status 302, a redirect\n") && told.log.contains("hint: write the address"),
        "{}",
        told.log
    );
}

#[tokio::test]
async fn an_address_that_is_none_is_told_with_what_to_do() {
    let told = Bench::new(&json!({ "http": { "url": "{{ 'told' | safe }}" } })).run().await;
    assert!(told.log.contains("`told` is not an HTTP URL: relative URL without a base\n"), "{}", told.log);
    assert!(told.log.contains("hint: it begins with http://"), "{}", told.log);
}
