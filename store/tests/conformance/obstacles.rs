//! Each thing that can hold a task is named, alone, where it is all that holds it; and once it is gone, the task goes.

use std::time::Duration;

use flow_model::explain::{ReasonKind, explain};
use flow_model::moves::TaskEvent;
use flow_model::operator::{Operator, ShortCircuit};
use flow_model::question::Answer;
use flow_model::{Dag, Deferral, Incarnation, ProcessId, Task, TaskState, Timestamp, Trigger, TriggerRule};
use flow_store::{
    CheckNote, Fired, Firing, HeldTrigger, NewProcess, NewRun, OutcomeKind, ProcessKind, StoreKind, TriggerRoom,
    WorkOrder,
};
use serde_json::json;

use crate::bench::{Bench, LEASE, new_run, new_worker, task_id};
use crate::dags::{dag, shaped, task};
use crate::mapping::{left_by, numbers, over, succeed_with};

#[tokio::test]
async fn sqlite_names_what_holds() {
    each_is_proved(StoreKind::Sqlite).await;
}

#[tokio::test]
async fn postgres_names_what_holds() {
    each_is_proved(StoreKind::Postgres).await;
}

async fn each_is_proved(kind: StoreKind) {
    for &reason in ReasonKind::ALL {
        let bench = Bench::new(kind).await;
        if reason != ReasonKind::NoScheduler {
            process(&bench, ProcessKind::Scheduler).await;
        }
        prove(&bench, reason).await;
    }
}

/// Shows that the reason is true: a new one needs its proof here.
async fn prove(bench: &Bench, reason: ReasonKind) {
    use ReasonKind as R;
    match reason {
        R::Paused => paused(bench).await,
        R::RunAfter => run_after(bench).await,
        R::MaxActiveRuns => max_active_runs(bench).await,
        R::Branch => branch(bench).await,
        R::Setup => setup(bench).await,
        R::Mapping => mapping(bench).await,
        R::Upstream => upstream(bench).await,
        R::DependsOnPast => past(bench).await,
        R::NotBefore => not_before(bench).await,
        R::Pool => pool(bench).await,
        R::MaxActiveTis => own_limits(bench).await,
        R::MaxActiveTasks => max_active_tasks(bench).await,
        R::NoWorker => no_worker(bench).await,
        R::WorkersBusy => workers_busy(bench).await,
        R::Claim => claim(bench).await,
        R::Retry => retry(bench).await,
        R::Reschedule => reschedule(bench).await,
        // One after the other: each is what is left when the one before it is gone.
        R::NoTriggerer | R::TriggerersFull | R::Deferred | R::LastCheck | R::Deadline => waiting(bench).await,
        R::Input => input(bench).await,
        R::NoScheduler | R::NextTick => scheduler(bench, reason).await,
        R::Restarting => assert!(TaskEvent::ALL.iter().all(|event| event.target() != TaskState::Restarting)),
        // These hold nothing: the task runs, is over, or has its answers elsewhere.
        R::RunEnded | R::Mapped | R::Running | R::Success | R::Failed | R::UpstreamFailed | R::Skipped | R::Removed => {
        }
    }
}

async fn process(bench: &Bench, kind: ProcessKind) -> ProcessId {
    let new = NewProcess::this(kind, "one", "host", Incarnation(bench.new_claim().0), LEASE);
    bench.store.register_process(bench.now(), &new).await.unwrap().0
}

/// Asks about an instance of a task: it is told these things, in this order, and nothing else.
async fn told(bench: &Bench, run_id: &str, task: &str, map_index: i64, expected: &[ReasonKind]) -> String {
    let run = bench.store.find_run("d", run_id).await.unwrap();
    let facts = bench.store.explain_facts(bench.now(), &run, task, map_index).await.unwrap();
    let explanation = explain(&facts);
    let kinds: Vec<ReasonKind> = explanation.reasons.iter().map(|reason| reason.kind).collect();
    assert_eq!(kinds, expected, "{explanation:#?}");
    explanation.reasons.into_iter().map(|reason| reason.text).collect::<Vec<_>>().join("\n")
}

