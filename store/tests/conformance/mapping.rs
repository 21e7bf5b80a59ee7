//! Mapped tasks and groups: what they become, who waits for them, and what clearing does to them.

use flow_model::dag::TaskGroup;
use flow_model::expand::{Mapping, Source};
use flow_model::{Dag, Task, TriggerRule};
use flow_store::read::{Page, TaskInstanceFilter};
use flow_store::{ClearRequest, NewXCom, OutcomeKind, Selection, WorkOrder};
use serde_json::{Value, json};

use crate::bench::{Bench, outcome, task_id};
use crate::dags::{dag, shaped, task};

cases!(
    a_list_in_the_file_makes_an_instance_for_each_value,
    what_comes_after_waits_for_all_instances,
    a_mapping_over_an_xcom_waits_for_it,
    an_empty_list_skips_the_task,
    what_is_no_list_fails_the_task_with_a_reason,
    a_list_that_never_came_is_upstream_failed,
    a_mapping_over_a_mapped_task_has_its_length,
    a_mapped_group_goes_on_index_by_index,
    a_mapped_group_over_nothing_is_skipped,
    a_task_of_a_group_that_does_not_run_has_its_instances_all_the_same,
    over_a_skipped_task_everything_is_skipped,
    over_a_failed_task_everything_is_upstream_failed,
    a_mapping_over_nothing_leaves_an_empty_list,
    over_nothing_each_task_of_a_group_follows_its_own_upstream,
    clearing_evaluates_the_mapping_again,
    clearing_one_index_of_a_mapped_group_leaves_the_others,
    ten_thousand_instances,
    limits_of_a_task_hold_for_its_instances,
);

pub fn over(source: Source) -> Option<Mapping> {
    Some(Mapping::Product([("x".to_owned(), source)].into()))
}

pub fn numbers(count: i64) -> Source {
    Source::List((0..count).map(Value::from).collect())
}

pub fn left_by(task_id: &str) -> Source {
    Source::XCom { task_id: task_id.to_owned(), key: "return_value".to_owned(), path: Vec::new() }
}

fn mapped(task_id: &str, depends_on: &[&str], source: Source) -> Task {
    Task { expand: over(source), ..task(task_id, depends_on) }
}

/// `list` before a `load` for each of its values before `done`.
fn listed() -> Dag {
    Dag {
        tasks: vec![task("list", &[]), mapped("load", &["list"], left_by("list")), task("done", &["load"])],
        ..dag("d")
    }
}

pub async fn succeed_with(bench: &Bench, order: &WorkOrder, value: Value) {
    let mut outcome = outcome(order, OutcomeKind::Success, bench.now());
    outcome.xcoms.push(NewXCom { key: "return_value".to_owned(), value: value.to_string() });
    bench.record(outcome).await;
}

/// Runs `list`, which leaves the value.
async fn listing(bench: &Bench, value: Value) {
    bench.publish(listed()).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    succeed_with(bench, &order, value).await;
    bench.settle().await;
}

async fn instances(bench: &Bench) -> Vec<String> {
    bench
        .raw
        .texts("select task_id || '[' || map_index || '] ' || state from task_instance order by task_index, map_index")
        .await
}

