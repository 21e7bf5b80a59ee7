//! Tries that wait outside the workers: deferred ones with their triggers, rescheduled ones, those that await input.

use std::time::Duration;

use flow_model::deferral::OnTimeout;
use flow_model::{Dag, Deferral, Epoch, ProcessId, Trigger};
use flow_store::{
    Fired, Firing, HeldTrigger, LogBefore, NewProcess, NewXCom, OutcomeKind, ProcessKind, Recorded, TriggerRoom,
    WorkOrder,
};
use serde_json::json;

use crate::bench::{Bench, LEASE, outcome};
use crate::dags::{dag, task};

cases!(
    a_deferred_try_succeeds_without_a_worker,
    a_deferral_is_recorded_once,
    a_trigger_fires_once,
    only_its_owner_fires_a_trigger,
    a_failed_trigger_is_tried_again,
    a_skipped_trigger,
    a_worker_goes_on_with_the_same_try,
    a_lost_part_is_run_again_with_what_it_was_told,
    a_trigger_that_is_overdue,
    a_deadline_and_a_firing_never_both,
    clearing_ends_the_waiting,
    the_dead_leave_their_triggers_to_others,
    a_rescheduled_try_comes_back,
    awaiting_input_keeps_no_slot,
);

const ROOM: TriggerRoom = TriggerRoom { timers: 100, pollers: 100 };