/// `x` of run `r` is held by this alone, and not because nobody has looked yet.
async fn held(bench: &Bench, reason: ReasonKind) -> String {
    bench.settle().await;
    told(bench, "r", "x", -1, &[reason]).await
}

/// Nothing holds the task any more: a worker gets it.
async fn goes(bench: &Bench, run_id: &str, task: &str) {
    bench.settle().await;
    let claimed = bench.claim_all().await;
    let run = bench.store.find_run("d", run_id).await.unwrap().id;
    let is_it = |order: &&WorkOrder| task_id(order) == task && order.run == run;
    assert!(claimed.iter().any(|order| is_it(&order)), "{:?}", bench.states().await);
}

async fn x_goes(bench: &Bench) {
    goes(bench, "r", "x").await;
}

async fn start(bench: &Bench, dag: Dag) {
    bench.publish(dag).await;
    bench.trigger("d", "r").await;
}

/// Claims what is queued, and lets all of it succeed but for the tasks named, whose orders are kept.
async fn succeed_but(bench: &Bench, kept: &[&str]) -> Vec<WorkOrder> {
    let mut left = Vec::new();
    for _ in 0..3 {
        bench.settle().await;
        for order in bench.claim_all().await {
            if kept.contains(&task_id(&order)) {
                left.push(order);
            } else {
                succeed_with(bench, &order, json!([1])).await;
            }
        }
    }
    left
}

async fn paused(bench: &Bench) {
    let pause = async |is_paused| {
        bench.store.set_dag_paused(bench.now(), "d", is_paused, "someone").await.unwrap();
    };
    // A run that has not started, and a task of one that has.
    bench.publish(shaped("d", &["a", "x < a"])).await;
    pause(true).await;
    bench.trigger("d", "r").await;
    held(bench, ReasonKind::Paused).await;
    pause(false).await;
    let order = bench.claim_one().await;
    pause(true).await;
    bench.report(&order, OutcomeKind::Success).await;
    held(bench, ReasonKind::Paused).await;
    pause(false).await;
    x_goes(bench).await;
}

async fn run_after(bench: &Bench) {
    bench.publish(shaped("d", &["x"])).await;
    let run_after = bench.now() + Duration::from_secs(20);
    let run = NewRun { run_after, ..new_run("d", "r", bench.now()) };
    bench.store.create_run(bench.now(), &run).await.unwrap();
    let text = held(bench, ReasonKind::RunAfter).await;
    assert!(text.contains(&run_after.to_string()), "{text}");
    bench.pass(20);
    x_goes(bench).await;
}

async fn max_active_runs(bench: &Bench) {
    bench.publish(Dag { max_active_runs: 1, ..shaped("d", &["x"]) }).await;
    bench.trigger("d", "earlier").await;
    let order = bench.claim_one().await;
    bench.trigger("d", "r").await;
    let text = held(bench, ReasonKind::MaxActiveRuns).await;
    assert!(text.contains("1 of at most 1 runs"), "{text}");
    bench.report(&order, OutcomeKind::Success).await;
    x_goes(bench).await;
}

/// What holds is a task that runs: it is named, and its end lets `x` go.
async fn until_it_ends(bench: &Bench, dag: Dag, holding: &str, reason: ReasonKind) {
    start(bench, dag).await;
    let kept = succeed_but(bench, &[holding, "x"]).await;
    assert_eq!(kept.len(), 1, "{:?}", bench.states().await);
    let text = held(bench, reason).await;
    assert!(text.contains(&format!("`{holding}` (running)")), "{text}");
    succeed_with(bench, &kept[0], json!([1])).await;
    bench.settle().await;
    // What lies between goes, too.
    assert_eq!(succeed_but(bench, &["x"]).await.len(), 1, "{:?}", bench.states().await);
}

