//! The audit finds what has been tampered with behind the store's back.

use std::time::Duration;

use flow_store::OutcomeKind;

use crate::bench::{Bench, outcome};
use crate::dags::shaped;

cases!(a_clean_history_has_no_findings, tampering_is_found, only_what_moved_since);

async fn lived(bench: &Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let mut report = outcome(&order, OutcomeKind::Success, bench.now());
    report.xcoms = vec![flow_store::NewXCom { key: "k".to_owned(), value: "1".to_owned() }];
    bench.record(report).await;
    bench.run_to_end(&[]).await;
}

async fn a_clean_history_has_no_findings(bench: Bench) {
    lived(&bench).await;
    let report = bench.store.audit(None, bench.now()).await.unwrap();
    assert_eq!((report.runs, report.task_instances, report.events, report.violations.len()), (1, 2, 13, 0));
}

async fn tampering_is_found(bench: Bench) {
    for (tampering, invariant) in [
        ("delete from task_instance_event where task_instance_id = 1 and event_no = 3", "I2"),
        ("delete from dag_run_event where event_no = 2", "I2"),
        ("update xcom set epoch = 7", "I15"),
        ("delete from attempt where task_instance_id = 2", "I15"),
        ("update task_instance set try_number = 9 where id = 1", "I11"),
        ("insert into dispatch_outbox (task_instance_id, epoch, queue, created_at) values (1, 1, 'default', 0)", "I20"),
        (
            "insert into dispatch_outbox (task_instance_id, epoch, queue, created_at)
             values (1, 99, 'default', 1900000000000000)",
            "I20",
        ),
        ("delete from task_instance where id = 2", "I7"),
        ("update pool set slots = 0", "nothing: the limit was large enough when it counted"),
    ] {
        let bench = Bench::new(bench.store.kind()).await;
        lived(&bench).await;
        bench.raw.run(tampering).await.unwrap();
        let report = bench.store.audit(None, bench.now()).await.unwrap();
        let found: Vec<&str> = report.violations.iter().map(|violation| violation.invariant).collect();
        if invariant.starts_with('I') {
            assert!(found.contains(&invariant), "{tampering}: {:#?}", report.violations);
        } else {
            assert_eq!(found, Vec::<&str>::new());
        }
    }
}

async fn only_what_moved_since(bench: Bench) {
    lived(&bench).await;
    bench.pass(100);
    let since = bench.now();
    assert_eq!(bench.store.audit(Some(since), bench.now()).await.unwrap().runs, 0);
    bench.trigger("d", "r2").await;
    bench.settle().await;
    assert_eq!(bench.store.audit(Some(since + Duration::from_secs(1)), bench.now()).await.unwrap().runs, 1);
}
