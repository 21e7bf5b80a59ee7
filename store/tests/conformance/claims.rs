//! Claims, outcomes and what is fenced.

use std::time::Duration;

use flow_model::{ClaimId, Epoch, ProcessId};
use flow_store::{ClaimRequest, Heartbeat, LogAppend, NewXCom, OutcomeKind, Recorded, WorkOrder};

use crate::bench::{Bench, LEASE, outcome};
use crate::dags::{dag, shaped, task};

cases!(
    only_the_named_epoch_is_claimed,
    asking_again_gives_the_same_answer,
    a_process_that_is_not_live_gets_nothing,
    outcomes_are_recorded_once,
    fenced_outcomes_write_nothing,
    xcoms_come_with_success_only,
    a_failure_is_tried_again_after_its_delay,
    no_retry_after_a_failure_for_good,
    a_released_try_is_not_charged,
    what_the_machine_loses_has_a_budget_and_a_pause,
    a_task_may_skip_itself,
    heartbeats_say_what_is_held,
    logs_are_appended_once_and_fenced,
    nul_characters_do_no_harm,
);

async fn one_queued(bench: &Bench) -> (ClaimRequest, ClaimRequest) {
    bench.publish(shaped("d", &["t", "after < t"])).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    let (task_instance, epoch) = (bench.key_of("t").await, bench.epoch_of("t").await);
    let good = ClaimRequest { task_instance, epoch, claim: bench.new_claim() };
    (good, ClaimRequest { claim: bench.new_claim(), ..good })
}

async fn claim(bench: &Bench, process: ProcessId, request: ClaimRequest) -> Vec<WorkOrder> {
    bench.store.claim(bench.now(), process, &[request]).await.unwrap()
}

async fn only_the_named_epoch_is_claimed(bench: Bench) {
    let (good, other) = one_queued(&bench).await;
    for epoch in [0, 2] {
        assert!(claim(&bench, bench.worker, ClaimRequest { epoch: Epoch(epoch), ..good }).await.is_empty());
    }
    assert_eq!(claim(&bench, bench.worker, good).await.len(), 1);
    assert!(claim(&bench, bench.worker, other).await.is_empty(), "it is taken");
    bench.assert_sound().await;
}

async fn asking_again_gives_the_same_answer(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let first = claim(&bench, bench.worker, good).await;
    let again = claim(&bench, bench.worker, good).await;
    assert_eq!(again.len(), 1);
    assert_eq!((first[0].try_number, first[0].claim), (again[0].try_number, again[0].claim));
    assert_eq!(bench.field("t", "try_number").await, 1);
    bench.assert_sound().await;
}

async fn a_process_that_is_not_live_gets_nothing(bench: Bench) {
    let (good, other) = one_queued(&bench).await;
    let draining = bench.register("worker-2").await;
    bench.store.drain_process(draining).await.unwrap();
    assert!(claim(&bench, draining, good).await.is_empty());
    let retired = bench.register("worker-3").await;
    bench.store.retire_process(bench.now(), retired).await.unwrap();
    assert!(claim(&bench, retired, good).await.is_empty());
    assert!(claim(&bench, ProcessId(999), good).await.is_empty());
    assert_eq!(claim(&bench, bench.worker, other).await.len(), 1);
}

async fn outcomes_are_recorded_once(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let order = claim(&bench, bench.worker, good).await.remove(0);
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::Applied);
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::AlreadyApplied);
    bench.settle().await;
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::AlreadyApplied);
    assert_eq!(bench.raw.number("select count(*) from attempt").await, 1);
    bench.assert_sound().await;
}

