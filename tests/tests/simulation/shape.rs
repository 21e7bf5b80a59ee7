//! The random inside of DAGs, written down as people write it and read by the real reader: tasks of all kinds, groups,
//! mappings, setups and teardowns.

use std::fmt::Write as _;

use flow_dagfile::check_text;
use flow_model::dag::WeightRule;
use flow_model::{Dag, TriggerRule};
use rand::prelude::*;

use crate::dags::{POOL_SLOTS_MAX, POOLS};

/// Instances that a mapping may have.
pub const MAP_LENGTH_MAX: usize = 5;

/// The only person who may answer some of the questions.
pub const ASSIGNEE: &str = "ada";

/// The param that some mappings go over.
pub const ITEMS: &str = "items";

/// Drafts that may break a rule of DAG files before somebody has to look why.
const DRAFTS_MAX: u32 = 30;

const NOTIFIERS: &str = "[{ command = ['true'] }, { command = ['false'] }]";

/// The text of a DAG file, and the DAG that it means.
pub fn random_shape(rng: &mut StdRng, dag_id: &str) -> (String, Dag) {
    let mut mistakes = Vec::new();
    for _ in 0..DRAFTS_MAX {
        let draft = Draft::random(rng);
        if draft.ids.is_empty() {
            return (String::new(), Dag::new(dag_id, Vec::new()));
        }
        match check_text(&format!("{dag_id}.toml"), &draft.text, None).result {
            Ok(parsed) => return (draft.text, parsed.dag),
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| mistake.message)),
        }
    }
    panic!("none of {DRAFTS_MAX} drafts is a DAG file: {mistakes:#?}");
}

/// Something that later tasks can name.
#[derive(Clone)]
struct Named {
    id: String,
    is_task: bool,
    is_teardown: bool,
}

/// A place for tasks.
#[derive(Clone, Default)]
struct Place {
    /// What the tables of its tasks begin with: `task_groups.g0.`.
    table: String,
    /// What their ids begin with: `g0.`.
    prefix: String,
    /// It lies in a mapped group.
    is_mapped: bool,
    depth: u32,
}

struct Draft<'a> {
    rng: &'a mut StdRng,
    text: String,
    ids: Vec<Named>,
    tasks: u32,
    groups: u32,
    /// How dense edges and unusual rules are.
    edges: f64,
    rules: f64,
    looks_back: bool,
    /// How much there is of what is more than plain tasks.
    variety: f64,
}

struct Finished {
    text: String,
    ids: Vec<Named>,
}

