//! Publishing, pausing, retiring, and the runs that schedules create.

use std::time::Duration;

use flow_model::dag::Catchup;
use flow_model::schedule::Schedule;
use flow_model::{Dag, RunState};
use flow_store::{NewRun, OutcomeKind, StoreError};

use crate::bench::{Bench, at, new_run};
use crate::dags::{every, new_version, shaped};

cases!(
    missed_ticks_follow_catchup,
    catching_up_respects_max_active_runs,
    a_tick_is_created_once,
    once_runs_once,
    continuous_starts_again,
    a_continuous_dag_that_fails_waits_longer_each_time,
    data_intervals_and_ids,
    a_new_version_is_for_new_runs,
    a_changed_schedule_is_planned_anew,
    pausing_and_unpausing,
    retired_dags_start_nothing,
    import_errors_come_and_go,
    published_files_are_kept,
    run_ids_are_unique,
    a_run_waits_for_its_time,
    runs_that_take_too_long_end,
    the_next_instant_to_look_at,
    a_dag_is_published_once_in_one_go,
    a_run_without_tasks_ends,
    wrong_counts_are_put_right,
);

const DATES: &str = "select cast((logical_date - 1767225600000000) / 3600000000 as text) from dag_run
    where run_type = 'scheduled' order by logical_date";

fn hourly(catchup: Catchup) -> Dag {
    every(shaped("d", &["a"]), 3_600, at("2026-01-01T01:00:00Z"), catchup)
}

async fn missed_ticks_follow_catchup(bench: Bench) {
    for (catchup, name) in [(Catchup::None, "none"), (Catchup::Latest, "latest"), (Catchup::All, "all")] {
        bench.publish(Dag { dag_id: name.to_owned(), ..hourly(catchup) }).await;
    }
    assert_eq!(bench.check_dags().await.runs_created, 0);
    bench.pass(5 * 3_600 + 1_800);
    let due = bench.check_dags().await;
    assert_eq!((due.runs_created, due.ticks_skipped), (6, 2));
    let hours = |dag: &str| DATES.replace("where", &format!("where dag_id = '{dag}' and"));
    assert_eq!(bench.raw.texts(&hours("none")).await, Vec::<String>::new());
    assert_eq!(bench.raw.texts(&hours("latest")).await, ["5"]);
    assert_eq!(bench.raw.texts(&hours("all")).await, ["1", "2", "3", "4", "5"]);
    assert_eq!(bench.store.next_check().await.unwrap(), Some(at("2026-01-01T06:00:00Z")));
    bench.pass(1_800);
    assert_eq!(bench.check_dags().await.runs_created, 3);
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}

async fn catching_up_respects_max_active_runs(bench: Bench) {
    bench.publish(Dag { max_active_runs: 2, ..hourly(Catchup::All) }).await;
    bench.settle().await;
    bench.pass(6 * 3_600);
    let running = "select count(*) from dag_run where state = 'running'";
    for _ in 0..10 {
        bench.settle().await;
        assert!(bench.raw.number(running).await <= 2);
        for order in bench.claim_all().await {
            bench.report(&order, OutcomeKind::Success).await;
        }
    }
    assert_eq!(bench.raw.texts(DATES).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(bench.raw.number("select count(*) from dag_run where state = 'success'").await, 6);
    bench.assert_sound().await;
}

async fn a_tick_is_created_once(bench: Bench) {
    bench.publish(hourly(Catchup::All)).await;
    bench.check_dags().await;
    bench.pass(3_600);
    assert_eq!(bench.check_dags().await.runs_created, 1);
    // As if the plan had been lost: the same ticks are wanted again.
    bench.raw.run("update dag set next_tick = null, check_at = 0").await.unwrap();
    assert_eq!(bench.check_dags().await.runs_created, 0);
    assert_eq!(bench.raw.texts(DATES).await, ["1"]);
}

async fn once_runs_once(bench: Bench) {
    bench.publish(Dag { schedule: Schedule::Once, ..shaped("d", &["a"]) }).await;
    bench.run_to_end(&[]).await;
    bench.pass(86_400);
    bench.publish(Dag { schedule: Schedule::Once, ..shaped("d", &["a", "b"]) }).await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.raw.number("select count(*) from dag_run where state = 'success'").await, 1);
}