async fn started(bench: &Bench, retries: u32) -> WorkOrder {
    let mut waiting = task("t", &[]);
    waiting.retry.retries = retries;
    bench.publish(Dag { tasks: vec![waiting, task("after", &["t"])], ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.claim_one().await
}

async fn triggerer(bench: &Bench, slot: &str) -> ProcessId {
    let incarnation = flow_model::Incarnation(bench.new_claim().0);
    let new = NewProcess::this(ProcessKind::Triggerer, slot, "host", incarnation, LEASE);
    bench.store.register_process(bench.now(), &new).await.unwrap().0
}

fn waiting(bench: &Bench) -> Deferral {
    Deferral::new(Trigger::Time { at: bench.now() + Duration::from_secs(60) }, Duration::from_secs(1))
}

async fn defer(bench: &Bench, order: &WorkOrder, deferral: Deferral) {
    let kind = OutcomeKind::Deferred(Box::new(deferral));
    let mut report = outcome(order, kind, bench.now());
    report.rendered = Some("{\"x\":1}".to_owned());
    report.log_next_seq = order.log_before.next_seq + 1;
    report.log_bytes = order.log_before.bytes + 10;
    assert_eq!(bench.record(report).await, Recorded::Applied);
    assert_eq!(bench.state_of("t").await, "deferred");
}

async fn taken(bench: &Bench, process: ProcessId) -> HeldTrigger {
    let mut taken = bench.store.take_triggers(process, ROOM).await.unwrap();
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

async fn fire(bench: &Bench, process: ProcessId, held: &HeldTrigger, fired: Fired) -> bool {
    let firing =
        Firing { task_instance: held.task_instance, epoch: held.epoch, fired, log: vec!["it came".to_owned()] };
    bench.store.fire_triggers(bench.now(), process, &[firing]).await.unwrap()[0]
}

fn value() -> Vec<NewXCom> {
    vec![NewXCom { key: "return_value".to_owned(), value: "7".to_owned() }]
}

async fn a_deferred_try_succeeds_without_a_worker(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    defer(&bench, &order, waiting(&bench)).await;
    let held = taken(&bench, me).await;
    assert_eq!((held.dag_id.as_str(), held.task_id.as_str(), held.try_number), ("d", "t", 1));
    assert_eq!(held.epoch, Epoch(order.epoch.0 + 1));
    assert_eq!(held.deferral, waiting(&bench));
    assert!(bench.store.take_triggers(me, ROOM).await.unwrap().is_empty(), "it is taken");
    assert_eq!(bench.store.held_triggers(me).await.unwrap(), [(held.task_instance, held.epoch)]);
    bench.pass(60);
    assert!(fire(&bench, me, &held, Fired::Success(value())).await);
    assert_eq!(bench.state_of("t").await, "success");
    assert_eq!(bench.raw.texts("select value from xcom").await, ["7"]);
    assert_eq!(bench.raw.texts("select rendered from attempt").await, ["{\"x\":1}"]);
    assert_eq!(bench.raw.number("select seq from task_log").await, 1);
    for table in ["trigger", "suspended_try"] {
        assert_eq!(bench.raw.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_deferral_is_recorded_once(bench: Bench) {
    let order = started(&bench, 0).await;
    defer(&bench, &order, waiting(&bench)).await;
    let again = OutcomeKind::Deferred(Box::new(waiting(&bench)));
    assert_eq!(bench.report(&order, again.clone()).await, Recorded::AlreadyApplied);
    let mut stranger = outcome(&order, again, bench.now());
    stranger.claim = flow_model::ClaimId(1);
    assert_eq!(bench.record(stranger).await, Recorded::Fenced);
    assert_eq!(bench.raw.number("select count(*) from trigger").await, 1);
    assert_eq!(bench.raw.number("select count(*) from attempt").await, 0);
    bench.assert_sound().await;
}

async fn a_trigger_fires_once(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    defer(&bench, &order, waiting(&bench)).await;
    let held = taken(&bench, me).await;
    let wrong = HeldTrigger { epoch: order.epoch, ..held.clone() };
    assert!(!fire(&bench, me, &wrong, Fired::Success(Vec::new())).await);
    let (one, two) = tokio::join!(
        fire(&bench, me, &held, Fired::Success(Vec::new())),
        fire(&bench, me, &held, Fired::Failed("late".to_owned()))
    );
    assert!(one != two, "one of them counts");
    assert!(!fire(&bench, me, &held, Fired::Success(Vec::new())).await);
    assert_eq!(bench.raw.number("select count(*) from attempt").await, 1);
    bench.assert_sound().await;
}

async fn only_its_owner_fires_a_trigger(bench: Bench) {
    let order = started(&bench, 0).await;
    let (me, other) = (triggerer(&bench, "triggerer-1").await, triggerer(&bench, "triggerer-2").await);
    defer(&bench, &order, waiting(&bench)).await;
    let held = taken(&bench, me).await;
    assert!(!fire(&bench, other, &held, Fired::Success(Vec::new())).await);
    assert_eq!(bench.state_of("t").await, "deferred");
    bench.assert_sound().await;
}

async fn a_failed_trigger_is_tried_again(bench: Bench) {
    let mut order = started(&bench, 1).await;
    let me = triggerer(&bench, "triggerer-1").await;
    for expected in ["up_for_retry", "failed"] {
        defer(&bench, &order, Deferral { retry_delay: Duration::from_secs(10), ..waiting(&bench) }).await;
        let held = taken(&bench, me).await;
        assert!(fire(&bench, me, &held, Fired::Failed("no\nhint: look".to_owned())).await);
        assert_eq!(bench.state_of("t").await, expected);
        if expected == "up_for_retry" {
            bench.pass(9);
            assert_eq!(bench.settle().await, 0);
            bench.pass(1);
            order = bench.claim_one().await;
            assert_eq!((order.try_number, order.log_before), (2, LogBefore::default()));
        }
    }
    assert_eq!(bench.raw.texts("select reason from task_instance where task_id = 't'").await, ["no"]);
    assert_eq!(bench.raw.texts("select state from attempt order by try_number").await, ["up_for_retry", "failed"]);
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_skipped_trigger(bench: Bench) {
    let order = started(&bench, 3).await;
    let me = triggerer(&bench, "triggerer-1").await;
    defer(&bench, &order, waiting(&bench)).await;
    let held = taken(&bench, me).await;
    assert!(fire(&bench, me, &held, Fired::Skipped("not today".to_owned())).await);
    bench.settle().await;
    assert_eq!(bench.states().await, ["r t skipped", "r after skipped"]);
    bench.assert_sound().await;
}

async fn a_worker_goes_on_with_the_same_try(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    let mut order = order;
    for part in 1..=2 {
        let deferral = waiting(&bench).then_resume(json!({ "part": part }));
        defer(&bench, &order, deferral).await;
        let held = taken(&bench, me).await;
        let told = held.deferral.resumed_with(&json!("event")).unwrap();
        bench.pass(5);
        assert!(fire(&bench, me, &held, Fired::Resume(told)).await);
        let next = bench.claim_one().await;
        assert_eq!((next.try_number, next.is_continued), (1, true));
        assert_eq!(next.try_started_at, order.try_started_at);
        assert_eq!(next.resume.clone().unwrap()["payload"]["part"], part);
        assert_eq!(next.log_before.next_seq, part * 2);
        order = next;
    }
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::Applied);
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, Recorded::AlreadyApplied);
    assert_eq!(bench.raw.number("select count(*) from attempt").await, 1);
    assert_eq!(bench.raw.number("select count(*) from suspended_try").await, 0);
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_lost_part_is_run_again_with_what_it_was_told(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    defer(&bench, &order, waiting(&bench).then_resume(json!(1))).await;
    let held = taken(&bench, me).await;
    assert!(fire(&bench, me, &held, Fired::Resume(json!("told"))).await);
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Lost).await;
    bench.pass(1);
    let order = bench.claim_one().await;
    assert_eq!((order.try_number, order.max_tries, order.resume.clone()), (2, 1, Some(json!("told"))));
    assert_eq!(order.log_before, LogBefore::default());
    bench.report(&order, OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn a_trigger_that_is_overdue(bench: Bench) {
    for (on_timeout, expected) in [
        (OnTimeout::Fail, "failed"),
        (OnTimeout::Retry, "up_for_retry"),
        (OnTimeout::Skip, "skipped"),
        (OnTimeout::Resume, "scheduled"),
    ] {
        let bench = Bench::new(bench.store.kind()).await;
        let order = started(&bench, 1).await;
        let deadline = bench.now() + Duration::from_secs(30);
        let deferral = Deferral { deadline_at: Some(deadline), on_timeout, ..waiting(&bench) };
        defer(&bench, &order, deferral).await;
        assert_eq!(bench.store.next_check().await.unwrap(), Some(deadline));
        bench.pass(29);
        assert_eq!(bench.store.expire_triggers(bench.now(), "s").await.unwrap(), 0);
        bench.pass(1);
        assert_eq!(bench.store.expire_triggers(bench.now(), "s").await.unwrap(), 1);
        assert_eq!(bench.state_of("t").await, expected);
        if on_timeout == OnTimeout::Resume {
            assert_eq!(bench.claim_one().await.resume.unwrap()["timed_out"], true);
        }
        assert_eq!(bench.store.expire_triggers(bench.now(), "s").await.unwrap(), 0);
        bench.assert_sound().await;
    }
}

async fn a_deadline_and_a_firing_never_both(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    let deadline_at = Some(bench.now());
    defer(&bench, &order, Deferral { deadline_at, on_timeout: OnTimeout::Fail, ..waiting(&bench) }).await;
    let held = taken(&bench, me).await;
    let (fired, expired) =
        tokio::join!(fire(&bench, me, &held, Fired::Success(value())), bench.store.expire_triggers(bench.now(), "s"));
    assert!(fired != (expired.unwrap() == 1));
    assert_eq!(bench.raw.number("select count(*) from attempt").await, 1);
    bench.assert_sound().await;
}

async fn clearing_ends_the_waiting(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    defer(&bench, &order, waiting(&bench).then_resume(json!(1))).await;
    let held = taken(&bench, me).await;
    let request = flow_store::ClearRequest {
        run: order.run,
        tasks: flow_store::Selection { task_ids: vec!["t".to_owned()], ..Default::default() },
        only_failed: false,
        principal: "ann".to_owned(),
    };
    bench.store.clear_tasks(bench.now(), &request, false).await.unwrap();
    assert!(bench.store.held_triggers(me).await.unwrap().is_empty());
    assert!(!fire(&bench, me, &held, Fired::Success(value())).await, "too late");
    let order = bench.claim_one().await;
    assert_eq!((order.try_number, order.resume.clone(), order.is_continued), (2, None, false));
    bench.report(&order, OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn the_dead_leave_their_triggers_to_others(bench: Bench) {
    let order = started(&bench, 0).await;
    let me = triggerer(&bench, "triggerer-1").await;
    defer(&bench, &order, waiting(&bench)).await;
    let held = taken(&bench, me).await;
    // A successor in the slot takes over at once.
    let successor = triggerer(&bench, "triggerer-1").await;
    assert!(!fire(&bench, me, &held, Fired::Success(Vec::new())).await, "it is free again");
    let held = taken(&bench, successor).await;
    assert!(bench.store.take_triggers(me, ROOM).await.unwrap().is_empty());
    // One that is silent loses them with its lease.
    let other = triggerer(&bench, "triggerer-2").await;
    bench.pass(3_600);
    bench.store.heartbeat(bench.now(), other, LEASE).await.unwrap();
    bench.store.rescue_lost(bench.now(), bench.now(), "s").await.unwrap();
    assert!(!fire(&bench, successor, &held, Fired::Success(Vec::new())).await);
    let held = taken(&bench, other).await;
    // One that ends leaves them.
    bench.store.retire_process(bench.now(), other).await.unwrap();
    assert!(bench.store.held_triggers(other).await.unwrap().is_empty());
    let last = triggerer(&bench, "triggerer-3").await;
    assert_eq!(taken(&bench, last).await, held);
    assert!(fire(&bench, last, &held, Fired::Success(Vec::new())).await);
    bench.assert_sound().await;
}

async fn a_rescheduled_try_comes_back(bench: Bench) {
    let mut order = started(&bench, 0).await;
    for poke in 1..=3 {
        let at = bench.now() + Duration::from_secs(5);
        let kind = OutcomeKind::Rescheduled { at, resume: Some(json!(poke)) };
        assert_eq!(bench.report(&order, kind.clone()).await, Recorded::Applied);
        assert_eq!(bench.report(&order, kind).await, Recorded::AlreadyApplied);
        assert_eq!(bench.state_of("t").await, "up_for_reschedule");
        assert_eq!(bench.store.next_check().await.unwrap(), Some(at));
        bench.pass(4);
        assert_eq!(bench.settle().await, 0);
        bench.pass(1);
        order = bench.claim_one().await;
        assert_eq!((order.try_number, order.resume.clone()), (1, Some(json!(poke))));
    }
    bench.report(&order, OutcomeKind::Success).await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.raw.number("select count(*) from attempt").await, 2);
    bench.assert_sound().await;
}

async fn awaiting_input_keeps_no_slot(bench: Bench) {
    let order = started(&bench, 0).await;
    assert_eq!(bench.report(&order, OutcomeKind::AwaitingInput(Box::default())).await, Recorded::Applied);
    assert_eq!(bench.state_of("t").await, "awaiting_input");
    let pools = bench.store.pools_in_use().await.unwrap();
    assert!(pools.iter().all(|pool| pool.running_slots + pool.queued_slots == 0));
    bench.assert_sound().await;
}
