//! No result depends on which task was quicker: random DAGs end the same way, in whatever order their tasks do.
//!
//! `FLOW_ORDER_SEEDS=0..10000 cargo test -p flow-store --test conformance -- orders` tries that many DAGs on each database.

use std::time::Duration;

use flow_model::dag::TaskGroup;
use flow_model::expand::{Mapping, Source};
use flow_model::operator::{Operator, ShortCircuit};
use flow_model::{Dag, DagGraph, Task, TriggerRule};
use flow_store::{NewXCom, Outcome, OutcomeKind, StoreKind, WorkOrder};
use serde_json::{Value, json};

use crate::bench::{Bench, outcome, task_id};
use crate::dags::{dag, task};
use crate::world::Random;

/// Orders in which each DAG is tried.
const ORDERS: u64 = 6;

fn seeds(default: u64) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("FLOW_ORDER_SEEDS") else { return 0..default };
    let (from, to) = text.split_once("..").expect("FLOW_ORDER_SEEDS is written 0..100");
    from.parse().unwrap()..to.parse().unwrap()
}

#[tokio::test]
async fn sqlite_ends_the_same_way_in_every_order() {
    try_all(StoreKind::Sqlite, seeds(40)).await;
}

#[tokio::test]
async fn postgres_ends_the_same_way_in_every_order() {
    try_all(StoreKind::Postgres, seeds(8)).await;
}

async fn try_all(kind: StoreKind, seeds: std::ops::Range<u64>) {
    let mut bench = Bench::new(kind).await;
    for (number, seed) in seeds.enumerate() {
        // A database that has seen thousands of runs is slow to look at as a whole.
        if number % 200 == 199 {
            bench = Bench::new(kind).await;
        }
        try_orders(&bench, seed).await;
    }
}

async fn try_orders(bench: &Bench, seed: u64) {
    let dag = random_dag(seed);
    bench.publish(dag.clone()).await;
    let mut first: Option<(Vec<String>, Vec<String>)> = None;
    for order in 0..ORDERS {
        let (end, story) = run_in_order(bench, &dag.dag_id, seed, order).await;
        match &first {
            None => first = Some((end, story)),
            Some((known, other)) => assert_eq!(
                known,
                &end,
                "seed {seed}, order {order}\n{:#?}\nfirst {other:#?}\nthen {story:#?}",
                told(&dag)
            ),
        }
    }
}

/// The DAG in words.
fn told(dag: &Dag) -> Vec<String> {
    let kind = |task: &Task| match &task.operator {
        Operator::Branch(_) => " branch",
        Operator::ShortCircuit(ShortCircuit { ignore_downstream_trigger_rules: true, .. }) => " short circuit",
        Operator::ShortCircuit(_) => " soft short circuit",
        _ if task.is_setup => " setup",
        _ => "",
    };
    let of = |task: &Task| {
        let scope = (&task.expand, &task.group);
        format!("{} < {:?} {}{} {scope:?}", task.task_id, task.depends_on, task.trigger_rule, kind(task))
    };
    let groups = dag.groups.iter().map(|group| format!("{} {:?}", group.group_id, group.expand));
    dag.tasks.iter().map(of).chain(groups).collect()
}

/// Runs the DAG once: how everything ended, and what happened on the way.
async fn run_in_order(bench: &Bench, dag_id: &str, seed: u64, order: u64) -> (Vec<String>, Vec<String>) {
    let mut random = Random(seed.wrapping_mul(31).wrapping_add(order));
    let run = bench.trigger(dag_id, &format!("r{order}")).await;
    let (mut held, mut story) = (Vec::new(), Vec::new());
    loop {
        bench.settle().await;
        held.extend(bench.claim_all().await);
        if held.is_empty() {
            break;
        }
        bench.pass(1);
        // Sometimes several ends are seen by one tick.
        for _ in 0..=random.below(3) {
            if held.is_empty() {
                break;
            }
            let attempt: WorkOrder = held.swap_remove(next(&held, &mut random, order, seed));
            story.push(format!("{}[{}]", task_id(&attempt), attempt.map_index));
            bench.record(fate(&attempt, seed, bench)).await;
        }
    }
    let ends = format!(
        "select task_id || '[' || map_index || '] ' || state || ' ' || coalesce(reason, '') from task_instance
         where dag_run_id = {run} order by task_index, map_index"
    );
    let mut end = bench.raw.texts(&ends).await;
    end.push(bench.run_state(run).await);
    (end, story)
}

