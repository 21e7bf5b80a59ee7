//! What strangers send makes no new series.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::fixture::Site;

#[test]
fn labels_come_from_closed_sets() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let site = Site::on_sqlite().await;
            for number in 0..500 {
                for (method, path) in [
                    (format!("M{number}"), "/livez".to_owned()),
                    (format!("get{number}"), format!("/{number}")),
                    ("GET".to_owned(), format!("/dags/{number}?q={number}")),
                    ("POST".to_owned(), format!("/hooks/{number}/{number}")),
                ] {
                    let request = Request::builder().method(method.as_str()).uri(path).header("x-n", number);
                    site.send(request.body(Body::empty()).unwrap()).await;
                }
            }
        });
    });
    let rendered = handle.render();
    let series: BTreeSet<&str> = rendered
        .lines()
        .filter(|line| line.starts_with("flow_http_requests_total"))
        .filter_map(|line| line.split_once("} ").map(|(series, _)| series))
        .collect();
    assert!(rendered.contains("method=\"other\""), "{rendered}");
    assert!(!series.is_empty() && series.len() < 12, "{series:#?}");
}
