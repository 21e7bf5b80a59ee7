//! A small DAG through its whole life.

use flow_store::{NewXCom, OutcomeKind, Recorded};

use crate::bench::{Bench, outcome, task_id};
use crate::dags::shaped;

cases!(a_run_from_trigger_to_success, a_failure_reaches_the_end_of_the_run);

async fn a_run_from_trigger_to_success(bench: Bench) {
    bench.publish(shaped("etl", &["extract", "left < extract", "right < extract", "load < left right"])).await;
    let run = bench.trigger("etl", "first").await;
    let order = bench.claim_one().await;
    assert_eq!(task_id(&order), "extract");
    assert_eq!((order.try_number, order.run_id.as_str()), (1, "first"));
    let mut report = outcome(&order, OutcomeKind::Success, bench.now());
    report.xcoms = vec![NewXCom { key: "return_value".to_owned(), value: "42".to_owned() }];
    assert_eq!(bench.record(report).await, Recorded::Applied);
    assert_eq!(bench.store.xcom(run, "extract", -1, "return_value").await.unwrap(), Some(42.into()));
    bench.run_to_end(&[]).await;
    assert_eq!(
        bench.states().await,
        ["first extract success", "first left success", "first right success", "first load success"]
    );
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn a_failure_reaches_the_end_of_the_run(bench: Bench) {
    bench.publish(shaped("etl", &["extract", "left < extract", "right < extract", "load < left right"])).await;
    let run = bench.trigger("etl", "first").await;
    bench.run_to_end(&["left"]).await;
    assert_eq!(
        bench.states().await,
        ["first extract success", "first left failed", "first right success", "first load upstream_failed"]
    );
    assert_eq!(bench.run_state(run).await, "failed");
    bench.assert_sound().await;
}
