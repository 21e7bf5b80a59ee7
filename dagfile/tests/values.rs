//! What good files mean: the DAG that comes out.

use std::time::Duration;

use flow_dagfile::{check_text, render};
use flow_model::dag::{Catchup, Output, Overlap, WeightRule};
use flow_model::operator::Operator;
use flow_model::schedule::{Schedule, TimeRule};
use flow_model::{Dag, Task, Timestamp, TriggerRule};
use serde_json::json;

#[track_caller]
fn dag(text: &str) -> Dag {
    let file = check_text("team/my_dag.toml", text, None);
    let rendered = render(&file, false);
    file.result.unwrap_or_else(|_| panic!("{rendered}")).dag
}

/// The DAG of some top-level keys.
#[track_caller]
fn with(keys: &str) -> Dag {
    dag(&format!("{keys}\n[tasks.a]\nnoop = true\n"))
}

#[track_caller]
fn task(text: &str) -> Task {
    dag(&format!("[tasks.a]\n{text}\n")).tasks.remove(0)
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_jiff(text.parse().unwrap())
}

#[test]
fn defaults_are_those_of_airflow() {
    let dag = with("");
    assert_eq!((dag.dag_id.as_str(), dag.owner.as_str(), dag.catchup), ("my_dag", "flow", Catchup::Latest));
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.dagrun_timeout), (16, 16, None));
    assert_eq!((dag.schedule, dag.start_date, dag.is_paused_upon_creation), (Schedule::None, None, None));
    let task = &dag.tasks[0];
    assert_eq!((task.trigger_rule, task.retry.retries, task.owner.as_str()), (TriggerRule::AllSuccess, 0, "flow"));
    assert_eq!(
        (task.retry.retry_delay, task.retry.max_retry_delay),
        (Duration::from_secs(300), Duration::from_secs(86_400))
    );
    assert_eq!((task.pool.as_str(), task.pool_slots, task.priority_weight), ("default_pool", 1, 1));
    assert_eq!(
        (task.queue.as_str(), task.weight_rule, task.overlap),
        ("default", WeightRule::Downstream, Overlap::Allow)
    );
    assert_eq!((task.output, task.execution_timeout), (Output::None, None));
}

#[test]
fn the_hash_follows_the_meaning() {
    let one = "owner = 'ops'\ntags = ['b', 'a']\n[tasks.a]\nbash = 'echo a'\n[tasks.b]\ndepends_on = ['c', 'a']\nbash = 'echo b'\n[tasks.c]\nnoop = true\n";
    let same = "# A comment.\ntags = [\"a\", \"b\",]\n\n[tasks]\nc.noop = true\n[tasks.b]\nbash.command = \"echo b\" # here, too\ndepends_on = [\"a\", \"c\", \"a\"]\n[tasks.a]\nbash = \"\"\"echo a\"\"\"\nretries = 0\n";
    assert_ne!(dag(one).content_hash(), dag(same).content_hash(), "the owner is part of the meaning");
    let same = format!("owner = \"ops\"\n{same}");
    assert_eq!(dag(one), dag(&same));
    assert_eq!(dag(one).content_hash(), dag(&same).content_hash());
    assert_ne!(dag(one).content_hash(), dag(&one.replace("echo a", "echo  a")).content_hash());
}

#[test]
fn tasks_come_in_topological_order() {
    let dag = dag("[tasks.a]\nnoop = true\ndepends_on = 'z'\n[tasks.z]\nnoop = true\n[tasks.m]\nnoop = true\n");
    assert_eq!(dag.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["m", "z", "a"]);
}

