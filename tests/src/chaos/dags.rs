//! The DAGs of the load. Every task writes its claim into a journal before it does anything else.

mod waiting;

use anyhow::Result;

use crate::cluster::Cluster;

/// The DAGs that are triggered.
pub const NAMES: &[&str] =
    &["fan_out", "chain", "flaky", "mixed", "mapped", "waiting", "repeating", "asking", "calling"];

/// The DAG that events start.
pub const HOOKED: &str = "hooked";

const DEFAULTS: &str = r#"
max_active_runs = 50
max_active_tasks = 64
[default_args]
env = { PROBE = "@FOLDER@" }
retries = 5
retry_delay = "200ms"
"#;
/// What a task's shell begins with.
const BEGIN: &str = r#"echo "start $FLOW_CLAIM" >> @FOLDER@/journal; "#;

/// A task that runs a shell. The names of those in the journal begin with `j_`.
fn shell(name: &str, depends_on: &[&str], more: &str, code: &str) -> String {
    let depends_on: Vec<String> = depends_on.iter().map(|task| format!("'{task}'")).collect();
    format!("[tasks.{name}]\ndepends_on = [{}]\n{more}bash = '''{BEGIN}{code}'''\n", depends_on.join(", "))
}

fn fan_out() -> String {
    let mut text = DEFAULTS.to_owned() + &shell("j_start", &[], "", "true");
    let middle: Vec<String> = (0..6).map(|number| format!("j_work_{number}")).collect();
    for (number, name) in middle.iter().enumerate() {
        text += &shell(name, &["j_start"], "", &format!("sleep 0.{number}"));
    }
    let middle: Vec<&str> = middle.iter().map(String::as_str).collect();
    text + &shell("j_end", &middle, "", "true")
}

/// The chain, in two versions that differ in length.
pub fn chain(length: usize) -> String {
    let mut text = DEFAULTS.to_owned() + &shell("j_0", &[], "", "echo 0");
    for number in 1..length {
        let before = format!("j_{}", number - 1);
        text += &shell(
            &format!("j_{number}"),
            &[&before],
            "",
            &format!("test {{{{ xcom.{before} }}}} = {}; echo {number}", number - 1),
        );
    }
    text
}

fn flaky() -> String {
    let fails_at_first = "sleep 0.1; [ {{ ti.try_number }} -ge 2 ]";
    DEFAULTS.to_owned()
        + &shell("j_first", &[], "", fails_at_first)
        + &shell("j_second", &["j_first"], "", fails_at_first)
        + &shell("j_alarm", &["j_second"], "trigger_rule = 'one_failed'\n", "true")
}

fn mixed() -> String {
    DEFAULTS.to_owned()
        + "[tasks.begin]\nnoop = true\n[tasks.wait]\ndepends_on = ['begin']\nsleep = '1500ms'\n"
        + &shell("j_skip", &["begin"], "", "exit 99")
        + &shell("j_slow", &["begin"], "overlap = 'forbid'\n", "sleep 2")
        + &shell("j_after", &["j_skip"], "", "true")
        + &shell("j_join", &["wait", "j_after", "j_slow"], "trigger_rule = 'none_failed'\n", "true")
}

fn ticking(schedule: &str) -> String {
    let text = DEFAULTS.replace("max_active_runs = 50", "max_active_runs = 3");
    format!("{schedule}{text}") + &shell("j_tick", &[], "", "true") + &shell("j_tock", &["j_tick"], "", "sleep 0.2")
}

/// Writes them all.
pub fn write(cluster: &Cluster) -> Result<()> {
    cluster.write_dag("fan_out", &fan_out())?;
    cluster.write_dag("chain", &chain(5))?;
    cluster.write_dag("flaky", &flaky())?;
    cluster.write_dag("mixed", &mixed())?;
    cluster.write_dag("mapped", &waiting::mapped())?;
    cluster.write_dag("waiting", &waiting::waiting(cluster.web_address()))?;
    cluster.write_dag("repeating", &waiting::repeating())?;
    cluster.write_dag("asking", &waiting::asking())?;
    cluster.write_dag("calling", &waiting::calling())?;
    cluster.write_dag(HOOKED, &waiting::hooked())?;
    cluster.write_dag("ticking", &ticking("schedule = { every = '2s' }\ncatchup = 'all'\n"))
}

/// Takes the schedule away, so that there is an end.
pub fn stop_schedule(cluster: &Cluster) -> Result<()> {
    cluster.write_dag("ticking", &ticking(""))
}
