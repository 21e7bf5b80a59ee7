//! Values that tasks leave for others: pulled by tasks, changed by people.

use flow_model::DagRunKey;
use flow_model::limits::XCOM_BYTES_MAX;
use flow_store::read::{Page, XComFilter};
use flow_store::{
    ClearRequest, NewRun, NewXCom, OutcomeKind, Selection, StoreError, XComChange, XComInstances, XComPlace, XComPull,
    XComRun,
};
use serde_json::{Value, json};

use crate::bench::{Bench, at, new_run, outcome};
use crate::dags::shaped;

cases!(
    a_pull_takes_one_value_or_a_list_in_map_order,
    a_pull_looks_into_earlier_runs_if_asked,
    a_pull_takes_the_value_of_a_named_run,
    the_last_success_is_the_newest_earlier_run_that_succeeded,
    values_are_listed_by_task_instance_and_key,
    people_change_what_a_task_has_left,
    what_has_not_succeeded_keeps_its_values_to_itself,
    unusable_keys_and_values_are_refused,
);

/// A run whose only task has left `rows = <value>`.
async fn left(bench: &Bench, run_id: &str, logical_date: &str, value: Option<i64>) -> DagRunKey {
    let new = NewRun { logical_date: Some(at(logical_date)), ..new_run("d", run_id, bench.now()) };
    let run = bench.store.create_run(bench.now(), &new).await.unwrap().key;
    let order = bench.claim_one().await;
    let mut report = outcome(&order, OutcomeKind::Success, bench.now());
    report.xcoms = value.map(|n| NewXCom { key: "rows".to_owned(), value: n.to_string() }).into_iter().collect();
    bench.record(report).await;
    bench.settle().await;
    run
}

fn pull(instances: XComInstances, run: XComRun) -> XComPull {
    XComPull { task_id: "a".to_owned(), key: "rows".to_owned(), instances, run }
}

async fn pulled(bench: &Bench, run: DagRunKey, instances: XComInstances, from: XComRun) -> Option<Value> {
    bench.store.pull_xcom(run, &pull(instances, from)).await.unwrap()
}

async fn a_pull_takes_one_value_or_a_list_in_map_order(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = left(&bench, "r", "2026-01-01T00:00:00Z", Some(7)).await;
    let this = || XComRun::This;
    assert_eq!(pulled(&bench, run, XComInstances::All, this()).await, Some(json!(7)));
    assert_eq!(pulled(&bench, run, XComInstances::One(0), this()).await, None);
    assert_eq!(pulled(&bench, run, XComInstances::One(-1), this()).await, Some(json!(7)));
    // As the instances of a mapped task leave them.
    for index in [10, 2, 0] {
        bench
            .raw
            .run(&format!(
                "insert into xcom (dag_run_id, task_id, map_index, key, value, task_instance_id, epoch, created_at)
                 values ({run}, 'm', {index}, 'rows', '{index}', 1, 1, 1)"
            ))
            .await
            .unwrap();
    }
    let mapped = |instances| XComPull { task_id: "m".to_owned(), ..pull(instances, XComRun::This) };
    for (instances, expected) in [
        (XComInstances::All, json!([0, 2, 10])),
        (XComInstances::One(2), json!(2)),
        (XComInstances::Several(vec![10, 5, 0]), json!([10, 0])),
    ] {
        assert_eq!(bench.store.pull_xcom(run, &mapped(instances)).await.unwrap(), Some(expected));
    }
    assert_eq!(bench.store.pull_xcom(run, &mapped(XComInstances::One(1))).await.unwrap(), None);
}