#[test]
fn every_form_of_schedule() {
    let rules = |keys: &str| match with(keys).schedule {
        Schedule::Times { rules, .. } => rules,
        other => panic!("{keys}: {other:?}"),
    };
    let cron =
        |expression: &str, timezone: &str| TimeRule::Cron { expression: expression.into(), timezone: timezone.into() };
    let every = |seconds| TimeRule::Every { interval: Duration::from_secs(seconds) };
    assert_eq!(with("schedule = 'none'").schedule, Schedule::None);
    assert_eq!(with("schedule = '@once'").schedule, Schedule::Once);
    assert_eq!(with("schedule = '@continuous'").schedule, Schedule::Continuous);
    assert_eq!(rules("schedule = '0 6 * * 1-5'"), [cron("0 6 * * 1-5", "UTC")]);
    assert_eq!(rules("schedule = '@daily'\ntimezone = 'Asia/Tokyo'"), [cron("@daily", "Asia/Tokyo")]);
    assert_eq!(
        rules("timezone = 'Asia/Tokyo'\nschedule = { cron = ['0 6 * * *', '@weekly'], timezone = 'Europe/Paris' }"),
        [cron("0 6 * * *", "Europe/Paris"), cron("@weekly", "Europe/Paris")]
    );
    assert_eq!(rules("schedule = { every = '1h 30m' }"), [every(5_400)]);
    assert_eq!(rules("schedule = { every = 90 }"), [every(90)]);
    assert_eq!(rules("schedule.every = 1.5"), [TimeRule::Every { interval: Duration::from_millis(1_500) }]);
    assert_eq!(
        rules("schedule = { at = [2026-03-01, '2026-02-01T06:00:00+01:00', 2026-03-01] }"),
        [TimeRule::At { instants: vec![at("2026-02-01T05:00:00Z"), at("2026-03-01T00:00:00Z")] }]
    );
    assert_eq!(rules("schedule = ['@hourly', { every = '7s' }]"), [cron("@hourly", "UTC"), every(7)]);
    let intervals = |keys: &str| matches!(with(keys).schedule, Schedule::Times { data_intervals: true, .. });
    assert!(intervals("schedule = { cron = '@daily', data_intervals = true }"));
    assert!(!intervals("schedule = '@daily'"));
}

#[test]
fn dates_without_an_offset_stand_in_the_zone() {
    let start =
        |written: &str| with(&format!("timezone = 'Europe/Stockholm'\nstart_date = {written}")).start_date.unwrap();
    assert_eq!(start("2026-01-01"), at("2025-12-31T23:00:00Z"));
    assert_eq!(start("2026-07-01T06:30:00"), at("2026-07-01T04:30:00Z"));
    assert_eq!(start("2026-07-01 06:30:00.5"), at("2026-07-01T04:30:00.5Z"));
    assert_eq!(start("2026-07-01T06:30:00Z"), at("2026-07-01T06:30:00Z"));
    assert_eq!(start("'2026-07-01T06:30:00+05:00'"), at("2026-07-01T01:30:00Z"));
    // Two o'clock does not exist in that night.
    assert_eq!(start("2026-03-29T02:30:00"), at("2026-03-29T01:30:00Z"));
    assert_eq!(with("end_date = '2026-01-01'").end_date.unwrap(), at("2026-01-01T00:00:00Z"));
}

#[test]
fn durations_have_units_or_are_seconds() {
    let timeout =
        |written: &str| task(&format!("noop = true\nexecution_timeout = {written}")).execution_timeout.unwrap();
    assert_eq!(timeout("'90s'"), Duration::from_secs(90));
    assert_eq!(timeout("'1h 30m'"), Duration::from_secs(5_400));
    assert_eq!(timeout("'2d'"), Duration::from_secs(172_800));
    assert_eq!(timeout("'PT5M'"), Duration::from_secs(300));
    assert_eq!(timeout("90"), Duration::from_secs(90));
    assert_eq!(timeout("0.25"), Duration::from_millis(250));
}

#[test]
fn catchup_understands_booleans() {
    for (written, expected) in [
        ("true", Catchup::All),
        ("false", Catchup::None),
        ("'all'", Catchup::All),
        ("'none'", Catchup::None),
        ("'latest'", Catchup::Latest),
    ] {
        assert_eq!(with(&format!("catchup = {written}")).catchup, expected, "{written}");
    }
}