async fn continuous_starts_again(bench: Bench) {
    bench.publish(Dag { schedule: Schedule::Continuous, max_active_runs: 1, ..shaped("d", &["a"]) }).await;
    for _ in 0..5 {
        bench.pass(1);
        bench.settle().await;
        for order in bench.claim_all().await {
            bench.report(&order, OutcomeKind::Success).await;
        }
        bench.settle().await;
        assert!(bench.raw.number("select count(*) from dag_run where state = 'running'").await <= 1);
    }
    assert!(bench.raw.number("select count(*) from dag_run").await >= 4);
    bench.assert_sound().await;
}

async fn a_continuous_dag_that_fails_waits_longer_each_time(bench: Bench) {
    bench.publish(Dag { schedule: Schedule::Continuous, max_active_runs: 1, ..shaped("d", &["a"]) }).await;
    let mut starts = Vec::new();
    for second in 0..32 {
        bench.settle().await;
        for order in bench.claim_all().await {
            starts.push(second);
            bench.report(&order, OutcomeKind::FailedForGood).await;
        }
        bench.settle().await;
        bench.pass(1);
    }
    assert_eq!(starts, [0, 1, 3, 7, 15, 31]);
    bench.assert_sound().await;
}

async fn data_intervals_and_ids(bench: Bench) {
    let mut dag = hourly(Catchup::All);
    if let Schedule::Times { data_intervals, .. } = &mut dag.schedule {
        *data_intervals = true;
    }
    bench.publish(dag).await;
    bench.check_dags().await;
    // The first interval begins at the start date, and its run starts when it ends.
    bench.pass(7_200);
    let order = bench.claim_one().await;
    let (start, end) = order.data_interval.unwrap();
    assert_eq!(end.since(start), Duration::from_secs(3_600));
    assert_eq!(order.logical_date, Some(start));
    assert_eq!(order.run_id, format!("scheduled__{start}"));
    assert_eq!(order.run_after, end);
    assert_eq!(order.run_started_at, Some(bench.now()));
}

async fn a_new_version_is_for_new_runs(bench: Bench) {
    let published = bench.store.publish_dags(bench.now(), &[new_version(shaped("d", &["a"]))], false).await.unwrap();
    assert_eq!((published[0].dag_id.as_str(), published[0].number), ("d", 1));
    let again = bench.store.publish_dags(bench.now(), &[new_version(shaped("d", &["a"]))], false).await.unwrap();
    assert_eq!(again, published);
    bench.trigger("d", "old").await;
    let newer = bench.store.publish_dags(bench.now(), &[new_version(shaped("d", &["b"]))], false).await.unwrap();
    assert_eq!(newer[0].number, 2);
    bench.trigger("d", "new").await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["old a success", "new b success"]);
    let back = bench.store.publish_dags(bench.now(), &[new_version(shaped("d", &["a"]))], false).await.unwrap();
    assert_eq!(back, published);
    assert_eq!(bench.store.dag_graph(back[0].version).await.unwrap().dag, shaped("d", &["a"]));
    bench.assert_sound().await;
}

async fn a_changed_schedule_is_planned_anew(bench: Bench) {
    bench.publish(hourly(Catchup::Latest)).await;
    bench.check_dags().await;
    assert_eq!(bench.store.next_check().await.unwrap(), Some(at("2026-01-01T01:00:00Z")));
    bench.publish(every(shaped("d", &["a"]), 600, at("2026-01-01T00:20:00Z"), Catchup::Latest)).await;
    bench.check_dags().await;
    assert_eq!(bench.store.next_check().await.unwrap(), Some(at("2026-01-01T00:20:00Z")));
    bench.publish(shaped("d", &["a"])).await;
    bench.check_dags().await;
    assert_eq!(bench.store.next_check().await.unwrap(), None);
}

