//! The databases know exactly the model's moves, and keep the history by themselves.

use std::collections::BTreeSet;

use flow_model::TaskState;
use flow_model::moves::{Actor, legal_moves};

use crate::bench::Bench;
use crate::dags::shaped;

cases!(
    the_table_of_moves_is_the_models,
    every_other_move_is_refused,
    the_epoch_never_falls,
    an_event_is_counted_with_each_move_and_only_then,
    history_cannot_be_rewritten,
);

async fn the_table_of_moves_is_the_models(bench: Bench) {
    let rows = bench.raw.texts("select from_state || ' ' || to_state || ' ' || actor from legal_move").await;
    let known: BTreeSet<String> = rows.into_iter().collect();
    let model: BTreeSet<String> =
        legal_moves().into_iter().map(|(from, to, actor)| format!("{from} {to} {actor}")).collect();
    assert_eq!(known, model);
}

async fn every_other_move_is_refused(bench: Bench) {
    let legal: BTreeSet<_> = legal_moves().into_iter().collect();
    let triples: Vec<(TaskState, TaskState, Actor)> = TaskState::ALL
        .iter()
        .flat_map(|&from| TaskState::ALL.iter().map(move |&to| (from, to)))
        .flat_map(|(from, to)| Actor::ALL.iter().map(move |&actor| (from, to, actor)))
        .collect();
    let rows: Vec<String> = triples
        .iter()
        .enumerate()
        .map(|(index, (from, ..))| {
            format!("(1, 'd', 't{index}', {index}, '{from}', 0, 'p', 1, 'q', 1, 0, 'scheduler')")
        })
        .collect();
    let insert = format!(
        "insert into task_instance (dag_run_id, dag_id, task_id, task_index, state, max_tries, pool, pool_slots, queue,
            priority, changed_at, actor) values {}",
        rows.join(", ")
    );
    bench.raw.run(&insert).await.unwrap();
    for (index, (from, to, actor)) in triples.iter().enumerate() {
        let update = format!(
            "update task_instance set state = '{to}', actor = '{actor}', epoch = epoch + 1, event_no = event_no + 1
             where task_index = {index}"
        );
        let result = bench.raw.run(&update).await;
        let is_legal = legal.contains(&(*from, *to, *actor));
        assert_eq!(result.is_ok(), is_legal, "{from} -> {to} by {actor}: {result:?}");
    }
    let moved = bench.raw.number("select count(*) from task_instance_event where from_state is not null").await;
    assert_eq!(moved, legal.len() as i64);
}

async fn queued_task(bench: &Bench) {
    bench.publish(shaped("d", &["t"])).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(bench.state_of("t").await, "queued");
}

async fn the_epoch_never_falls(bench: Bench) {
    queued_task(&bench).await;
    assert!(bench.raw.run("update task_instance set epoch = epoch - 1").await.is_err());
    let sneaky = "update task_instance set epoch = 0, state = 'running', actor = 'worker', event_no = event_no + 1";
    assert!(bench.raw.run(sneaky).await.is_err());
    assert_eq!(bench.field("t", "epoch").await, 1);
}

async fn an_event_is_counted_with_each_move_and_only_then(bench: Bench) {
    queued_task(&bench).await;
    for update in [
        "update task_instance set state = 'running', actor = 'worker'",
        "update task_instance set state = 'running', actor = 'worker', event_no = event_no + 2",
        "update task_instance set event_no = event_no + 1",
        "update dag_run set state = 'success'",
        "update dag_run set state = 'success', event_no = event_no + 2",
        "update dag_run set event_no = event_no + 1",
    ] {
        assert!(bench.raw.run(update).await.is_err(), "{update}");
    }
    bench.raw.run("update task_instance set priority = 7").await.unwrap();
    bench.raw.run("update dag_run set note = 'x'").await.unwrap();
    assert_eq!(bench.field("t", "event_no").await, 3);
    assert_eq!(
        bench.raw.texts("select to_state from task_instance_event order by event_no").await,
        ["none", "scheduled", "queued"]
    );
}

async fn history_cannot_be_rewritten(bench: Bench) {
    queued_task(&bench).await;
    assert!(bench.raw.run("update task_instance_event set actor = 'user'").await.is_err());
    assert!(bench.raw.run("update dag_run_event set actor = 'user'").await.is_err());
}
