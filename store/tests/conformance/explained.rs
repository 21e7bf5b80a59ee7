//! What `explain` names is what holds: it is the scheduler's own decision, read back.

use flow_model::explain::{Explanation, explain};
use flow_model::operator::{Operator, ShortCircuit};
use flow_model::{Dag, Task, TaskState, Timestamp, TriggerRule};
use flow_store::{NewRun, OutcomeKind, WorkOrder};
use serde_json::json;

use crate::bench::{Bench, new_run, outcome, task_id};
use crate::dags::{dag, shaped, task};
use crate::mapping::{left_by, over, succeed_with};

cases!(
    each_obstacle_is_named_and_its_end_lets_the_task_go,
    an_indirect_setup_that_failed_is_named,
    what_left_a_task_out_is_named,
    what_failed_first_is_named,
    the_past_is_named_with_what_comes_after,
);

async fn asked(bench: &Bench, run_id: &str, task: &str) -> Explanation {
    let run = bench.store.find_run("d", run_id).await.unwrap();
    let mut facts = bench.store.explain_facts(bench.now(), &run, task, -1).await.unwrap();
    facts.has_scheduler = true;
    explain(&facts)
}

fn short_circuit() -> Operator {
    Operator::ShortCircuit(ShortCircuit {
        condition: Some("no".to_owned()),
        bash: None,
        stdin: None,
        ignore_downstream_trigger_rules: true,
    })
}

/// `x` behind one of each: `make` sets up and is further up, `check` may leave it out, `list` leaves what it is mapped over.
fn guarded() -> Dag {
    let mut dag = shaped("d", &["make", "check", "list", "work", "further < make check", "x < further list work"]);
    dag.tasks[0].is_setup = true;
    dag.tasks[1].operator = short_circuit();
    dag.tasks[5].expand = over(left_by("list"));
    dag
}

async fn each_obstacle_is_named_and_its_end_lets_the_task_go(bench: Bench) {
    for (held, kinds) in [
        ("make", vec!["setup", "upstream"]),
        ("check", vec!["branch", "upstream"]),
        ("list", vec!["upstream", "mapping"]),
        ("work", vec!["upstream"]),
    ] {
        bench.publish(guarded()).await;
        let run_id = format!("without-{held}");
        bench.trigger("d", &run_id).await;
        let mut kept: Option<WorkOrder> = None;
        for _ in 0..3 {
            bench.settle().await;
            for order in bench.claim_all().await {
                if task_id(&order) == held {
                    kept = Some(order);
                } else {
                    succeed_with(&bench, &order, json!([1])).await;
                }
            }
        }
        let told = asked(&bench, &run_id, "x").await;
        let found: Vec<&str> = told.reasons.iter().map(|reason| reason.kind.as_str()).collect();
        assert_eq!(found, kinds, "{told:#?}");
        assert!(told.reasons.iter().any(|reason| reason.text.contains(&format!("`{held}` (running)"))), "{told:#?}");
        // Exactly that one, and what follows from it.
        succeed_with(&bench, &kept.unwrap(), json!([1])).await;
        bench.run_to_end(&[]).await;
        let ended = format!(
            "select t.state from task_instance t join dag_run r on r.id = t.dag_run_id
             where r.run_id = '{run_id}' and t.task_id = 'x'"
        );
        assert_eq!(bench.raw.texts(&ended).await, ["success"]);
    }
}

async fn an_indirect_setup_that_failed_is_named(bench: Bench) {
    let mut dag = shaped("d", &["make", "a < make", "b < a"]);
    dag.tasks[0].is_setup = true;
    dag.tasks[1].trigger_rule = TriggerRule::AllDone;
    dag.tasks[2].trigger_rule = TriggerRule::AllDone;
    bench.publish(dag).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&["make"]).await;
    assert_eq!(asked(&bench, "r", "b").await.summary, "did not run, because of `make` (failed)");
}

async fn what_left_a_task_out_is_named(bench: Bench) {
    let mut dag = shaped("d", &["check", "a < check", "b < a"]);
    dag.tasks[0].operator = short_circuit();
    bench.publish(dag).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let mut ended = outcome(&order, OutcomeKind::Success, bench.now());
    ended.skips = vec![1, 2];
    bench.record(ended).await;
    bench.settle().await;
    for task in ["a", "b"] {
        assert_eq!(asked(&bench, "r", task).await.summary, "was skipped: `check` left it out");
    }
}

async fn what_failed_first_is_named(bench: Bench) {
    bench.publish(shaped("d", &["first", "a < first", "b < a", "c < b"])).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&["first"]).await;
    for task in ["a", "b", "c"] {
        assert_eq!(asked(&bench, "r", task).await.summary, "did not run, because of `first` (failed)");
    }
}

async fn the_past_is_named_with_what_comes_after(bench: Bench) {
    let first = Task { depends_on_past: true, wait_for_downstream: true, ..task("a", &[]) };
    bench.publish(Dag { tasks: vec![first, task("b", &["a"])], ..dag("d") }).await;
    for (run_id, hour) in [("r1", 1), ("r2", 2)] {
        let logical_date = Some(Timestamp::from_micros(hour * 3_600_000_000));
        let run = NewRun { logical_date, ..new_run("d", run_id, bench.now()) };
        bench.store.create_run(bench.now(), &run).await.unwrap();
    }
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Success).await;
    let order = bench.claim_one().await;
    let told = asked(&bench, "r2", "a").await;
    assert_eq!(told.summary, format!("waits for `b` ({}) of the previous run `r1`", TaskState::Running));
    bench.report(&order, OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(task_id(&bench.claim_one().await), "a");
}