async fn a_list_in_the_file_makes_an_instance_for_each_value(bench: Bench) {
    bench.publish(Dag { tasks: vec![mapped("load", &[], numbers(3))], ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(instances(&bench).await, ["load[0] queued", "load[1] queued", "load[2] queued"]);
    let values: Vec<Value> = bench.claim_all().await.iter().map(|order| order.map_values["x"].clone()).collect();
    assert_eq!(values, [json!(0), json!(1), json!(2)]);
    bench.pass(40);
    bench.assert_sound().await;
    assert_eq!(bench.run_state(run).await, "running");
}

async fn what_comes_after_waits_for_all_instances(bench: Bench) {
    bench.publish(Dag { tasks: vec![mapped("load", &[], numbers(3)), task("done", &["load"])], ..dag("d") }).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    for (position, order) in orders.iter().enumerate() {
        assert_eq!(bench.state_of("done").await, "none");
        let kind = if position == 1 { OutcomeKind::FailedForGood } else { OutcomeKind::Success };
        bench.report(order, kind).await;
        if position == 0 {
            bench.settle().await;
        }
    }
    bench.settle().await;
    assert_eq!(
        instances(&bench).await,
        ["load[0] success", "load[1] failed", "load[2] success", "done[-1] upstream_failed"]
    );
    assert_eq!(bench.run_state(run).await, "failed");
    bench.assert_sound().await;
}

async fn a_mapping_over_an_xcom_waits_for_it(bench: Bench) {
    listing(&bench, json!(["a", null, "b"])).await;
    assert_eq!(instances(&bench).await, ["list[-1] success", "load[0] queued", "load[1] queued", "done[-1] none"]);
    bench.run_to_end(&[]).await;
    assert_eq!(bench.state_of("done").await, "success");
    bench.assert_sound().await;
}

async fn an_empty_list_skips_the_task(bench: Bench) {
    listing(&bench, json!([])).await;
    assert_eq!(instances(&bench).await, ["list[-1] success", "load[-1] skipped", "done[-1] skipped"]);
    assert_eq!(bench.raw.texts("select reason from task_instance where task_id = 'load'").await, ["empty_map"]);
    bench.assert_sound().await;
}

async fn what_is_no_list_fails_the_task_with_a_reason(bench: Bench) {
    listing(&bench, json!(7)).await;
    assert_eq!(instances(&bench).await, ["list[-1] success", "load[-1] failed", "done[-1] upstream_failed"]);
    let reason = bench.raw.texts("select reason from task_instance where task_id = 'load'").await.remove(0);
    assert_eq!(reason, "cannot map over a number: what `list` left must be a list or a table");
    bench.assert_sound().await;
}

async fn a_list_that_never_came_is_upstream_failed(bench: Bench) {
    bench.publish(listed()).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(instances(&bench).await, ["list[-1] success", "load[-1] upstream_failed", "done[-1] upstream_failed"]);
    bench.assert_sound().await;
}

async fn a_mapping_over_a_mapped_task_has_its_length(bench: Bench) {
    let tasks = vec![mapped("a", &[], numbers(2)), mapped("b", &["a"], left_by("a"))];
    bench.publish(Dag { tasks, ..dag("d") }).await;
    bench.trigger("d", "r").await;
    bench.settle().await;
    // The order in which they end is not the order of what they left.
    for order in bench.claim_all().await.iter().rev() {
        succeed_with(&bench, order, json!(format!("of {}", order.map_index))).await;
    }
    bench.settle().await;
    let values: Vec<Value> = bench.claim_all().await.iter().map(|order| order.map_values["x"].clone()).collect();
    assert_eq!(values, [json!("of 0"), json!("of 1")]);
}

fn mapped_group(source: Source) -> Dag {
    let mut dag = shaped("d", &["list", "g.a < list", "g.b < g.a", "done < g.b"]);
    let group_id = "g".to_owned();
    dag.groups = vec![TaskGroup { group_id: group_id.clone(), expand: over(source), ..TaskGroup::default() }];
    for task in dag.tasks.iter_mut().filter(|task| task.task_id.starts_with("g.")) {
        task.group = Some(group_id.clone());
    }
    dag
}

async fn a_mapped_group_goes_on_index_by_index(bench: Bench) {
    bench.publish(mapped_group(left_by("list"))).await;
    bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    succeed_with(&bench, &order, json!(["x", "y"])).await;
    bench.settle().await;
    let orders = bench.claim_all().await;
    bench.report(&orders[1], OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(
        instances(&bench).await,
        ["list[-1] success", "g.a[0] running", "g.a[1] success", "g.b[0] none", "g.b[1] queued", "done[-1] none"]
    );
    bench.report(&orders[0], OutcomeKind::FailedForGood).await;
    bench.settle().await;
    let order = bench.claim_one().await;
    assert_eq!((task_id(&order), &order.map_values["x"]), ("g.b", &json!("y")));
    bench.report(&order, OutcomeKind::Success).await;
    bench.settle().await;
    assert_eq!(instances(&bench).await[3..], ["g.b[0] upstream_failed", "g.b[1] success", "done[-1] upstream_failed"]);
    bench.assert_sound().await;
}

async fn a_mapped_group_over_nothing_is_skipped(bench: Bench) {
    bench.publish(mapped_group(numbers(0))).await;
    bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    assert_eq!(instances(&bench).await[1..], ["g.a[-1] skipped", "g.b[-1] skipped", "done[-1] skipped"]);
    bench.assert_sound().await;
}

/// A DAG of the tasks, of which those whose ids begin with `g.` are a group that is mapped over a value.
fn grouped(tasks: &[&str], source: Source) -> Dag {
    let mut dag = shaped("d", tasks);
    dag.groups = vec![TaskGroup { group_id: "g".to_owned(), expand: over(source), ..TaskGroup::default() }];
    for task in dag.tasks.iter_mut().filter(|task| task.task_id.starts_with("g.")) {
        task.group = Some("g".to_owned());
    }
    dag
}

/// `g.a` is skipped in the tick that expands the group: as many times as the group has instances.
async fn a_task_of_a_group_that_does_not_run_has_its_instances_all_the_same(bench: Bench) {
    let tasks = ["list", "other", "g.a < other list", "g.b < list g.a", "g.c < list", "done < g.b g.c"];
    let mut dag = grouped(&tasks, left_by("list"));
    dag.tasks[2].trigger_rule = TriggerRule::AllFailed;
    dag.tasks[3].trigger_rule = TriggerRule::AllDone;
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    for order in bench.claim_all().await {
        succeed_with(&bench, &order, json!(["x", "y"])).await;
    }
    bench.run_to_end(&[]).await;
    let ended =
        ["g.a[0] skipped", "g.a[1] skipped", "g.b[0] success", "g.b[1] success", "g.c[0] success", "g.c[1] success"];
    assert_eq!(instances(&bench).await[2..8], ended);
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

/// What has become of `load`, mapped over `list` with every rule, and why.
async fn over_a_producer_that(bench: &Bench, kind: OutcomeKind) -> Vec<String> {
    let mut dag = shaped("d", &["list"]);
    dag.tasks.extend(TriggerRule::ALL.iter().map(|&rule| {
        let id = format!("load_{rule}");
        Task { trigger_rule: rule, ..mapped(&id, &["list"], left_by("list")) }
    }));
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    bench.report(&order, kind).await;
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
    let mut told = bench
        .raw
        .texts(
            "select task_id || ' ' || state || ' ' || reason from task_instance where task_index > 0 order by task_index",
        )
        .await;
    told.push(bench.run_state(run).await);
    told
}

async fn over_a_skipped_task_everything_is_skipped(bench: Bench) {
    let told = over_a_producer_that(&bench, OutcomeKind::Skipped).await;
    assert_eq!(told.last().map(String::as_str), Some("success"), "nothing has failed: {told:?}");
    for (line, rule) in told.iter().zip(TriggerRule::ALL) {
        let is_held = matches!(
            rule,
            TriggerRule::AllDone
                | TriggerRule::AllDoneSetupSuccess
                | TriggerRule::AllSkipped
                | TriggerRule::NoneFailed
                | TriggerRule::Always
        );
        let reason = if is_held { "producer_skipped" } else { "trigger_rule" };
        assert_eq!(*line, format!("load_{rule} skipped {reason}"));
    }
}

async fn over_a_failed_task_everything_is_upstream_failed(bench: Bench) {
    let told = over_a_producer_that(&bench, OutcomeKind::FailedForGood).await;
    assert_eq!(told.last().map(String::as_str), Some("failed"), "{told:?}");
    for (line, rule) in told.iter().zip(TriggerRule::ALL) {
        assert_eq!(*line, format!("load_{rule} upstream_failed upstream_failed"));
    }
}

async fn a_mapping_over_nothing_leaves_an_empty_list(bench: Bench) {
    // `a` and the group have nothing to do; `b` is mapped over what they leave and one more value.
    let more = Source::List(vec![json!(7)]);
    let mut dag = grouped(&["a", "g.x", "g.y < g.x", "b < a g.y"], numbers(0));
    dag.tasks[0].expand = over(numbers(0));
    dag.tasks[3].expand = over(Source::Concat(vec![left_by("a"), left_by("g.x"), left_by("g.y"), more]));
    dag.tasks[3].trigger_rule = TriggerRule::NoneFailed;
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    let ended = ["a[-1] skipped", "g.x[-1] skipped", "g.y[-1] skipped", "b[0] success"];
    assert_eq!(instances(&bench).await, ended);
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

/// A group over nothing, with a task before it that is not of the group.
async fn over_nothing_each_task_of_a_group_follows_its_own_upstream(bench: Bench) {
    let mut dag =
        grouped(&["before", "g.start", "g.always < before", "g.work < g.start before", "g.last < g.work"], numbers(0));
    dag.tasks[2].trigger_rule = TriggerRule::Always;
    dag.tasks[4].trigger_rule = TriggerRule::NoneFailed;
    bench.publish(dag).await;
    let run = bench.trigger("d", "r").await;
    let order = bench.claim_one().await;
    let waiting = ["before[-1] running", "g.start[-1] skipped", "g.always[-1] skipped", "g.work[-1] none"];
    assert_eq!(instances(&bench).await[..4], waiting, "only what waits for nothing else is over");
    bench.report(&order, OutcomeKind::FailedForGood).await;
    bench.run_to_end(&[]).await;
    assert_eq!(instances(&bench).await[3..], ["g.work[-1] upstream_failed", "g.last[-1] upstream_failed"]);
    assert_eq!(bench.run_state(run).await, "failed", "the failure is not lost");
    let run = bench.trigger("d", "r2").await;
    bench.run_to_end(&[]).await;
    let ended = "select task_id || ' ' || state || ' ' || reason from task_instance
        where dag_run_id = (select max(id) from dag_run) and task_index > 0 order by task_index";
    assert_eq!(
        bench.raw.texts(ended).await,
        [
            "g.start skipped empty_map",
            "g.always skipped empty_map",
            "g.work skipped empty_map",
            "g.last skipped empty_map"
        ]
    );
    assert_eq!(bench.run_state(run).await, "success");
    bench.assert_sound().await;
}

async fn clearing_evaluates_the_mapping_again(bench: Bench) {
    listing(&bench, json!([1, 2])).await;
    bench.run_to_end(&[]).await;
    for (list, after) in [
        (json!([7, 8, 9]), vec!["load[0] success", "load[1] success", "load[2] success"]),
        (json!([7]), vec!["load[0] success", "load[1] removed", "load[2] removed"]),
        (json!([7, 4]), vec!["load[0] success", "load[1] success", "load[2] removed"]),
    ] {
        let run = flow_model::DagRunKey(bench.raw.number("select id from dag_run").await);
        let tasks = Selection::default();
        let clear = ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() };
        bench.store.clear_tasks(bench.now(), &clear, false).await.unwrap();
        let order = bench.claim_one().await;
        succeed_with(&bench, &order, list.clone()).await;
        bench.settle().await;
        let mut claimed = bench.claim_all().await;
        claimed.sort_by_key(|order| order.map_index);
        let values: Vec<Value> = claimed.iter().map(|order| order.map_values["x"].clone()).collect();
        assert_eq!(Value::Array(values), list);
        for order in &claimed {
            bench.report(order, OutcomeKind::Success).await;
        }
        bench.run_to_end(&[]).await;
        assert_eq!(instances(&bench).await[1..4], after);
        assert_eq!(bench.state_of("done").await, "success");
        assert_eq!(bench.run_state(run).await, "success");
        bench.assert_sound().await;
    }
}

async fn clearing_one_index_of_a_mapped_group_leaves_the_others(bench: Bench) {
    bench.publish(mapped_group(numbers(3))).await;
    let run = bench.trigger("d", "r").await;
    bench.run_to_end(&[]).await;
    let affected = async |tasks: Selection| -> Vec<String> {
        let clear = ClearRequest { run, tasks, only_failed: false, principal: "someone".to_owned() };
        let affected = bench.store.clear_tasks(bench.now(), &clear, true).await.unwrap();
        affected.tasks.iter().map(|task| format!("{}[{}]", task.task_id, task.map_index)).collect()
    };
    let one = Selection { downstream: true, ..Selection::of("g.a".to_owned(), Some(1)) };
    assert_eq!(affected(one).await, ["g.a[1]", "g.b[1]", "done[-1]"]);
    let before = Selection { upstream: true, ..Selection::of("g.b".to_owned(), Some(2)) };
    assert_eq!(affected(before).await, ["list[-1]", "g.a[2]", "g.b[2]"]);
    assert_eq!(affected(Selection::of("g".to_owned(), Some(0))).await, ["g.a[0]", "g.b[0]"]);
    assert_eq!(affected(Selection::of("g".to_owned(), None)).await.len(), 6);
}

async fn ten_thousand_instances(bench: Bench) {
    let load = Task { pool: "endless".to_owned(), ..mapped("load", &[], numbers(10_000)) };
    let dag =
        Dag { tasks: vec![load, task("done", &["load"])], max_map_length: 10_000, max_active_tasks: 4, ..dag("d") };
    bench.publish(dag).await;
    bench.raw.run("insert into pool (name, slots) values ('endless', -1)").await.unwrap();
    bench.trigger("d", "r").await;
    bench.settle().await;
    assert_eq!(bench.raw.number("select count(*) from task_instance where task_id = 'load'").await, 10_000);
    assert_eq!(bench.raw.number("select count(*) from task_instance where state = 'queued'").await, 4);
    assert_eq!(bench.field("done", "upstream_total").await, 10_000);
    assert_eq!(bench.raw.number("select unfinished from dag_run").await, 10_001);
    let run = flow_model::DagRunKey(bench.raw.number("select id from dag_run").await);
    let all = TaskInstanceFilter::default();
    let (last, total) = bench.store.list_task_instances(run, &all, Page::in_run(5, 10_000, 100)).await.unwrap();
    assert_eq!((last.len(), last[0].task_id.as_str(), total), (1, "done", 10_001));
    let tallies = bench.store.task_tallies(run, &[0]).await.unwrap();
    let counted: Vec<(&str, i64)> = tallies.iter().map(|tally| (tally.state.as_str(), tally.instances)).collect();
    assert_eq!(counted, [("queued", 4), ("scheduled", 9_996)]);
}

async fn limits_of_a_task_hold_for_its_instances(bench: Bench) {
    let limited = Task {
        max_active_tis_per_dagrun: Some(2),
        max_active_tis_per_dag: Some(3),
        priority_weight: 10,
        ..mapped("load", &[], numbers(40))
    };
    bench.publish(Dag { tasks: vec![limited, task("other", &[])], max_active_tasks: 16, ..dag("d") }).await;
    bench.trigger("d", "r1").await;
    bench.trigger("d", "r2").await;
    bench.settle().await;
    let queued = |run: &str| {
        format!(
            "select count(*) from task_instance t join dag_run r on r.id = t.dag_run_id
             where r.run_id = '{run}' and t.state = 'queued' and t.task_id = 'load'"
        )
    };
    assert_eq!(bench.raw.number(&queued("r1")).await, 2);
    assert_eq!(bench.raw.number(&queued("r2")).await, 1);
    // They do not stand in the way of a task that comes after them.
    let others = "select count(*) from task_instance where task_id = 'other' and state = 'queued'";
    assert_eq!(bench.raw.number(others).await, 2);
    bench.run_to_end(&[]).await;
    bench.assert_sound().await;
}