async fn the_last_success_is_the_newest_earlier_run_that_succeeded(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let one = left(&bench, "one", "2026-01-01T00:00:00Z", None).await;
    let two = left(&bench, "two", "2026-01-02T00:00:00Z", None).await;
    let four = left(&bench, "four", "2026-01-04T00:00:00Z", None).await;
    let interval = |day: &str| format!("data_interval_start = {0}, data_interval_end = {0} + 1", at(day).as_micros());
    for (run, day) in [(one, "2026-01-01T00:00:00Z"), (two, "2026-01-02T00:00:00Z")] {
        bench.raw.run(&format!("update dag_run set {} where id = {run}", interval(day))).await.unwrap();
    }
    let start = |found: Option<flow_store::PreviousSuccess>| {
        found.and_then(|found| found.data_interval).map(|(start, _)| start)
    };
    assert_eq!(bench.store.previous_success(one).await.unwrap(), None);
    let before = bench.store.previous_success(two).await.unwrap();
    assert_eq!(start(before), Some(at("2026-01-01T00:00:00Z")));
    assert!(before.is_some_and(|before| before.started_at.is_some() && before.ended_at.is_some()));
    assert_eq!(start(bench.store.previous_success(four).await.unwrap()), Some(at("2026-01-02T00:00:00Z")));
}

async fn a_pull_looks_into_earlier_runs_if_asked(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    left(&bench, "two", "2026-01-02T00:00:00Z", Some(2)).await;
    left(&bench, "one", "2026-01-01T00:00:00Z", Some(1)).await;
    let three = left(&bench, "three", "2026-01-03T00:00:00Z", None).await;
    left(&bench, "four", "2026-01-04T00:00:00Z", Some(4)).await;
    let earlier = || XComRun::ThisOrEarlier;
    assert_eq!(pulled(&bench, three, XComInstances::All, XComRun::This).await, None);
    assert_eq!(pulled(&bench, three, XComInstances::All, earlier()).await, Some(json!(2)));
    assert_eq!(pulled(&bench, three, XComInstances::One(-1), earlier()).await, Some(json!(2)));
    assert_eq!(pulled(&bench, three, XComInstances::One(0), earlier()).await, None);
    let five = left(&bench, "five", "2026-01-05T00:00:00Z", Some(5)).await;
    assert_eq!(pulled(&bench, five, XComInstances::All, earlier()).await, Some(json!(5)));
    // A run without a logical date has no earlier ones.
    let timeless = bench.store.create_run(bench.now(), &new_run("d", "timeless", bench.now())).await.unwrap().key;
    assert_eq!(pulled(&bench, timeless, XComInstances::All, earlier()).await, None);
}

async fn a_pull_takes_the_value_of_a_named_run(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let one = left(&bench, "one", "2026-01-01T00:00:00Z", Some(1)).await;
    left(&bench, "two", "2026-01-02T00:00:00Z", Some(2)).await;
    let named = |id: &str| XComRun::Named(id.to_owned());
    assert_eq!(pulled(&bench, one, XComInstances::All, named("two")).await, Some(json!(2)));
    assert_eq!(pulled(&bench, one, XComInstances::All, named("three")).await, None);
}

async fn values_are_listed_by_task_instance_and_key(bench: Bench) {
    bench.publish(shaped("d", &["a", "b"])).await;
    let run = bench.trigger("d", "r").await;
    bench.settle().await;
    for order in bench.claim_all().await {
        let mut report = outcome(&order, OutcomeKind::Success, bench.now());
        report.xcoms = ["y", "x"].map(|key| NewXCom { key: key.to_owned(), value: "1".to_owned() }).into();
        bench.record(report).await;
    }
    let listed = async |filter: XComFilter<'_>, page: Page| -> (Vec<String>, i64) {
        let (xcoms, total) = bench.store.list_xcoms(run, &filter, page).await.unwrap();
        (xcoms.iter().map(|xcom| format!("{} {}", xcom.task_id, xcom.key)).collect(), total)
    };
    let all = Page::new(100, 0, 100);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(listed(XComFilter::default(), all).await, (words(&["a x", "a y", "b x", "b y"]), 4));
    assert_eq!(listed(XComFilter::default(), Page::new(2, 1, 100)).await, (words(&["a y", "b x"]), 4));
    let of_b = XComFilter { task_id: Some("b"), ..XComFilter::default() };
    assert_eq!(listed(of_b, all).await, (words(&["b x", "b y"]), 2));
    assert_eq!(listed(XComFilter { key: Some("y"), ..of_b }, all).await, (words(&["b y"]), 1));
    assert_eq!(listed(XComFilter { map_index: Some(3), ..of_b }, all).await, (Vec::new(), 0));
}