async fn pausing_and_unpausing(bench: Bench) {
    bench.publish(hourly(Catchup::Latest)).await;
    bench.check_dags().await;
    bench.store.set_dag_paused(bench.now(), "d", true, "someone").await.unwrap();
    bench.pass(5 * 3_600);
    assert_eq!(bench.check_dags().await.dags, 0);
    assert!(bench.store.create_run(bench.now(), &new_run("d", "r", bench.now())).await.unwrap().dag_is_paused);
    bench.store.set_dag_paused(bench.now(), "d", false, "someone").await.unwrap();
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(flow_model::DagRunKey(1)).await, "success");
    assert!(bench.raw.texts(DATES).await.len() <= 1, "what passed while it was paused is not made up for");
    let missing = bench.store.set_dag_paused(bench.now(), "x", true, "someone").await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
    assert_eq!(bench.raw.texts("select action from audit_log order by id").await, ["pause", "unpause"]);
    let shy = Dag { is_paused_upon_creation: None, ..shaped("shy", &["a"]) };
    bench.store.publish_dags(bench.now(), &[new_version(shy.clone())], true).await.unwrap();
    assert!(bench.store.create_run(bench.now(), &new_run("shy", "r", bench.now())).await.unwrap().dag_is_paused);
    bench.store.set_dag_paused(bench.now(), "shy", false, "someone").await.unwrap();
    bench.store.publish_dags(bench.now(), &[new_version(shy)], true).await.unwrap();
    assert!(!bench.store.create_run(bench.now(), &new_run("shy", "r2", bench.now())).await.unwrap().dag_is_paused);
}

async fn retired_dags_start_nothing(bench: Bench) {
    bench.publish(hourly(Catchup::All)).await;
    bench.publish(shaped("other", &["a"])).await;
    bench.settle().await;
    assert_eq!(bench.store.known_files().await.unwrap(), ["d.toml", "other.toml"]);
    bench.pass(3_600);
    bench.settle().await;
    let files = ["d.toml".to_owned(), "nothing.toml".to_owned()];
    assert_eq!(bench.store.retire_dags(bench.now(), &files).await.unwrap(), 1);
    assert_eq!(bench.store.retire_dags(bench.now(), &files).await.unwrap(), 0);
    assert_eq!(bench.store.known_files().await.unwrap(), ["other.toml"]);
    bench.pass(10 * 3_600);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.raw.texts(DATES).await, ["1"], "what ran goes on, nothing is new");
    assert_eq!(bench.raw.texts("select state from dag_run").await, ["success"]);
    bench.publish(hourly(Catchup::All)).await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.raw.texts(DATES).await.len(), 11);
    bench.assert_sound().await;
}

async fn import_errors_come_and_go(bench: Bench) {
    let record = |path: &'static str| {
        let store = bench.store.clone();
        let now = bench.now();
        async move { store.record_import_error(now, path, Some("d"), "it is wrong", &serde_json::json!([])).await.unwrap() }
    };
    record("d.toml").await;
    record("d.toml").await;
    record("gone.toml").await;
    assert_eq!(bench.store.known_files().await.unwrap(), ["d.toml", "gone.toml"]);
    bench.publish(shaped("d", &["a"])).await;
    assert_eq!(bench.raw.texts("select file_path from import_error").await, ["gone.toml"]);
    bench.store.retire_dags(bench.now(), &["gone.toml".to_owned()]).await.unwrap();
    assert_eq!(bench.raw.number("select count(*) from import_error").await, 0);
    record("d.toml").await;
    assert_eq!(bench.store.known_files().await.unwrap(), ["d.toml"]);
    bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    assert_eq!(bench.states().await, ["r a success"], "the last good version works on");
}

async fn published_files_are_kept(bench: Bench) {
    let mut new = new_version(shaped("d", &["a"]));
    new.files = vec![("abc".to_owned(), vec![0, 159, 146, 150])];
    bench.store.publish_dags(bench.now(), &[new.clone()], false).await.unwrap();
    bench.store.publish_dags(bench.now(), &[new], false).await.unwrap();
    assert_eq!(bench.store.dag_file("abc").await.unwrap(), [0, 159, 146, 150]);
    assert!(matches!(bench.store.dag_file("x").await, Err(StoreError::NotFound { .. })));
}