/// Which attempt ends next: by chance, failures first, or those that decide last.
fn next(held: &[WorkOrder], random: &mut Random, order: u64, seed: u64) -> usize {
    let decides = |order: &WorkOrder| order.task().operator.decides_what_follows();
    let preferred: Vec<usize> = match order {
        0 => (0..held.len()).filter(|&at| kind_of(&held[at], seed) == OutcomeKind::FailedForGood).collect(),
        1 => (0..held.len()).filter(|&at| kind_of(&held[at], seed) != OutcomeKind::FailedForGood).collect(),
        2 => (0..held.len()).filter(|&at| !decides(&held[at])).collect(),
        3 => (0..held.len()).filter(|&at| decides(&held[at])).collect(),
        _ => Vec::new(),
    };
    match preferred[..] {
        [] => random.below(held.len() as u64) as usize,
        _ => preferred[random.below(preferred.len() as u64) as usize],
    }
}

/// Numbers that depend on the task instance, and on nothing else.
fn luck(order: &WorkOrder, seed: u64) -> Random {
    let place = u64::from(order.task_index) * 1_000 + order.map_index.unsigned_abs() + 1;
    Random(seed ^ place.wrapping_mul(0x9e37_79b9))
}

fn kind_of(order: &WorkOrder, seed: u64) -> OutcomeKind {
    match luck(order, seed).below(20) {
        0..=11 => OutcomeKind::Success,
        12..=15 => OutcomeKind::FailedForGood,
        _ => OutcomeKind::Skipped,
    }
}

/// How the attempt ends, whenever it does.
fn fate(order: &WorkOrder, seed: u64, bench: &Bench) -> Outcome {
    let mut random = luck(order, seed);
    random.next();
    let kind = kind_of(order, seed);
    let mut fate = outcome(order, kind.clone(), bench.now());
    if kind == OutcomeKind::Success {
        fate.skips = left_out(&order.graph, order.task_index, &mut random);
        fate.xcoms = left(&mut random);
    }
    fate
}

fn left(random: &mut Random) -> Vec<NewXCom> {
    let value = match random.below(12) {
        0 => return Vec::new(),
        1 => json!(7),
        length => (0..length % 4).map(Value::from).collect(),
    };
    vec![NewXCom { key: "return_value".to_owned(), value: value.to_string() }]
}

fn left_out(graph: &DagGraph, index: u32, random: &mut Random) -> Vec<u32> {
    let children = &graph.downstream[index as usize];
    let goes_on = random.below(2) == 0;
    match &graph.dag.tasks[index as usize].operator {
        Operator::Branch(_) => {
            let followed: Vec<u32> = children.iter().copied().filter(|_| random.below(2) == 0).collect();
            let after = graph.reachable(&followed, &graph.downstream);
            children.iter().copied().filter(|child| !followed.contains(child) && !after.contains(child)).collect()
        }
        Operator::ShortCircuit(_) if goes_on => Vec::new(),
        operator if operator.may_skip_all_after() => {
            let after = graph.reachable(&[index], &graph.downstream);
            after.into_iter().filter(|&index| !graph.dag.tasks[index as usize].is_teardown).collect()
        }
        Operator::ShortCircuit(_) => children.clone(),
        _ => Vec::new(),
    }
}

