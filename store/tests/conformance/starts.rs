//! Runs that events start: one for each event, whoever else brings it.

use std::collections::HashSet;

use flow_model::limits::WAITING_RUNS_MAX;
use flow_model::start::Start;
use flow_model::state::{RunType, TriggeredBy};
use flow_model::{Dag, Timestamp};
use flow_store::{NewRun, NewStart, Started, StoreError};
use serde_json::{Value, json};

use crate::bench::{Bench, new_run};
use crate::dags::{new_version, shaped};

cases!(
    an_event_starts_one_run,
    the_same_event_from_many_at_once_starts_one_run,
    too_many_waiting_runs_refuse_events,
    what_a_dag_names_follows_its_versions,
    what_was_there_before_does_not_count,
);

fn start(value: Value) -> Start {
    serde_json::from_value(value).unwrap()
}

fn hook() -> Start {
    start(json!({ "webhook": { "name": "orders", "secret": "orders_hook" } }))
}

fn files() -> Start {
    start(json!({ "files": { "path": "/in/*.csv" } }))
}

fn listening(dag_id: &str, starts: &[Start]) -> Dag {
    Dag { starts: starts.to_vec(), ..shaped(dag_id, &["a"]) }
}

fn event(dag_id: &str, id: &str, now: Timestamp) -> NewStart {
    let run = NewRun {
        run_id: None,
        run_type: RunType::AssetTriggered,
        triggered_by: TriggeredBy::Asset,
        principal: hook().summary(),
        conf: json!({ "order": id }).as_object().unwrap().clone(),
        ..new_run(dag_id, "", now)
    };
    NewStart { source: hook().source(), event_id: id.to_owned(), run }
}

fn run_id(started: &Started) -> String {
    match started {
        Started::Created(run) => run.run_id.clone(),
        other => panic!("{other:?}"),
    }
}

async fn an_event_starts_one_run(bench: Bench) {
    bench.publish(listening("load", &[hook()])).await;
    bench.publish(listening("bill", &[hook()])).await;
    let now = bench.now();
    let first = bench.store.start_runs(now, &[event("load", "1", now), event("bill", "1", now)]).await.unwrap();
    let (load, bill) = (run_id(&first[0]), run_id(&first[1]));
    let again = bench.store.start_runs(now, &[event("bill", "1", now), event("load", "1", now)]).await.unwrap();
    assert_eq!(again, [Started::Repeated(Some(bill)), Started::Repeated(Some(load.clone()))]);
    let other = bench.store.start_runs(now, &[event("load", "2", now)]).await.unwrap();
    assert_ne!(run_id(&other[0]), load);

    let run = bench.store.find_run("load", &load).await.unwrap();
    assert_eq!((run.run_type, run.triggered_by), (RunType::AssetTriggered, TriggeredBy::Asset));
    assert_eq!(run.principal.as_deref(), Some("webhook orders"));
    assert_eq!(run.conf, json!({ "order": "1" }));
    assert!(load.starts_with("asset_triggered__"), "{load}");
    assert_eq!(bench.check_dags().await.runs_started, 3, "the scheduler looks at once");

    // One of two DAGs is gone: nothing of either is remembered.
    bench.store.retire_dags(now, &["bill.toml".to_owned()]).await.unwrap();
    let error = bench.store.start_runs(now, &[event("load", "3", now), event("bill", "3", now)]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "dag", .. }), "{error}");
    run_id(&bench.store.start_runs(now, &[event("load", "3", now)]).await.unwrap()[0]);
}

async fn the_same_event_from_many_at_once_starts_one_run(bench: Bench) {
    bench.publish(listening("load", &[hook()])).await;
    let now = bench.now();
    let hands: Vec<_> = (0..12)
        .map(|hand| {
            let store = bench.store.clone();
            let id = (hand % 2).to_string();
            tokio::spawn(async move { store.start_runs(now, &[event("load", &id, now)]).await.unwrap().remove(0) })
        })
        .collect();
    let (mut created, mut seen) = (0, HashSet::new());
    for hand in hands {
        match hand.await.unwrap() {
            Started::Created(run) => {
                created += 1;
                seen.insert(run.run_id);
            }
            Started::Repeated(run_id) => {
                seen.insert(run_id.expect("the run is there as soon as the event is"));
            }
            Started::TooManyWait => panic!("two are not many"),
        }
    }
    assert_eq!((created, seen.len()), (2, 2));
    assert_eq!(bench.raw.number("select count(*) from dag_run").await, 2);
}