async fn run_ids_are_unique(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.publish(shaped("e", &["a"])).await;
    bench.trigger("d", "r").await;
    bench.trigger("e", "r").await;
    let error = bench.store.create_run(bench.now(), &new_run("d", "r", bench.now())).await.unwrap_err();
    assert!(matches!(&error, StoreError::Conflict(why) if why.contains("hint:")), "{error}");
    let unnamed = NewRun { run_id: None, ..new_run("d", "", bench.now()) };
    let first = bench.store.create_run(bench.now(), &unnamed).await.unwrap();
    let second = bench.store.create_run(bench.now(), &unnamed).await.unwrap();
    assert_eq!(first.run_id, "manual__2026-01-01T00:00:00+00:00");
    assert_eq!(second.run_id, "manual__2026-01-01T00:00:00+00:00-1");
    let missing = bench.store.create_run(bench.now(), &new_run("x", "r", bench.now())).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

async fn a_run_waits_for_its_time(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    bench.settle().await;
    let later = bench.now() + Duration::from_secs(100);
    let mut run = new_run("d", "later", later);
    run.conf = serde_json::from_str(r#"{"who": "Ünïcode", "n": 1.5}"#).unwrap();
    bench.store.create_run(bench.now(), &run).await.unwrap();
    assert_eq!(bench.settle().await, 0);
    assert_eq!(bench.store.next_check().await.unwrap(), Some(later));
    bench.trigger("d", "now").await;
    assert_eq!(bench.claim_one().await.run_id, "now");
    bench.pass(100);
    let order = bench.claim_one().await;
    assert_eq!((order.run_id.as_str(), &order.conf), ("later", &run.conf));
}

async fn runs_that_take_too_long_end(bench: Bench) {
    bench.publish(Dag { dagrun_timeout: Some(Duration::from_secs(60)), ..shaped("d", &["a", "b < a"]) }).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.pass(59);
    assert_eq!(bench.store.time_out_runs(bench.now(), "s").await.unwrap(), []);
    bench.pass(1);
    assert_eq!(bench.store.time_out_runs(bench.now(), "s").await.unwrap(), [run]);
    assert_eq!(bench.store.time_out_runs(bench.now(), "s").await.unwrap(), []);
    assert_eq!(bench.states().await, ["r a skipped", "r b skipped"]);
    assert_eq!(bench.run_state(run).await, RunState::Failed.as_str());
    assert_eq!(bench.report(&order, OutcomeKind::Success).await, flow_store::Recorded::Fenced);
    bench.settle().await;
    bench.assert_sound().await;
}

async fn the_next_instant_to_look_at(bench: Bench) {
    assert_eq!(bench.store.next_check().await.unwrap(), None);
    bench.publish(Dag { dagrun_timeout: Some(Duration::from_secs(60)), ..shaped("d", &["a"]) }).await;
    assert_eq!(bench.store.next_check().await.unwrap(), Some(bench.now()));
    bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(bench.store.next_check().await.unwrap(), Some(bench.now() + Duration::from_secs(60)));
}

async fn a_dag_is_published_once_in_one_go(bench: Bench) {
    let twice = [new_version(shaped("d", &["a"])), new_version(shaped("d", &["b"]))];
    let error = bench.store.publish_dags(bench.now(), &twice, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(bench.raw.number("select count(*) from dag").await, 0);
}

async fn a_run_without_tasks_ends(bench: Bench) {
    bench.publish(shaped("d", &[])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn wrong_counts_are_put_right(bench: Bench) {
    bench.publish(shaped("d", &["a", "b < a"])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    bench.raw.run("update dag_run set unfinished = 7, failed_leaves = 1").await.unwrap();
    bench.pass(3_600);
    bench.store.heartbeat(bench.now(), bench.worker, crate::bench::LEASE).await.unwrap();
    assert_eq!(bench.store.repair_counts(bench.now()).await.unwrap(), 1);
    assert_eq!(bench.store.repair_counts(bench.now()).await.unwrap(), 0);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}