fn random_dag(seed: u64) -> Dag {
    let mut random = Random(seed.wrapping_mul(0x51_7cc1_b727));
    let mut drawn = dag(&format!("d{seed}"));
    drawn.max_active_tasks = 1_000;
    drawn.max_map_length = 5;
    for number in 0..3 + random.below(5) {
        if random.below(6) == 0 {
            add_group(&mut drawn, number, &mut random);
        } else {
            let id = format!("t{number}");
            add_task(&mut drawn, id, None, &[], &mut random);
        }
    }
    drawn
}

fn add_group(drawn: &mut Dag, number: u64, random: &mut Random) {
    let group_id = format!("g{number}");
    let expand = some_mapping(drawn, random);
    let producers: Vec<String> = expand.tasks().into_iter().map(str::to_owned).collect();
    drawn.groups.push(TaskGroup { group_id: group_id.clone(), expand: Some(expand), ..TaskGroup::default() });
    for inner in 0..2 + random.below(2) {
        let id = format!("{group_id}.t{inner}");
        add_task(drawn, id, Some(&group_id), &producers, random);
    }
}

fn some_mapping(drawn: &Dag, random: &mut Random) -> Mapping {
    let left_by =
        |task_id: &str| Source::XCom { task_id: task_id.to_owned(), key: "return_value".to_owned(), path: Vec::new() };
    let known: Vec<&str> = drawn.tasks.iter().map(|task| task.task_id.as_str()).collect();
    let written = Source::List((0..random.below(4)).map(Value::from).collect());
    let source = match (random.below(5), known.len() as u64) {
        (_, 0) | (0, _) => written,
        (1, count) => {
            let other = left_by(known[random.below(count) as usize]);
            Source::Concat(vec![left_by(known[random.below(count) as usize]), other])
        }
        (_, count) => left_by(known[random.below(count) as usize]),
    };
    Mapping::Product([("x".to_owned(), source)].into())
}

fn add_task(drawn: &mut Dag, id: String, group: Option<&str>, producers: &[String], random: &mut Random) {
    let known: Vec<String> = drawn.tasks.iter().map(|task| task.task_id.clone()).collect();
    let mut before: Vec<String> = known.iter().filter(|_| random.below(5) < 2).cloned().collect();
    let mut new = Task { group: group.map(str::to_owned), ..task(&id, &[]) };
    if group.is_none() && random.below(5) == 0 {
        let mapping = some_mapping(drawn, random);
        before.extend(mapping.tasks().into_iter().map(str::to_owned));
        new.expand = Some(mapping);
    }
    let is_inside = |id: &String| group.is_some_and(|group| id.starts_with(&format!("{group}.")));
    if !before.iter().any(is_inside) {
        before.extend(producers.iter().cloned());
    }
    match random.below(12) {
        0 | 1 => new.operator = serde_json::from_value(json!({ "branch": { "choose": "x" } })).unwrap(),
        2 => new.operator = short_circuit(true),
        3 => new.operator = short_circuit(false),
        4 => new.is_setup = true,
        5 | 6 => make_teardown(drawn, &mut new, &mut before, random),
        _ => {}
    }
    if !new.is_teardown && random.below(2) == 0 {
        new.trigger_rule = TriggerRule::ALL[random.below(13) as usize];
    }
    before.sort();
    before.dedup();
    new.depends_on = before;
    new.retry.retry_delay = Duration::from_secs(1);
    drawn.tasks.push(new);
}

fn make_teardown(drawn: &mut Dag, new: &mut Task, before: &mut Vec<String>, random: &mut Random) {
    let able: Vec<usize> = (0..drawn.tasks.len()).filter(|&at| !drawn.tasks[at].is_teardown).collect();
    if able.is_empty() {
        return;
    }
    let setup = &mut drawn.tasks[able[random.below(able.len() as u64) as usize]];
    setup.is_setup = true;
    before.push(setup.task_id.clone());
    new.is_teardown = true;
    new.trigger_rule = TriggerRule::AllDoneSetupSuccess;
}

fn short_circuit(ignore_downstream_trigger_rules: bool) -> Operator {
    Operator::ShortCircuit(ShortCircuit {
        condition: Some("no".to_owned()),
        bash: None,
        ignore_downstream_trigger_rules,
    })
}