impl Draft<'_> {
    fn random(rng: &mut StdRng) -> Finished {
        let (edges, rules) = (rng.random_range(0.1..0.7), rng.random_range(0.0..0.8));
        let (looks_back, variety) = (rng.random_bool(0.3), *[0.0, 0.5, 1.0].choose(rng).expect("there are some"));
        let entries = rng.random_range(0..=7_u32);
        let mut draft =
            Draft { rng, text: String::new(), ids: Vec::new(), tasks: 0, groups: 0, edges, rules, looks_back, variety };
        draft.head();
        draft.fill(&Place::default(), entries);
        Finished { text: draft.text, ids: draft.ids }
    }

    fn more(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability * self.variety)
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("a text takes everything");
    }

    fn head(&mut self) {
        if self.more(0.4) {
            let line = format!(
                "run_retries = {}\nrun_retry_delay = '{}s'",
                self.rng.random_range(1..=2),
                self.rng.random_range(0..20)
            );
            self.line(&line);
        }
        for event in ["on_success", "on_failure"] {
            if self.more(0.4) {
                self.line(&format!("{event} = {NOTIFIERS}"));
            }
        }
        self.line(&format!("max_map_length = {MAP_LENGTH_MAX}"));
        self.line(&format!("[params]\n{ITEMS} = {{ type = 'array', default = [1, 2] }}"));
    }

    fn fill(&mut self, place: &Place, entries: u32) {
        // Groups stand behind tasks in the file, but ids may be named before.
        for _ in 0..entries {
            if place.depth < 2 && self.more(0.25) {
                self.group(place);
            } else {
                self.task(place);
            }
        }
    }

    fn group(&mut self, around: &Place) {
        let name = format!("g{}", self.groups);
        self.groups += 1;
        let table = format!("{}task_groups.{name}", around.table);
        self.line(&format!("[{table}]"));
        let known = self.ids.clone();
        self.depends_on(&known, 0.3);
        let is_mapped = !around.is_mapped && self.more(0.6);
        if is_mapped {
            self.expand();
        }
        if self.more(0.6) {
            let (retries, delay) = (self.rng.random_range(1..=2), self.rng.random_range(0..20));
            self.line(&format!("retries = {retries}\nretry_delay = '{delay}s'"));
        }
        let place = Place {
            table: format!("{table}."),
            prefix: format!("{}{name}.", around.prefix),
            is_mapped: around.is_mapped || is_mapped,
            depth: around.depth + 1,
        };
        let entries = self.rng.random_range(1..=4);
        self.task(&place);
        self.fill(&place, entries - 1);
        self.ids.push(Named { id: format!("{}{name}", around.prefix), is_task: false, is_teardown: false });
    }

    fn task(&mut self, place: &Place) {
        let name = format!("t{}", self.tasks);
        self.tasks += 1;
        self.line(&format!("[{}tasks.{name}]", place.table));
        let known = self.ids.clone();
        let edges = self.edges;
        self.depends_on(&known, edges);
        let is_teardown = self.setup_or_teardown(&known);
        if !is_teardown && self.rng.random_bool(self.rules) {
            let rule = *TriggerRule::ALL.choose(self.rng).expect("there are some");
            self.line(&format!("trigger_rule = '{rule}'"));
        }
        self.operator();
        if !place.is_mapped && self.more(0.3) {
            self.expand();
        }
        self.retries_and_slots();
        if self.looks_back && self.rng.random_bool(0.5) {
            let downstream = self.rng.random_bool(0.4);
            self.line(&format!("depends_on_past = true\nwait_for_downstream = {downstream}"));
        }
        for event in ["on_success", "on_failure", "on_retry", "on_skipped"] {
            if self.more(0.2) {
                self.line(&format!("{event} = {NOTIFIERS}"));
            }
        }
        self.ids.push(Named { id: format!("{}{name}", place.prefix), is_task: true, is_teardown });
    }

    fn depends_on(&mut self, known: &[Named], edges: f64) {
        let chosen: Vec<String> =
            known.iter().filter(|_| self.rng.random_bool(edges)).map(|named| format!("'{}'", named.id)).collect();
        self.line(&format!("depends_on = [{}]", chosen.join(", ")));
    }

    fn setup_or_teardown(&mut self, known: &[Named]) -> bool {
        let setups: Vec<&Named> = known.iter().filter(|named| named.is_task && !named.is_teardown).collect();
        if !setups.is_empty() && self.more(0.15) {
            let setup = setups.choose(self.rng).expect("there are some").id.clone();
            let fails = self.rng.random_bool(0.3);
            self.line(&format!("teardown_of = ['{setup}']\non_failure_fail_dagrun = {fails}"));
            return true;
        }
        if self.more(0.06) {
            self.line("setup = true");
        }
        false
    }

    fn operator(&mut self) {
        let kind = if self.more(1.0) { self.rng.random_range(0..100) } else { 100 };
        let seconds = self.rng.random_range(1..60);
        let line = match kind {
            0..=11 => "branch = '{{ params.items }}'".to_owned(),
            12..=15 => "short_circuit = { condition = 'yes', ignore_downstream_trigger_rules = true }".to_owned(),
            16..=19 => "short_circuit = { condition = 'yes', ignore_downstream_trigger_rules = false }".to_owned(),
            20..=32 => format!("time_delta_sensor = {{ delta = '{seconds}s' }}"),
            33..=44 => "file_sensor = '/nowhere'".to_owned(),
            45..=54 => "command_sensor = 'false'".to_owned(),
            55..=62 => format!("approval = {{ subject = 'Go on?', timeout = '{seconds}s', defaults = ['Approve'] }}"),
            63..=68 => {
                format!("approval = {{ subject = 'Really?', assignees = ['{ASSIGNEE}'], fail_on_reject = true }}")
            }
            69..=72 => format!("form = {{ subject = 'How many?', timeout = '{seconds}s', params = {{ count = 1 }} }}"),
            _ => "noop = true".to_owned(),
        };
        self.line(&line);
    }

    /// Over what the task or group before is mapped.
    fn expand(&mut self) {
        let line = match self.rng.random_range(0..10) {
            0..=6 => format!("expand = {{ x = {} }}", self.source()),
            7 => format!("expand = {{ x = {}, y = ['a', 'b'] }}", self.source()),
            8 => format!("expand = {{ x = {{ zip = [{}, ['a', 'b', 'c']] }} }}", self.source()),
            _ => format!("expand = {{ x = {{ concat = [{}, ['a']] }} }}", self.source()),
        };
        self.line(&line);
    }

    fn source(&mut self) -> String {
        let tasks: Vec<&Named> = self.ids.iter().filter(|named| named.is_task).collect();
        match self.rng.random_range(0..10) {
            0..=6 if !tasks.is_empty() => {
                let task = &tasks.choose(self.rng).expect("there are some").id;
                format!("{{ xcom = '{task}' }}")
            }
            7..=8 => format!("'{{{{ params.{ITEMS} }}}}'"),
            _ => "[1, 2]".to_owned(),
        }
    }

    fn retries_and_slots(&mut self) {
        let mut pools = vec!["default_pool"; POOLS.len()];
        pools.extend(POOLS);
        let line = format!(
            "retries = {}\nretry_delay = '{}s'\nretry_exponential_backoff = {}\npool = '{}'\npool_slots = {}\n\
             priority_weight = {}\nweight_rule = '{}'\nat_most_once = {}",
            self.rng.random_range(0..=2),
            self.rng.random_range(0..30),
            self.rng.random_bool(0.5),
            pools.choose(self.rng).expect("there are some"),
            self.rng.random_range(1..=POOL_SLOTS_MAX),
            self.rng.random_range(0..5),
            WeightRule::ALL.choose(self.rng).expect("there are some"),
            self.rng.random_bool(0.15),
        );
        self.line(&line);
        for limit in ["max_active_tis_per_dag", "max_active_tis_per_dagrun"] {
            if self.more(0.1) {
                let max = self.rng.random_range(1..=2);
                self.line(&format!("{limit} = {max}"));
            }
        }
    }
}