async fn people_change_what_a_task_has_left(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = left(&bench, "r", "2026-01-01T00:00:00Z", Some(1)).await;
    let place = |key| XComPlace { run, task_id: "a", map_index: -1, key };
    let change =
        async |key, change: XComChange<'_>| bench.store.change_xcom(bench.now(), place(key), change, "ada").await;
    let read = async |key| bench.store.xcom(run, "a", -1, key).await.unwrap();
    let (deep, text) = (json!({ "n": [1, null, "\0"] }), json!("text"));

    assert!(matches!(change("rows", XComChange::Create(&deep)).await, Err(StoreError::Conflict(_))));
    change("rows", XComChange::Replace(&text)).await.unwrap();
    assert_eq!(read("rows").await, Some(json!("text")));
    assert!(matches!(change("new", XComChange::Replace(&deep)).await, Err(StoreError::NotFound { what: "XCom", .. })));
    change("new", XComChange::Create(&deep)).await.unwrap();
    assert_eq!(read("new").await, Some(json!({ "n": [1, null, "\u{2400}"] })));
    change("new", XComChange::Delete).await.unwrap();
    assert_eq!(read("new").await, None);
    assert!(matches!(change("new", XComChange::Delete).await, Err(StoreError::NotFound { what: "XCom", .. })));
    let actions = bench.raw.texts("select principal || ' ' || action from audit_log order by id").await;
    assert_eq!(actions, ["ada set_xcom", "ada set_xcom", "ada delete_xcom"]);
    bench.assert_sound().await;
    // What people have written belongs to the same epoch as the rest, and goes with it.
    let request = ClearRequest { run, tasks: Selection::default(), only_failed: false, principal: "ada".to_owned() };
    bench.store.clear_tasks(bench.now(), &request, false).await.unwrap();
    assert_eq!(read("rows").await, None);
}

async fn what_has_not_succeeded_keeps_its_values_to_itself(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = bench.trigger("d", "r").await;
    let value = json!(1);
    let place = |task_id| XComPlace { run, task_id, map_index: -1, key: "k" };
    let create =
        async |task_id| bench.store.change_xcom(bench.now(), place(task_id), XComChange::Create(&value), "ada").await;
    assert!(matches!(create("a").await, Err(StoreError::NotFound { what: "task instance", .. })));
    let order = bench.claim_one().await;
    let refused = create("a").await.unwrap_err().to_string();
    assert!(refused.contains("task `a` is running"), "{refused}");
    bench.report(&order, OutcomeKind::Success).await;
    create("a").await.unwrap();
    assert!(matches!(create("b").await, Err(StoreError::NotFound { what: "task instance", .. })));
    bench.settle().await;
    bench.assert_sound().await;
}

async fn unusable_keys_and_values_are_refused(bench: Bench) {
    bench.publish(shaped("d", &["a"])).await;
    let run = left(&bench, "r", "2026-01-01T00:00:00Z", None).await;
    let create = async |key: &str, value: Value| {
        let place = XComPlace { run, task_id: "a", map_index: -1, key };
        bench.store.change_xcom(bench.now(), place, XComChange::Create(&value), "ada").await
    };
    for key in ["", "a=b", "a\nb", &"k".repeat(513)] {
        let refused = create(key, json!(1)).await.unwrap_err().to_string();
        assert!(refused.contains("cannot be the key of an XCom"), "{refused}");
    }
    let refused = create("big", "x".repeat(XCOM_BYTES_MAX).into()).await.unwrap_err().to_string();
    assert!(refused.contains("more than 1 MiB") && refused.contains("hint:"), "{refused}");
    create("fits", "x".repeat(XCOM_BYTES_MAX - 2).into()).await.unwrap();
}
