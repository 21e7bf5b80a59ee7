//! No result depends on which task was quicker: random DAGs end the same way, in whatever order their tasks do. The same holds after
//! some of their tasks were cleared, and where everything is cleared on the way.
//!
//! `FLOW_ORDER_SEEDS=0..10000 cargo test -p flow-store --test conformance -- orders` tries that many DAGs on each database.

mod drawn;

use std::time::Duration;

use flow_model::operator::{Operator, ShortCircuit};
use flow_model::{Dag, DagGraph, DagRunKey, Task};
use flow_store::{ClearRequest, NewXCom, Outcome, OutcomeKind, Selection, StoreKind, WorkOrder};
use serde_json::{Value, json};

use self::drawn::random_dag;
use crate::bench::{Bench, outcome, task_id};
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
        let (end, story) = run_in_order(bench, &dag, seed, order).await;
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

/// Runs the DAG once, and once more after some of it was cleared: how everything ended, and what happened on the way.
async fn run_in_order(bench: &Bench, dag: &Dag, seed: u64, order: u64) -> (Vec<String>, Vec<String>) {
    let run = bench.trigger(&dag.dag_id, &format!("r{order}")).await;
    let mut story = Vec::new();
    let mut game =
        Game { bench, run, seed, order, round: 0, random: Random(seed.wrapping_mul(31).wrapping_add(order)) };
    game.play(&mut story).await;
    let mut end = game.states().await;
    if let Some((tasks, only_failed)) = cleared_afterwards(dag, seed) {
        story.push(format!("clears {tasks:?}, only failed: {only_failed}"));
        game.clear(tasks, only_failed).await;
        game.round = 1;
        game.play(&mut story).await;
        end.extend(game.states().await);
    }
    (end, story)
}

/// What is cleared after the first end, if anything.
fn cleared_afterwards(dag: &Dag, seed: u64) -> Option<(Selection, bool)> {
    let mut random = Random(seed ^ 0x5e_1ec7);
    // What starts over by itself would come to something else in the second round than what is after it has seen in the first.
    let starts_over = dag.run_retries > 0 || dag.groups.iter().any(|group| group.retries > 0);
    if starts_over || random.one_of(2) {
        return None;
    }
    let task_ids: Vec<String> =
        dag.tasks.iter().filter(|_| random.one_of(3)).map(|task| task.task_id.clone()).collect();
    let (upstream, downstream) = (random.one_of(4), !random.one_of(3));
    Some((Selection { task_ids, upstream, downstream, ..Selection::default() }, random.one_of(4)))
}

/// One run that is played to its end.
struct Game<'a> {
    bench: &'a Bench,
    run: DagRunKey,
    seed: u64,
    order: u64,
    /// What a task comes to depends on it, and not on when it comes to it.
    round: u64,
    random: Random,
}

impl Game<'_> {
    async fn play(&mut self, story: &mut Vec<String>) {
        let bench = self.bench;
        let mut held: Vec<WorkOrder> = Vec::new();
        // In some orders everything is cleared once on the way: it ends as it would have.
        let mut until_clear =
            (self.round == 0 && self.order + 2 >= ORDERS && self.seed.is_multiple_of(3)).then(|| self.random.below(12));
        loop {
            bench.settle().await;
            held.extend(bench.claim_all().await);
            if held.is_empty() {
                if self.is_over().await {
                    break;
                }
                bench.pass(2);
                continue;
            }
            bench.pass(1);
            // Sometimes several ends are seen by one tick.
            for _ in 0..=self.random.below(3) {
                if held.is_empty() {
                    break;
                }
                let attempt = held.swap_remove(self.next(&held));
                story.push(format!("{}[{}]", task_id(&attempt), attempt.map_index));
                bench.record(self.fate(&attempt)).await;
            }
            until_clear = match until_clear {
                Some(0) => {
                    story.push("clears everything".to_owned());
                    self.clear(Selection::default(), false).await;
                    None
                }
                left => left.map(|left| left - 1),
            };
        }
    }

    async fn is_over(&self) -> bool {
        assert!(
            self.bench.now() < crate::bench::at("2027-01-01T00:00:00Z"),
            "it never ends: {:?}",
            self.states().await
        );
        matches!(self.bench.run_state(self.run).await.as_str(), "success" | "failed")
    }

    async fn clear(&self, tasks: Selection, only_failed: bool) {
        let request = ClearRequest { run: self.run, tasks, only_failed, principal: "someone".to_owned() };
        self.bench.store.clear_tasks(self.bench.now(), &request, false).await.unwrap();
    }

    async fn states(&self) -> Vec<String> {
        let ends = format!(
            "select task_id || '[' || map_index || '] ' || state || ' ' || coalesce(reason, '') from task_instance
             where dag_run_id = {} order by task_index, map_index",
            self.run
        );
        let mut end = self.bench.raw.texts(&ends).await;
        end.push(self.bench.run_state(self.run).await);
        end
    }

    /// Which attempt ends next: by chance, failures first, or those that decide last.
    fn next(&mut self, held: &[WorkOrder]) -> usize {
        let decides = |order: &WorkOrder| order.task().operator.decides_what_follows();
        let fails = |order: &WorkOrder| self.kind_of(order) == OutcomeKind::FailedForGood;
        let preferred: Vec<usize> = match self.order {
            0 => (0..held.len()).filter(|&at| fails(&held[at])).collect(),
            1 => (0..held.len()).filter(|&at| !fails(&held[at])).collect(),
            2 => (0..held.len()).filter(|&at| !decides(&held[at])).collect(),
            3 => (0..held.len()).filter(|&at| decides(&held[at])).collect(),
            _ => Vec::new(),
        };
        match preferred[..] {
            [] => self.random.below(held.len() as u64) as usize,
            _ => preferred[self.random.below(preferred.len() as u64) as usize],
        }
    }

    /// Numbers that depend on the task instance and the round, and on nothing else.
    fn luck(&self, order: &WorkOrder) -> Random {
        let place = (self.round * 1_000 + u64::from(order.task_index)) * 1_000 + order.map_index.unsigned_abs() + 1;
        Random(self.seed ^ place.wrapping_mul(0x9e37_79b9))
    }

    fn kind_of(&self, order: &WorkOrder) -> OutcomeKind {
        match self.luck(order).below(20) {
            0..=11 => OutcomeKind::Success,
            12..=15 => OutcomeKind::FailedForGood,
            _ => OutcomeKind::Skipped,
        }
    }

    /// How the attempt ends, whenever it does.
    fn fate(&self, order: &WorkOrder) -> Outcome {
        let mut random = self.luck(order);
        random.next();
        let mut kind = self.kind_of(order);
        if random.one_of(2) && order.try_number <= order.max_tries {
            kind = OutcomeKind::Failed { retry_at: self.bench.now() + Duration::from_secs(1) };
        }
        let mut fate = outcome(order, kind.clone(), self.bench.now());
        if kind == OutcomeKind::Success {
            fate.skips = left_out(&order.graph, order.task_index, &mut random);
            fate.xcoms = left(&mut random);
        }
        fate
    }
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
