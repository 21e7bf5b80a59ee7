//! A short form of the chaos, with a fixed seed; the long one is `cargo run -p flow-tests --bin chaos`.

use std::time::Duration;

use flow_tests::chaos::{Options, run};

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_right_after_chaos() {
    let options = Options {
        seed: 20_260_101,
        duration: Duration::from_secs(30),
        healing: Duration::from_secs(60),
        is_verbose: false,
    };
    let report = run(&options).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.problems.is_empty(), "{report}\n{}", report.problems.join("\n"));
    assert!(report.runs > 10, "{report}");
    println!("{report}");
}