async fn fenced_outcomes_write_nothing(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let order = claim(&bench, bench.worker, good).await.remove(0);
    let mut wrong_epoch = outcome(&order, OutcomeKind::Success, bench.now());
    wrong_epoch.epoch = Epoch(order.epoch.0 + 1);
    let mut wrong_claim = outcome(&order, OutcomeKind::Success, bench.now());
    wrong_claim.claim = ClaimId(1);
    for mut fenced in [wrong_epoch, wrong_claim] {
        fenced.xcoms = vec![NewXCom { key: "k".to_owned(), value: "1".to_owned() }];
        fenced.log = vec![piece(&order, 0, "line")];
        assert_eq!(bench.record(fenced).await, Recorded::Fenced);
    }
    assert_eq!(bench.state_of("t").await, "running");
    for table in ["xcom", "task_log", "attempt"] {
        assert_eq!(bench.raw.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    bench.assert_sound().await;
}

async fn xcoms_come_with_success_only(bench: Bench) {
    let mut retried = task("t", &[]);
    retried.retry.retries = 1;
    bench.publish(flow_model::Dag { tasks: vec![retried], ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    let value = |text: &str| vec![NewXCom { key: "return_value".to_owned(), value: text.to_owned() }];
    let order = bench.claim_one().await;
    let retry_at = bench.now() + Duration::from_secs(10);
    let mut failed = outcome(&order, OutcomeKind::Failed { retry_at }, bench.now());
    failed.xcoms = value("\"early\"");
    assert_eq!(bench.record(failed).await, Recorded::Applied);
    assert_eq!(bench.store.xcom(run, "t", -1, "return_value").await.unwrap(), None);
    bench.pass(10);
    let order = bench.claim_one().await;
    let mut succeeded = outcome(&order, OutcomeKind::Success, bench.now());
    succeeded.xcoms = value("{\"rows\": [1, 2]}");
    assert_eq!(bench.record(succeeded).await, Recorded::Applied);
    let found = bench.store.xcom(run, "t", -1, "return_value").await.unwrap();
    assert_eq!(found, Some(serde_json::json!({"rows": [1, 2]})));
    assert_eq!(bench.store.xcom(run, "t", 0, "return_value").await.unwrap(), None);
    bench.assert_sound().await;
}

async fn a_failure_is_tried_again_after_its_delay(bench: Bench) {
    let mut retried = task("t", &[]);
    retried.retry.retries = 2;
    bench.publish(flow_model::Dag { tasks: vec![retried], ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    for try_number in 1..=3 {
        let order = bench.claim_one().await;
        assert_eq!((order.try_number, order.max_tries), (try_number, 2));
        let retry_at = bench.now() + Duration::from_secs(10);
        assert_eq!(bench.report(&order, OutcomeKind::Failed { retry_at }).await, Recorded::Applied);
        let expected = if try_number <= 2 { "up_for_retry" } else { "failed" };
        assert_eq!(bench.state_of("t").await, expected);
        if try_number <= 2 {
            assert_eq!(bench.store.next_check().await.unwrap(), Some(retry_at));
            bench.pass(9);
            assert_eq!(bench.settle().await, 0);
            bench.pass(1);
        }
    }
    bench.settle().await;
    assert_eq!(bench.run_state(run).await, "failed");
    assert_eq!(
        bench.raw.texts("select state from attempt order by try_number").await,
        ["up_for_retry", "up_for_retry", "failed"]
    );
    bench.assert_sound().await;
}

async fn no_retry_after_a_failure_for_good(bench: Bench) {
    let mut retried = task("t", &[]);
    retried.retry.retries = 5;
    bench.publish(flow_model::Dag { tasks: vec![retried], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::FailedForGood).await;
    assert_eq!(bench.state_of("t").await, "failed");
}

async fn a_released_try_is_not_charged(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let order = claim(&bench, bench.worker, good).await.remove(0);
    assert_eq!(bench.report(&order, OutcomeKind::Released).await, Recorded::Applied);
    assert_eq!(bench.report(&order, OutcomeKind::Released).await, Recorded::AlreadyApplied);
    assert_eq!(bench.state_of("t").await, "scheduled");
    assert!(bench.field("t", "epoch").await > order.epoch.0);
    let order = bench.claim_one().await;
    assert_eq!((order.try_number, order.max_tries), (2, 1));
    bench.report(&order, OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn what_the_machine_loses_has_a_budget_and_a_pause(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let mut order = claim(&bench, bench.worker, good).await.remove(0);
    for pause in [1, 2, 4] {
        assert_eq!(bench.report(&order, OutcomeKind::Lost).await, Recorded::Applied);
        assert_eq!(bench.report(&order, OutcomeKind::Lost).await, Recorded::AlreadyApplied);
        assert_eq!(bench.state_of("t").await, "scheduled");
        assert_eq!(bench.field("t", "not_before").await, (bench.now() + Duration::from_secs(pause)).as_micros());
        bench.settle().await;
        assert_eq!(bench.state_of("t").await, "scheduled");
        bench.pass(pause);
        order = bench.claim_one().await;
    }
    bench.report(&order, OutcomeKind::Lost).await;
    assert_eq!(bench.state_of("t").await, "failed");
    assert_eq!(bench.field("t", "lost_count").await, 4);
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_task_may_skip_itself(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let order = claim(&bench, bench.worker, good).await.remove(0);
    bench.report(&order, OutcomeKind::Skipped).await;
    bench.settle().await;
    assert_eq!(bench.states().await, ["r t skipped", "r after skipped"]);
    assert_eq!(bench.raw.texts("select state from dag_run").await, ["success"]);
    bench.assert_sound().await;
}

async fn heartbeats_say_what_is_held(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let beat = || bench.store.heartbeat(bench.now(), bench.worker, LEASE);
    assert_eq!(beat().await.unwrap(), Heartbeat::Alive { held: Vec::new() });
    let order = claim(&bench, bench.worker, good).await.remove(0);
    let Heartbeat::Alive { held } = beat().await.unwrap() else { panic!("it lives") };
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].task_instance, held[0].epoch, held[0].claim), (order.task_instance, order.epoch, order.claim));
    bench.report(&order, OutcomeKind::Success).await;
    assert_eq!(beat().await.unwrap(), Heartbeat::Alive { held: Vec::new() });
    bench.store.retire_process(bench.now(), bench.worker).await.unwrap();
    assert_eq!(beat().await.unwrap(), Heartbeat::Dead);
}

fn piece(order: &WorkOrder, seq: i64, content: &str) -> LogAppend {
    LogAppend {
        task_instance: order.task_instance,
        epoch: order.epoch,
        claim: order.claim,
        try_number: order.try_number,
        seq,
        content: content.to_owned(),
    }
}

async fn logs_are_appended_once_and_fenced(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let order = claim(&bench, bench.worker, good).await.remove(0);
    let append = |pieces: Vec<LogAppend>| {
        let store = bench.store.clone();
        async move { store.append_logs(&pieces).await.unwrap() }
    };
    append(Vec::new()).await;
    append(vec![piece(&order, 0, "zero"), piece(&order, 1, "one")]).await;
    append(vec![piece(&order, 1, "one again"), piece(&order, 2, "two")]).await;
    append(vec![LogAppend { claim: ClaimId(1), ..piece(&order, 3, "a stranger's") }]).await;
    let mut report = outcome(&order, OutcomeKind::Released, bench.now());
    report.log = vec![piece(&order, 2, "two again"), piece(&order, 3, "three")];
    assert_eq!(bench.record(report).await, Recorded::Applied);
    append(vec![piece(&order, 4, "after the release")]).await;
    assert_eq!(bench.raw.texts("select content from task_log order by seq").await, ["zero", "one", "two", "three"]);
}

async fn nul_characters_do_no_harm(bench: Bench) {
    let (good, _) = one_queued(&bench).await;
    let order = claim(&bench, bench.worker, good).await.remove(0);
    let mut report = outcome(&order, OutcomeKind::Success, bench.now());
    report.reason = Some("a\0b".to_owned());
    report.log = vec![piece(&order, 0, "c\0d")];
    report.xcoms = vec![NewXCom { key: "k\0".to_owned(), value: "\"\\u0000\"".to_owned() }];
    assert_eq!(bench.record(report).await, Recorded::Applied);
    assert_eq!(bench.raw.texts("select content from task_log").await, ["c\u{fffd}d"]);
    assert_eq!(bench.raw.texts("select value from xcom").await, ["\"\\u0000\""]);
}
