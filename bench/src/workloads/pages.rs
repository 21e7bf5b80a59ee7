//! How long pages and answers of the API take.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use crate::api::Api;
use crate::figures::{Report, median, percentile};

/// Milliseconds from the request to the last byte, by the name of the page.
pub(super) type Times = BTreeMap<&'static str, Vec<f64>>;

/// Reads each page to its end, several times, in turns.
pub(super) async fn times(api: &Api, paths: &[(&'static str, String)], rounds: usize) -> Result<Times> {
    let mut times = Times::new();
    for _ in 0..rounds {
        for (name, path) in paths {
            let begin = Instant::now();
            api.page(path).await?;
            times.entry(name).or_default().push(begin.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    Ok(times)
}

/// The slowest hundredth of all, and for each page the one in the middle and the slowest hundredth.
pub(super) fn tell(report: &mut Report, times: &Times) {
    let all: Vec<f64> = times.values().flatten().copied().collect();
    report.figure("pages_p99", percentile(&all, 0.99), "ms");
    for (name, times) in times {
        report.list(&format!("page_ms_{name}_p50_p99"), &[median(times), percentile(times, 0.99)]);
    }
}