async fn branch(bench: &Bench) {
    let mut dag = shaped("d", &["check", "done", "between < check", "x < between done"]);
    dag.tasks[0].operator = Operator::ShortCircuit(ShortCircuit {
        condition: Some("no".to_owned()),
        bash: None,
        stdin: None,
        ignore_downstream_trigger_rules: true,
    });
    dag.tasks[3].trigger_rule = TriggerRule::OneSuccess;
    until_it_ends(bench, dag, "check", ReasonKind::Branch).await;
}

async fn setup(bench: &Bench) {
    let mut dag = shaped("d", &["make", "done", "between < make", "x < between done"]);
    dag.tasks[0].is_setup = true;
    dag.tasks[3].trigger_rule = TriggerRule::OneSuccess;
    until_it_ends(bench, dag, "make", ReasonKind::Setup).await;
}

async fn mapping(bench: &Bench) {
    let mut dag = shaped("d", &["list", "done", "x < list done"]);
    dag.tasks[2].trigger_rule = TriggerRule::OneSuccess;
    dag.tasks[2].expand = over(left_by("list"));
    until_it_ends(bench, dag, "list", ReasonKind::Mapping).await;
}

async fn upstream(bench: &Bench) {
    for rule in [TriggerRule::AllSuccess, TriggerRule::AllDone, TriggerRule::NoneFailed, TriggerRule::OneDone] {
        let bench = Bench::new(bench.store.kind()).await;
        process(&bench, ProcessKind::Scheduler).await;
        let mut dag = shaped("d", &["work", "x < work"]);
        dag.tasks[1].trigger_rule = rule;
        until_it_ends(&bench, dag, "work", ReasonKind::Upstream).await;
    }
}

async fn past(bench: &Bench) {
    let looks_back = Task { depends_on_past: true, ..task("x", &[]) };
    bench.publish(Dag { tasks: vec![looks_back], ..dag("d") }).await;
    for (run_id, hour) in [("earlier", 1), ("r", 2)] {
        let logical_date = Some(Timestamp::from_micros(hour * 3_600_000_000));
        let run = NewRun { logical_date, ..new_run("d", run_id, bench.now()) };
        bench.store.create_run(bench.now(), &run).await.unwrap();
    }
    let order = bench.claim_one().await;
    let text = held(bench, ReasonKind::DependsOnPast).await;
    assert!(text.contains("`x` (running) of the previous run `earlier`"), "{text}");
    bench.report(&order, OutcomeKind::Success).await;
    x_goes(bench).await;
}

async fn not_before(bench: &Bench) {
    start(bench, shaped("d", &["x"])).await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Lost).await;
    held(bench, ReasonKind::NotBefore).await;
    bench.pass(2);
    x_goes(bench).await;
}

async fn pool(bench: &Bench) {
    let slots = async |slots| {
        bench.store.set_pool(bench.now(), "narrow", slots, None, "someone").await.unwrap();
    };
    let mut dag = shaped("d", &["first", "x"]);
    dag.tasks.iter_mut().for_each(|task| task.pool = "narrow".to_owned());
    (dag.tasks[0].pool_slots, dag.tasks[1].pool_slots) = (1, 2);
    dag.tasks[0].priority_weight = 9;
    start(bench, dag).await;
    assert_eq!(held(bench, ReasonKind::Pool).await, "there is no pool `narrow`");
    slots(1).await;
    assert_eq!(held(bench, ReasonKind::Pool).await, "needs 2 slots, but pool `narrow` has only 1");
    let first = bench.claim_one().await;
    slots(2).await;
    assert_eq!(held(bench, ReasonKind::Pool).await, "waits for pool `narrow`: 1 of 2 slots are used, it needs 2");
    bench.report(&first, OutcomeKind::Success).await;
    x_goes(bench).await;
}

