//! DAGs by chance: branches, short circuits, setups, teardowns, mapped tasks, groups, and tries again, with any trigger rule.

use std::time::Duration;

use flow_model::dag::TaskGroup;
use flow_model::expand::{Mapping, Source};
use flow_model::operator::{Operator, ShortCircuit};
use flow_model::{Dag, Task, TriggerRule};
use serde_json::{Value, json};

use crate::dags::{dag, task};
use crate::world::Random;

/// Before whatever is tried again.
const DELAY: Duration = Duration::from_secs(1);

pub(super) fn random_dag(seed: u64) -> Dag {
    let mut random = Random(seed.wrapping_mul(0x51_7cc1_b727));
    let mut drawn = dag(&format!("d{seed}"));
    drawn.max_active_tasks = 1_000;
    drawn.max_map_length = 5;
    (drawn.run_retries, drawn.run_retry_delay) = (random.one_of(8).into(), Some(DELAY));
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
    let group = |group_id: &str, random: &mut Random| TaskGroup {
        group_id: group_id.to_owned(),
        retries: random.one_of(4).into(),
        retry_delay: Some(DELAY),
        ..TaskGroup::default()
    };
    let parent = random.one_of(4).then(|| format!("o{number}"));
    drawn.groups.extend(parent.as_deref().map(|parent| group(parent, random)));
    let group_id = parent.iter().fold(format!("g{number}"), |id, parent| format!("{parent}.{id}"));
    let expand = (!random.one_of(4)).then(|| some_mapping(drawn, random));
    let producers: Vec<String> =
        expand.iter().flat_map(|expand| expand.tasks().into_iter().map(str::to_owned)).collect();
    drawn.groups.push(TaskGroup { parent, expand, ..group(&group_id, random) });
    for inner in 0..2 + random.below(2) {
        let id = format!("{group_id}.t{inner}");
        add_task(drawn, id, Some(&group_id), &producers, random);
    }
}

fn some_mapping(drawn: &Dag, random: &mut Random) -> Mapping {
    let names = if random.one_of(5) { &["x", "y"][..] } else { &["x"] };
    Mapping::Product(names.iter().map(|name| ((*name).to_owned(), some_source(drawn, random))).collect())
}

fn some_source(drawn: &Dag, random: &mut Random) -> Source {
    let left_by =
        |task_id: &str| Source::XCom { task_id: task_id.to_owned(), key: "return_value".to_owned(), path: Vec::new() };
    let known: Vec<&str> = drawn.tasks.iter().map(|task| task.task_id.as_str()).collect();
    let written = Source::List((0..random.below(4)).map(Value::from).collect());
    match (random.below(5), known.len() as u64) {
        (_, 0) | (0, _) => written,
        (1, count) => {
            let other = left_by(known[random.below(count) as usize]);
            Source::Concat(vec![left_by(known[random.below(count) as usize]), other])
        }
        (_, count) => left_by(known[random.below(count) as usize]),
    }
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
    (new.retry.retries, new.retry.retry_delay) = (random.one_of(4).into(), DELAY);
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
    new.on_failure_fail_dagrun = random.one_of(3);
    new.trigger_rule = TriggerRule::AllDoneSetupSuccess;
}

fn short_circuit(ignore_downstream_trigger_rules: bool) -> Operator {
    Operator::ShortCircuit(ShortCircuit {
        condition: Some("no".to_owned()),
        bash: None,
        stdin: None,
        ignore_downstream_trigger_rules,
    })
}
