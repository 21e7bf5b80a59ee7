//! The DAGs of the workloads, as DAG files.

use std::fmt::Write;

/// Task instances of one DAG that may be active at once: more than any workload has, so that the limit is not measured.
const ACTIVE_MAX: u32 = 20_000;

/// What a task does.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Nothing, inside the worker.
    Noop,
    /// A program without a shell.
    Command(Vec<String>),
}

impl Work {
    /// The cheapest process there is.
    pub(crate) fn run_true() -> Work {
        Work::Command(vec!["true".to_owned()])
    }

    fn line(&self) -> String {
        match self {
            Work::Noop => "noop = true".to_owned(),
            Work::Command(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                format!("command = [{}]", words.join(", "))
            }
        }
    }
}

/// Tasks that do not know each other.
pub(crate) fn wide(count: usize, work: &Work) -> String {
    file((0..count).map(|index| (index, Vec::new())), work)
}

/// Tasks one after the other.
pub(crate) fn chain(count: usize, work: &Work) -> String {
    file((0..count).map(|index| (index, index.checked_sub(1).into_iter().collect())), work)
}

/// One task, `width` tasks after it, one task after all of them.
pub(crate) fn diamond(width: usize, work: &Work) -> String {
    let middle = (1..=width).map(|index| (index, vec![0]));
    let ends = [(0, Vec::new()), (width + 1, (1..=width).collect())];
    file(ends.into_iter().chain(middle), work)
}

/// A small DAG with a schedule that is not due while somebody measures.
pub(crate) fn one_of_many(number: usize) -> String {
    format!(
        "description = \"One of many, number {number}\"\nschedule = \"@yearly\"\ncatchup = \"none\"\ntags = [\"many\"]\n\n\
         [tasks.first]\nbash = \"echo {number}\"\n\n[tasks.second]\ndepends_on = [\"first\"]\nnoop = true\n"
    )
}

/// Mapped tasks, each of whose instances waits for the same time in the triggerer.
pub(crate) fn timers(tasks: usize, instances: usize, seconds: usize) -> String {
    mapped(tasks, instances, &format!("sleep = {{ duration = \"{seconds}s\", deferrable = true }}"))
}

/// Tasks that wait in the triggerer.
pub(crate) fn deferred(tasks: usize, seconds: usize) -> String {
    let mut text = format!("max_active_tasks = {ACTIVE_MAX}\n");
    for index in 0..tasks {
        let sleep = format!("sleep = {{ duration = \"{seconds}s\", deferrable = true }}");
        let _ = write!(text, "\n[tasks.{}]\n{sleep}\n", task_id(index));
    }
    text
}

/// Sensors that ask a server.
pub(crate) struct HttpSensors {
    /// Mapped tasks.
    pub(crate) tasks: usize,
    /// Instances of each.
    pub(crate) instances: usize,
    /// Where they ask.
    pub(crate) url: String,
    /// Seconds between two questions.
    pub(crate) pause: usize,
}

/// They wait until the server says `done`.
pub(crate) fn http_sensors(sensors: &HttpSensors) -> String {
    let HttpSensors { tasks, instances, url, pause } = sensors;
    let line = format!(
        "http_sensor = {{ url = \"{url}\", poke_interval = \"{pause}s\", response_check = {{ path = \"state\", equals = \"done\" }} }}"
    );
    mapped(*tasks, *instances, &line)
}

/// A list of so many numbers, a task without a process that is mapped over it, and one after all its instances.
pub(crate) fn fan_out(instances: usize) -> String {
    let (list, mapped, end) = (task_id(0), task_id(1), task_id(2));
    format!(
        "{}\n[tasks.{mapped}]\nnoop = true\nexpand = {{ number = \"{{{{ xcom.{list} }}}}\" }}\n\n\
         [tasks.{end}]\nnoop = true\ndepends_on = [\"{mapped}\"]\n",
        list_of(instances)
    )
}

/// A group of two tasks in a line, mapped over so many numbers.
pub(crate) fn mapped_group(instances: usize) -> String {
    let (list, first, second) = (task_id(0), task_id(1), task_id(2));
    format!(
        "{}\n[task_groups.g]\nexpand = {{ number = \"{{{{ xcom.{list} }}}}\" }}\n\n\
         [task_groups.g.tasks.{first}]\nnoop = true\n\n\
         [task_groups.g.tasks.{second}]\nnoop = true\ndepends_on = [\"{first}\"]\n",
        list_of(instances)
    )
}

fn list_of(instances: usize) -> String {
    let list = task_id(0);
    format!(
        "max_active_tasks = {ACTIVE_MAX}\nmax_map_length = {}\n\n\
         [tasks.{list}]\ncommand = [\"python3\", \"-c\", \"print(list(range({instances})))\"]\noutput = \"json\"\n",
        instances.max(1)
    )
}

/// Mapped tasks that all do the same.
fn mapped(tasks: usize, instances: usize, line: &str) -> String {
    let list: Vec<String> = (0..instances).map(|number| number.to_string()).collect();
    let list = list.join(",");
    let mut text = format!("max_active_tasks = {ACTIVE_MAX}\nmax_map_length = {}\n", instances.max(1));
    for index in 0..tasks {
        let _ = write!(text, "\n[tasks.{}]\n{line}\nexpand = {{ number = [{list}] }}\n", task_id(index));
    }
    text
}

/// The name of a task.
pub(crate) fn task_id(index: usize) -> String {
    format!("t{index:05}")
}

fn file(tasks: impl Iterator<Item = (usize, Vec<usize>)>, work: &Work) -> String {
    let line = work.line();
    let mut text = format!("max_active_tasks = {ACTIVE_MAX}\nmax_active_runs = 100\n");
    for (index, before) in tasks {
        let _ = write!(text, "\n[tasks.{}]\n{line}\n", task_id(index));
        if !before.is_empty() {
            let before: Vec<String> = before.into_iter().map(|index| format!("\"{}\"", task_id(index))).collect();
            let _ = writeln!(text, "depends_on = [{}]", before.join(", "));
        }
    }
    text
}