/// In one run, and over all of them.
async fn own_limits(bench: &Bench) {
    let mapped = Task { max_active_tis_per_dagrun: Some(1), expand: over(numbers(2)), ..task("y", &[]) };
    let single = Task { max_active_tis_per_dag: Some(1), ..task("x", &[]) };
    bench.publish(Dag { tasks: vec![single, mapped], ..dag("d") }).await;
    bench.trigger("d", "earlier").await;
    bench.settle().await;
    let earlier = bench.claim_all().await;
    bench.trigger("d", "r").await;
    let text = held(bench, ReasonKind::MaxActiveTis).await;
    assert!(text.contains("1 of at most 1") && text.contains("`max_active_tis_per_dag`"), "{text}");
    let text = told(bench, "earlier", "y", 1, &[ReasonKind::MaxActiveTis]).await;
    assert!(text.contains("1 of at most 1") && text.contains("`max_active_tis_per_dagrun`"), "{text}");
    for order in earlier {
        bench.report(&order, OutcomeKind::Success).await;
    }
    bench.settle().await;
    let claimed = bench.claim_all().await;
    let of_both: Vec<(&str, i64)> = claimed.iter().map(|order| (task_id(order), order.map_index)).collect();
    assert!(of_both.contains(&("x", -1)) && of_both.contains(&("y", 1)), "{of_both:?}");
}

async fn max_active_tasks(bench: &Bench) {
    let mut dag = Dag { max_active_tasks: 1, ..shaped("d", &["first", "x"]) };
    dag.tasks[0].priority_weight = 9;
    start(bench, dag).await;
    let first = bench.claim_one().await;
    let text = held(bench, ReasonKind::MaxActiveTasks).await;
    assert!(text.contains("1 of at most 1 task instances of the DAG"), "{text}");
    bench.report(&first, OutcomeKind::Success).await;
    x_goes(bench).await;
}

/// A worker of the queue `gpu` takes what waits there.
async fn gpu_takes_x(bench: &Bench) {
    let new = NewProcess { queues: vec!["gpu".to_owned()], ..new_worker("worker-2") };
    let worker = bench.store.register_process(bench.now(), &new).await.unwrap().0;
    held(bench, ReasonKind::Claim).await;
    let (task_instance, epoch) = bench.store.queued_hints(&new.queues, 1).await.unwrap()[0];
    let request = flow_store::ClaimRequest { task_instance, epoch, claim: bench.new_claim() };
    let claimed = bench.store.claim(bench.now(), worker, &[request]).await.unwrap();
    assert_eq!(task_id(&claimed[0]), "x");
}

async fn no_worker(bench: &Bench) {
    let mut dag = shaped("d", &["x"]);
    dag.tasks[0].queue = "gpu".to_owned();
    start(bench, dag).await;
    assert_eq!(held(bench, ReasonKind::NoWorker).await, "no live worker serves the queue `gpu`");
    gpu_takes_x(bench).await;
}

/// The worker of `bench` says that it takes 4.
async fn workers_busy(bench: &Bench) {
    start(bench, shaped("d", &["a", "b", "c", "e", "x < a"])).await;
    let order = succeed_but(bench, &["a", "b", "c", "e"]).await.remove(0);
    bench.report(&order, OutcomeKind::Success).await;
    bench.settle().await;
    held(bench, ReasonKind::Claim).await;
    bench.trigger("d", "more").await;
    bench.settle().await;
    let another: Vec<WorkOrder> = bench.claim_all().await.into_iter().filter(|order| task_id(order) != "x").collect();
    assert!(another.len() >= 4);
    told(bench, "more", "x", -1, &[ReasonKind::Upstream]).await;
    bench.report(&another[0], OutcomeKind::Success).await;
    bench.settle().await;
    let text = told(bench, "more", "x", -1, &[ReasonKind::WorkersBusy]).await;
    assert!(text.contains("which is all they take"), "{text}");
    bench.register("worker-2").await;
    told(bench, "more", "x", -1, &[ReasonKind::Claim]).await;
    goes(bench, "more", "x").await;
}

async fn claim(bench: &Bench) {
    start(bench, shaped("d", &["x"])).await;
    held(bench, ReasonKind::Claim).await;
    x_goes(bench).await;
}