async fn too_many_waiting_runs_refuse_events(bench: Bench) {
    bench.publish(listening("load", &[hook()])).await;
    let now = bench.now();
    let at = |n: i64| Timestamp::from_micros(now.as_micros() + n);
    let events: Vec<NewStart> = (0..=WAITING_RUNS_MAX).map(|n| event("load", &n.to_string(), at(n))).collect();
    let started = bench.store.start_runs(now, &events).await.unwrap();
    let last = usize::try_from(WAITING_RUNS_MAX).unwrap();
    assert!(matches!(started[last - 1], Started::Created(_)));
    assert_eq!(started[last], Started::TooManyWait);
    let again = bench.store.start_runs(now, &events[last - 1..]).await.unwrap();
    assert!(matches!(again[..], [Started::Repeated(Some(_)), Started::TooManyWait]), "{again:?}");
    bench.pass(1);
    bench.check_dags().await;
    let again = bench.store.start_runs(now, &events[last..]).await.unwrap();
    assert!(matches!(again[..], [Started::Created(_)]), "there is room again: {again:?}");
}

async fn what_a_dag_names_follows_its_versions(bench: Bench) {
    let hooks = async || {
        let found = bench.store.webhook_listeners("orders").await.unwrap();
        found.into_iter().map(|watched| watched.dag_id).collect::<Vec<_>>()
    };
    let watched = async || bench.store.watched_starts().await.unwrap().len();
    bench.publish(listening("load", &[hook(), files()])).await;
    bench.publish(listening("bill", &[hook()])).await;
    assert_eq!((hooks().await, watched().await), (vec!["bill".to_owned(), "load".to_owned()], 1));
    assert_eq!(bench.store.webhook_listeners("order").await.unwrap(), []);

    // A paused DAG keeps its webhook, whose runs wait, and is not looked at for files.
    bench.store.set_dag_paused(bench.now(), "load", true, "someone").await.unwrap();
    assert_eq!((hooks().await.len(), watched().await), (2, 0));
    bench.store.set_dag_paused(bench.now(), "load", false, "someone").await.unwrap();

    bench.store.note_start(bench.now(), "load", &files(), Some("there is no such folder")).await.unwrap();
    let listed = bench.store.list_starts("load").await.unwrap();
    assert_eq!(listed.iter().map(|record| record.start.kind()).collect::<Vec<_>>(), ["files", "webhook"]);
    assert_eq!(listed[0].problem.as_deref(), Some("there is no such folder"));
    assert_eq!(listed[0].looked_at, Some(bench.now()));

    // The same again keeps what was found; another definition does not.
    bench.publish(listening("load", &[files(), hook()])).await;
    assert!(bench.store.list_starts("load").await.unwrap()[0].problem.is_some());
    let slower = start(json!({ "files": { "path": "/in/*.csv", "poke_interval": "1m" } }));
    bench.store.publish_dags(bench.now(), &[new_version(listening("load", &[slower]))], false).await.unwrap();
    let listed = bench.store.list_starts("load").await.unwrap();
    assert!(listed.len() == 1 && listed[0].problem.is_none(), "{listed:?}");
    assert_eq!(hooks().await, ["bill"]);
    bench.store.retire_dags(bench.now(), &["bill.toml".to_owned()]).await.unwrap();
    assert_eq!(hooks().await, Vec::<String>::new());
}

async fn what_was_there_before_does_not_count(bench: Bench) {
    bench.publish(listening("load", &[files()])).await;
    let now = bench.now();
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert!(!bench.store.watched_starts().await.unwrap()[0].has_begun);
    assert!(bench.store.begin_start(now, "load", &files(), &ids(&["old", "older"])).await.unwrap());
    // Another one that came a moment later saw a file more: it is new.
    assert!(!bench.store.begin_start(now, "load", &files(), &ids(&["old", "older", "new"])).await.unwrap());
    assert!(bench.store.watched_starts().await.unwrap()[0].has_begun);
    let mut known = bench.store.known_events("load", "files", &ids(&["old", "new", "older"])).await.unwrap();
    known.sort();
    assert_eq!(known, ["old", "older"]);
    let arrived = |id: &str| NewStart { source: files().source(), ..event("load", id, now) };
    let started = bench.store.start_runs(now, &[arrived("old"), arrived("new")]).await.unwrap();
    assert_eq!(started[0], Started::Repeated(None));
    run_id(&started[1]);
    bench.store.remember_events(now, "load", "files", &ids(&["refused", "new"])).await.unwrap();
    let known = bench.store.known_events("load", "files", &ids(&["refused"])).await.unwrap();
    assert_eq!(known, ["refused"]);
}