#[test]
fn default_args_are_for_all_tasks_and_their_own_settings_win() {
    let dag = dag(r#"
owner = "ops"
[default_args]
retries = 3
retry_delay = "10s"
pool = "small"
env = { A = "default", B = 2 }
params = { x = 1, y = 1 }
[tasks.a]
noop = true
[tasks.b]
bash = "true"
owner = "ada"
retries = 0
env = { A = "own", C = true }
params = { y = 2 }
"#);
    let (a, b) = (&dag.tasks[0], &dag.tasks[1]);
    assert_eq!((a.retry.retries, b.retry.retries), (3, 0));
    assert_eq!((a.owner.as_str(), b.owner.as_str()), ("ops", "ada"));
    assert_eq!((a.pool.as_str(), b.pool.as_str()), ("small", "small"));
    assert_eq!(b.retry.retry_delay, Duration::from_secs(10));
    assert_eq!(json!(a.env), json!({ "A": "default", "B": "2" }));
    assert_eq!(json!(b.env), json!({ "A": "own", "B": "2", "C": "true" }));
    assert_eq!(json!(b.params), json!({ "x": 1, "y": 2 }));
}

#[test]
fn short_forms_of_operators_are_their_long_forms() {
    for (short, long) in [
        ("bash = 'ls'", "bash = { command = 'ls' }"),
        ("bash = 'ls'", "bash = { command = 'ls', skip_on_exit_code = 99 }"),
        ("python = 'print()'", "python = { code = 'print()', interpreter = 'python3' }"),
        ("command = ['ls', '-l']", "command = { argv = ['ls', '-l'] }"),
        (
            "http = 'https://example.org'",
            "http = { url = 'https://example.org', method = 'GET', expected_status = ['2xx'], timeout = '1m' }",
        ),
        ("sleep = '5s'", "sleep = { duration = '5s' }"),
        ("noop = true", "noop = {}"),
    ] {
        assert_eq!(task(short), task(long), "{short}");
    }
    assert!(matches!(task("bash = { script = 'a.sh' }").operator, Operator::Bash(bash) if bash.command.is_none()));
}

#[test]
fn params_are_declarations_or_just_defaults() {
    let dag = with(
        "[params]\nregion = { enum = ['eu', 'us'], default = 'eu' }\nrows = 5\nshare = 0.5\nday = 2026-01-01\nneeded = { type = 'string' }\npoint = { x = 1 }\n",
    );
    assert_eq!(
        json!(dag.params),
        json!({
            "region": { "default": "eu", "enum": ["eu", "us"] },
            "rows": { "default": 5, "type": "integer" },
            "share": { "default": 0.5, "type": "number" },
            "day": { "default": "2026-01-01", "type": "string", "format": "date" },
            "needed": { "type": "string" },
            "point": { "default": { "x": 1 }, "type": "object" },
        })
    );
}

#[test]
fn retries_back_off_by_a_factor() {
    let factor =
        |written: &str| task(&format!("noop = true\nretry_exponential_backoff = {written}")).retry.retry_backoff_factor;
    assert_eq!((factor("true"), factor("false"), factor("3"), factor("1.5")), (2.0, 1.0, 3.0, 1.5));
}

#[test]
fn waiting_for_downstream_is_waiting_for_the_past() {
    let task = task("noop = true\nwait_for_downstream = true");
    assert!(task.depends_on_past && task.wait_for_downstream);
}

#[test]
fn windows_text_is_text() {
    let file = check_text("a.toml", "\u{feff}owner = \"ops\"\r\n[tasks.a]\r\nbash = 5\r\n", None);
    let diagnostics = file.result.unwrap_err();
    assert_eq!((diagnostics.len(), diagnostics[0].line, diagnostics[0].column), (1, 3, 8));
}

#[test]
fn a_name_that_is_no_id_is_told() {
    let file = check_text("team/my dag.toml", "[tasks.a]\nnoop = true\n", None);
    let diagnostics = file.result.unwrap_err();
    assert_eq!(diagnostics[0].message, "the file's name gives the dag_id `my dag`, which is not usable");
}

#[test]
fn the_schema_describes_every_key() {
    let schema = flow_dagfile::schema();
    for (key, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{key} has no description");
    }
    for (key, property) in schema["$defs"]["task"]["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{key} has no description");
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_are_no_content() {
    let unix = "description = \"x\"\n[tasks.a]\nbash = \"\"\"\nset -e\nif true; then\n  echo yes\nfi\n\"\"\"\n[tasks.b]\npython = '''\nprint(1)\n'''\n";
    let plain = dag(unix);
    for text in
        [unix.replace('\n', "\r\n"), format!("\u{feff}{unix}"), format!("\u{feff}{}", unix.replace('\n', "\r\n"))]
    {
        assert_eq!(dag(&text), plain);
    }
    let places = |text: &str| {
        let broken = check_text("a.toml", text, None).result.unwrap_err();
        broken.iter().map(|mistake| (mistake.line, mistake.column)).collect::<Vec<_>>()
    };
    let broken = "[tasks.a]\nbash = 'x'\nretires = 1\n";
    assert_eq!(places(broken), places(&broken.replace('\n', "\r\n")));
}

#[test]
fn ids_do_not_lead_out_of_their_place() {
    for text in [
        "dag_id = '..'\n[tasks.a]\nnoop = true\n",
        "dag_id = '.'\n[tasks.a]\nnoop = true\n",
        "[tasks.\"..\"]\nnoop = true\n",
        "[tasks.\".\"]\nnoop = true\n",
    ] {
        let mistakes = check_text("a.toml", text, None).result.unwrap_err();
        assert!(mistakes[0].message.contains("is not usable"), "{:?}", mistakes[0].message);
    }
    dag("dag_id = 'a..b'\n[tasks.\"...\"]\nnoop = true\n");
}

#[test]
fn status_codes_may_be_numbers() {
    for operator in ["http", "http_sensor"] {
        let task =
            task(&format!("{operator} = {{ url = 'https://example.org', expected_status = [200, '4xx', '503'] }}"));
        let told = serde_json::to_value(&task.operator).unwrap().to_string();
        assert!(told.contains(r#""expected_status":["200","4xx","503"]"#), "{told}");
        let wrong = format!("[tasks.a]\n{operator} = {{ url = 'https://example.org', expected_status = [2000] }}\n");
        let mistakes = check_text("a.toml", &wrong, None).result.unwrap_err();
        assert!(mistakes[0].message.contains("`2000` is not a status code"), "{:?}", mistakes[0].message);
    }
}

#[test]
fn events_bring_params_that_are_not_declared() {
    let warned = |schedule: &str, param: &str| {
        let text = format!("schedule = {schedule}\n[tasks.a]\ncommand = [\"echo\", \"{{{{ params.{param} }}}}\"]\n");
        let file = check_text("team/my_dag.toml", &text, None);
        let rendered = render(&file, false);
        !file.result.unwrap_or_else(|_| panic!("{rendered}")).warnings.is_empty()
    };
    let files = "{ files = { path = \"/in/*\" } }";
    for key in ["path", "size", "modified"] {
        assert!(!warned(files, key), "{key}");
    }
    assert!(warned(files, "order"), "files bring no such key");
    let webhook = |key: &str| format!("{{ webhook = {{ name = \"orders\", secret = \"s\"{key} }} }}");
    assert!(!warned(&webhook(""), "order"), "the sender chooses");
    assert!(!warned(&webhook(", key = \"body\""), "body"));
    assert!(warned(&webhook(", key = \"body\""), "order"), "the whole body is one key");
    assert!(!warned("{ stream = { connection = \"redis\", stream = \"orders\" } }", "order"), "the sender chooses");
}