async fn retry(bench: &Bench) {
    let mut dag = shaped("d", &["x"]);
    dag.tasks[0].retry.retries = 1;
    start(bench, dag).await;
    let order = bench.claim_one().await;
    bench.report(&order, OutcomeKind::Failed { retry_at: bench.now() + Duration::from_secs(10) }).await;
    held(bench, ReasonKind::Retry).await;
    bench.pass(10);
    x_goes(bench).await;
}

async fn reschedule(bench: &Bench) {
    start(bench, shaped("d", &["x"])).await;
    let order = bench.claim_one().await;
    let at = bench.now() + Duration::from_secs(10);
    bench.report(&order, OutcomeKind::Rescheduled { at, resume: None }).await;
    held(bench, ReasonKind::Reschedule).await;
    bench.pass(10);
    x_goes(bench).await;
}

async fn waiting(bench: &Bench) {
    use ReasonKind as R;
    start(bench, shaped("d", &["x", "after < x"])).await;
    let order = bench.claim_one().await;
    let looks = Trigger::File { path: "/in/x.csv".to_owned(), recursive: false, min_size: 0, min_age: None };
    let deadline_at = Some(bench.now() + Duration::from_secs(600));
    let deferral = Deferral { deadline_at, ..Deferral::new(looks, Duration::from_secs(1)) };
    bench.report(&order, OutcomeKind::Deferred(Box::new(deferral))).await;
    told(bench, "r", "x", -1, &[R::NoTriggerer, R::Deferred, R::Deadline]).await;
    let triggerer = process(bench, ProcessKind::Triggerer).await;
    told(bench, "r", "x", -1, &[R::TriggerersFull, R::Deferred, R::Deadline]).await;
    let room = TriggerRoom { timers: 1, pollers: 1 };
    let HeldTrigger { task_instance, epoch, .. } = bench.store.take_triggers(triggerer, room).await.unwrap().remove(0);
    let text = told(bench, "r", "x", -1, &[R::Deferred, R::LastCheck, R::Deadline]).await;
    assert!(text.contains("/in/x.csv") && text.contains("nobody has looked yet"), "{text}");
    let (checked_at, next_check_at) = (bench.now(), bench.now() + Duration::from_secs(10));
    let note = CheckNote { task_instance, epoch, checks: 2, checked_at, next_check_at, note: "no file".to_owned() };
    bench.store.note_checks(triggerer, &[note]).await.unwrap();
    let text = told(bench, "r", "x", -1, &[R::Deferred, R::LastCheck, R::Deadline]).await;
    assert!(text.contains("was looked at 2 times: no file"), "{text}");
    let firing = Firing { task_instance, epoch, fired: Fired::Success(Vec::new()), log: Vec::new() };
    assert_eq!(bench.store.fire_triggers(bench.now(), triggerer, &[firing]).await.unwrap(), [true]);
    goes(bench, "r", "after").await;
}

async fn input(bench: &Bench) {
    start(bench, shaped("d", &["x", "after < x"])).await;
    let order = bench.claim_one().await;
    let question = serde_json::from_value(json!({ "subject": "Go?", "options": ["Yes"] })).unwrap();
    bench.report(&order, OutcomeKind::AwaitingInput(Box::new(question))).await;
    held(bench, ReasonKind::Input).await;
    let answer = Answer { chosen_options: vec!["Yes".to_owned()], ..Answer::default() };
    bench.store.answer_question(bench.now(), order.task_instance, &answer, "ada").await.unwrap();
    goes(bench, "r", "after").await;
}

async fn scheduler(bench: &Bench, reason: ReasonKind) {
    start(bench, shaped("d", &["x"])).await;
    told(bench, "r", "x", -1, &[reason]).await;
    if reason == ReasonKind::NoScheduler {
        process(bench, ProcessKind::Scheduler).await;
        told(bench, "r", "x", -1, &[ReasonKind::NextTick]).await;
    }
    x_goes(bench).await;
}
