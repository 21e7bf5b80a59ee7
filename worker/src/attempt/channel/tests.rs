//! Real Python code on one end, the channel on the other.

use std::process::Output;

use flow_model::operator::Operator;
use serde_json::json;

use super::super::bench::Bench;
use super::super::python;
use super::*;

/// How code ended, and what the channel has heard of it.
struct Ended {
    output: Output,
    heard: Heard,
}

impl Ended {
    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    #[track_caller]
    fn values(&self) -> Map<String, Value> {
        assert!(self.output.status.success(), "{}", self.stderr());
        let value = |xcom: &NewXCom| (xcom.key.clone(), serde_json::from_str(&xcom.value).unwrap());
        self.heard.xcoms.iter().map(value).collect()
    }

    #[track_caller]
    fn error(&self) -> &str {
        match &self.heard.said {
            Some(Said::Error(why)) => why,
            other => panic!("{other:?}\n{}", self.stderr()),
        }
    }
}

fn bench() -> Bench {
    let operator = Operator::Noop(flow_model::operator::Noop {});
    let mut bench = Bench::new(&serde_json::to_value(operator).unwrap());
    bench.conf = Map::from_iter([("region".to_owned(), json!("eu")), ("n".to_owned(), json!(7))]);
    bench
}

/// Runs code as a task does; `kind` is `code`, or `call` with the code as the module `ours`.
async fn run(bench: &Bench, kind: &str, code: &str, with: Value) -> Ended {
    let (workshop, order) = (bench.workshop().await, bench.order());
    let log = AttemptLog::new(&order);
    let folder = AttemptFolder::create(&workshop.folder, "a").unwrap();
    let start = python::write(&folder).unwrap();
    let with = with.as_object().cloned().unwrap_or_default();
    let channel = Channel::open(&workshop, &order, &log, with, &folder).unwrap();
    let path = folder.write(if kind == "call" { "ours.py" } else { ".code/load.py" }, code.as_bytes()).unwrap();
    let what = if kind == "call" { "ours:task".to_owned() } else { path.display().to_string() };
    let mut command = tokio::process::Command::new("python3");
    command.arg(start).arg(kind).arg(folder.path()).arg(folder.path()).arg("load.py").arg(what);
    command.env("FLOW_SOCKET", folder.socket()).current_dir(folder.path());
    let output = tokio::select! {
        output = command.output() => output.unwrap(),
        never = channel.serve() => match never {},
    };
    Ended { output, heard: channel.finish() }
}

async fn code(code: &str) -> Ended {
    run(&bench(), "code", code, Value::Null).await
}

#[tokio::test]
async fn code_knows_its_task_and_leaves_values() {
    let ended = code(
        r#"
import datetime, decimal, uuid, pathlib, dataclasses
import flow
@dataclasses.dataclass
class Row:
    n: int
assert flow.context.logical_date is None and flow.context["ds"] is None
assert flow.context.run_after.tzinfo is not None, flow.context.run_after
assert flow.context.ti.try_number == 2 and flow.context.dag_run.run_type == "manual"
assert flow.context.dag.dag_id == "sales" and flow.context["task"]["task_id"] == "load"
flow.push("params", flow.params)
flow.push("many", [1, 2.5, True, None, "å\u2028\n", {"k": (1, 2)}, 2**53 + 1, 2**100])
flow.push("when", [datetime.date(2026, 3, 5), datetime.datetime(2026, 3, 5, tzinfo=datetime.timezone.utc)])
flow.push("text", [decimal.Decimal("1.20"), uuid.UUID(int=1), pathlib.Path("/x"), Row(3)])
flow.push("again", 1)
flow.push("again", 2)
flow.push("large", "x" * (1024 * 1024 - 2))
"#,
    )
    .await;
    let values = ended.values();
    assert_eq!(values["params"], json!({ "region": "eu", "n": 7 }));
    let big: Value = serde_json::from_str("1267650600228229401496703205376").unwrap();
    assert_eq!(
        values["many"],
        json!([1, 2.5, true, null, "å\u{2028}\n", { "k": [1, 2] }, 9_007_199_254_740_993_i64, big])
    );
    assert_eq!(values["when"], json!(["2026-03-05", "2026-03-05T00:00:00+00:00"]));
    assert_eq!(values["text"], json!(["1.20", "00000000-0000-0000-0000-000000000001", "/x", { "n": 3 }]));
    assert_eq!((&values["again"], values["large"].as_str().unwrap().len()), (&json!(2), 1024 * 1024 - 2));
}

#[tokio::test]
async fn what_is_no_value_is_refused_where_it_is_pushed() {
    let cases = [
        ("{1, 2}", "TypeError: a value of type `set` is not JSON"),
        ("object()", "TypeError: a value of type `object` is not JSON"),
        ("float('nan')", "ValueError: the value holds NaN or an infinity"),
        ("[float('inf')]", "ValueError: the value holds NaN or an infinity"),
        ("'\\ud800'", "ValueError: the value holds half of a surrogate pair"),
        ("b'x'", "TypeError: a value of type `bytes` is not JSON"),
        ("'x' * (1 << 20)", "flow.FlowError: the XCom `k` has 1048578 bytes, which is more than 1 MiB"),
        ("'x' * (3 << 20)", "flow.FlowError: the XCom `value` has 31"),
    ];
    for (value, told) in cases {
        let ended = code(&format!("import flow\nflow.push('k', {value})\n")).await;
        assert!(ended.error().starts_with(told), "{value}: {}", ended.error());
        assert_eq!((ended.output.status.code(), ended.heard.xcoms.len()), (Some(1), 0), "{value}");
    }
    assert!(code("import flow\nflow.push('a=b', 1)").await.error().contains("cannot be the key"));
}

#[tokio::test]
async fn a_traceback_has_the_authors_code_alone() {
    let ended = code("import flow\ndef inner():\n    return flow.params['Region']\ninner()\n").await;
    let expected = "Traceback (most recent call last):\n  File \"load.py\", line 4, in <module>\n    inner()\n  File \"load.py\", line 3, in inner\n    return flow.params['Region']\n";
    let shown: String = ended
        .stderr()
        .lines()
        .filter(|line| !line.trim_start().starts_with(['^', '~']))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(shown, format!("{expected}KeyError: 'Region'\n"));
    assert_eq!(ended.error(), "KeyError: 'Region'");
    let cases = [
        ("x = (\n", "SyntaxError: '(' was never closed (load.py, line 1)"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("class Odd(Exception): pass\nraise Odd('a\\nb')", "Odd: a\nb"),
        ("raise Exception", "Exception"),
        ("import sys; sys.exit('no licence')", "no licence"),
        (
            "import flow; flow.xcom('nobody')",
            "flow.FlowError: there is no task `nobody` in this DAG\nhint: its tasks are `load`",
        ),
    ];
    for (source, told) in cases {
        let ended = code(source).await;
        assert!(ended.error().starts_with(told), "{source}: {}", ended.error());
        assert!(!ended.stderr().contains("_flow_runner") && !ended.stderr().contains(".flow/"), "{}", ended.stderr());
    }
    let chained = code("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('bad') from e\n").await;
    assert!(chained.stderr().contains("ZeroDivisionError") && chained.stderr().contains("direct cause"));
    assert_eq!(chained.error(), "ValueError: bad");
}

/// Where the author's code has no part in it, or something of ours is in between, nothing else is shown.
#[tokio::test]
async fn a_traceback_begins_and_ends_in_the_authors_code() {
    let cases = [
        // What is pushed fails in Python's library, on behalf of ours.
        ("import flow\ndef task():\n    flow.push('k', {1})\n", vec!["ours.py"], "TypeError: a value of type `set`"),
        ("import flow\ndef task():\n    flow.conn('nobody')\n", vec!["ours.py"], "flow.NotFound: connection `nobody`"),
        // What an import goes through, and a coroutine.
        ("import flow\n1 / 0\n", vec!["ours.py"], "ZeroDivisionError: division by zero"),
        ("async def task():\n    1 / 0\n", vec!["ours.py"], "ZeroDivisionError: division by zero"),
        ("x = (\n", vec!["ours.py"], "SyntaxError: '(' was never closed (ours.py, line 1)"),
        // Python's library, called by the author, is a part of it.
        ("import json\ndef task():\n    json.loads('x')\n", vec!["ours.py", "json"], "json.decoder.JSONDecodeError: "),
    ];
    for (source, files, told) in cases {
        let ended = run(&bench(), "call", source, json!({})).await;
        let stderr = ended.stderr();
        assert!(ended.error().starts_with(told), "{source}: {}", ended.error());
        let shown: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("  File \"")).collect();
        assert!(shown.first().is_some_and(|first| first.starts_with("ours.py")), "{stderr}");
        assert!(shown.iter().all(|shown| files.iter().any(|file| shown.contains(file))), "{stderr}");
    }
}

#[tokio::test]
async fn what_a_function_returns_and_is_no_value_is_told_with_a_way_out() {
    let cases = [
        ("{1, 2}", "a value of type `set` that cannot be JSON: ", "hint: return a list"),
        ("(n for n in range(3))", "a value of type `generator` that cannot be JSON: ", "hint: return a list"),
        ("{'rows': {1}}", "a value of type `dict` that cannot be JSON: a value of type `set` is", "hint: return texts"),
        ("object()", "a value of type `object` that cannot be JSON: ", "hint: return texts"),
        ("b'x'", "a value of type `bytes` that cannot be JSON: ", "hint: return texts"),
        ("float('nan')", "a value of type `float` that cannot be JSON: the value holds NaN", "hint: return texts"),
        ("'\\ud800'", "a value of type `str` that cannot be JSON: the value holds half", "hint: return texts"),
    ];
    for (value, what, hint) in cases {
        let ended = run(&bench(), "call", &format!("def task():\n    return {value}\n"), json!({})).await;
        let told = ended.error();
        assert!(
            told.starts_with(&format!("`ours:task` has returned {what}")) && told.contains(hint),
            "{value}: {told}"
        );
        assert_eq!((ended.stderr().as_str(), ended.output.status.code()), ("", Some(1)), "{value}");
    }
}

#[tokio::test]
async fn what_is_missing_comes_with_where_to_name_it() {
    let cases = [
        ("import no_such_module", "hint: name the package that has `no_such_module` in `requirements`"),
        ("import no_such.module", "hint: name the package that has `no_such` in `requirements`"),
        ("import json.no_such", ""),
        ("open('data/a.csv')", "hint: name a file of yours in `files`"),
        ("import pathlib; pathlib.Path('a.csv').read_text()", "hint: name a file of yours in `files`"),
        ("import subprocess; subprocess.run(['./x.sh'])", "hint: name a file of yours in `files`"),
        ("import subprocess; subprocess.run(['no-such-program'])", ""),
        ("open('/no/such/file')", ""),
    ];
    for (source, hint) in cases {
        let ended = code(source).await;
        let told = ended.error();
        assert!(told.contains(hint) && told.contains("hint:") != hint.is_empty(), "{source}: {told}");
    }
}

#[tokio::test]
async fn what_is_logged_is_shown_from_info_on_with_its_level_and_logger() {
    let source =
        "import logging\nlog = logging.getLogger(__name__)\nlog.debug('d')\nlog.info('i %s', 1)\nlog.warning('w')\n";
    assert_eq!(code(source).await.stderr(), "INFO:__main__:i 1\nWARNING:__main__:w\n");
    let function = format!(
        "{source}def task():\n    log.info('in a function')\n    logging.info('at the root')\n    log.info('z')\n"
    );
    let ended = run(&bench(), "call", &function, json!({})).await;
    let expected = "INFO:ours:i 1\nWARNING:ours:w\nINFO:ours:in a function\nINFO:root:at the root\nINFO:ours:z\n";
    assert_eq!(ended.stderr(), expected);
    // What the author sets up wins, whichever way.
    let setups = [
        ("logging.basicConfig(format='own %(message)s', level=logging.WARNING)", "own w\n"),
        ("logging.basicConfig(format='own %(message)s', level='DEBUG')", "own d\nown i\nown w\n"),
        (
            "import logging.config\nlogging.config.dictConfig({'version': 1, 'root': {'level': 'ERROR', 'handlers': []}})",
            "",
        ),
        ("logging.getLogger().setLevel(logging.WARNING)", "WARNING:x:w\n"),
        ("logging.getLogger().setLevel(logging.DEBUG)", "DEBUG:x:d\nINFO:x:i\nWARNING:x:w\n"),
        ("import sys\nlogging.getLogger('x').addHandler(logging.StreamHandler(sys.stderr))", "i\nw\n"),
    ];
    for (setup, expected) in setups {
        let source =
            format!("import logging\n{setup}\nx = logging.getLogger('x')\nx.debug('d'); x.info('i'); x.warning('w')\n");
        assert_eq!(code(&source).await.stderr(), expected, "{setup}");
    }
}

#[tokio::test]
async fn code_says_how_it_ends() {
    let skip = "import flow\ntry:\n    flow.skip('no rows')\nexcept Exception:\n    pass\n";
    assert_eq!(code(skip).await.heard.said, Some(Said::Skip("no rows".to_owned())));
    let fail = code("import flow\nflow.fail('no access', retry=False)\n").await;
    assert_eq!(fail.heard.said, Some(Said::Fail { reason: "no access".to_owned(), retry: false }));
    assert_eq!((fail.stderr().as_str(), fail.output.status.code()), ("", Some(1)));
    let exit = code("import sys; sys.exit(3)").await;
    assert_eq!((exit.output.status.code(), exit.heard.said), (Some(3), None));
    assert!(code("import sys; sys.exit(0)").await.output.status.success());
    let main = code("assert __name__ == '__main__'\nimport sys\nassert sys.argv[0] == __file__\nprint('ok')").await;
    assert_eq!(String::from_utf8_lossy(&main.output.stdout), "ok\n", "{}", main.stderr());
}

#[tokio::test]
async fn a_function_gets_native_values_and_returns_one() {
    let function = r#"
def task(day, files, *, ds=None, params=None, ti=None, run_id="none", absent=5):
    import flow
    assert isinstance(files, list) and ti.task_id == "load" and ds is None
    return {"day": day, "files": files, "region": params["region"], "run": run_id, "absent": absent}
"#;
    let with = json!({ "day": "2026-03-05", "files": ["a", { "b": [null, 1.5] }] });
    let ended = run(&bench(), "call", function, with.clone()).await;
    let expected = json!({
        "day": "2026-03-05", "files": ["a", { "b": [null, 1.5] }], "region": "eu", "run": "manual__1", "absent": 5,
    });
    assert_eq!(ended.values()["return_value"], expected);
    let nothing =
        run(&bench(), "call", "def task(**kwargs):\n    assert kwargs['ti'] and kwargs['day']\n", with.clone()).await;
    assert!(nothing.values().is_empty());
    let later = run(&bench(), "call", "async def task(**_):\n    return 1\n", with.clone()).await;
    assert_eq!(later.values()["return_value"], json!(1));
    let large = json!({ "text": "x".repeat((1 << 20) - 10) });
    let large = run(&bench(), "call", "def task(text):\n    return len(text)\n", large).await;
    assert_eq!(large.values()["return_value"], json!((1 << 20) - 10));
}

/// What templates know, code knows, too; but for `xcom`, which is `flow.xcom`.
#[tokio::test]
async fn code_has_the_names_of_templates() {
    let source = r#"
import flow, datetime
flow.push("names", list(flow.context))
macros = flow.context.macros
assert macros.ds_add("2026-02-28", 1) == "2026-03-01" and macros.ds_add("2026-03-01", -1) == "2026-02-28"
assert macros.ds_format("2026-03-05", "%Y-%m-%d", "%d/%m") == "05/03"
assert macros.datetime is datetime.datetime and macros.timedelta(days=1).days == 1
assert macros.json.loads("[1]") == [1] and 0 <= macros.random() < 1 and macros.uuid.uuid4() and macros.time.time()
assert flow.context.inlets == [] and flow.context["outlets"] == [] and flow.context.test_mode is False
assert flow.context.prev_start_date_success is None and flow.context["prev_data_interval_end_success"] is None
assert flow.context.ti.operator == "noop" and flow.context.dag_run.external_trigger and flow.context.ti.start_date.tzinfo
try:
    flow.context.nothing
except AttributeError as error:
    assert "there is no `nothing` here" in str(error)
else:
    raise AssertionError
"#;
    let names = code(source).await.values()["names"].clone();
    for name in flow_template::names::TEMPLATE_NAMES.iter().filter(|name| **name != "xcom") {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{name}");
    }
    let asks = "def task(*, prev_end_date_success='unset', macros=None, outlets=None):\n    return [prev_end_date_success, macros.ds_add('2026-01-01', 1), outlets]\n";
    let ended = run(&bench(), "call", asks, json!({})).await;
    assert_eq!(ended.values()["return_value"], json!([null, "2026-01-02", []]));
}

#[tokio::test]
async fn a_function_that_does_not_fit_is_told() {
    let with = json!({ "day": 1 });
    let cases = [
        ("def other(): ...", "`ours` has no `task`"),
        ("task = 3", "`ours:task` is no function, but int"),
        ("def task(days): ...", "`ours:task` takes no argument `day`\nhint: did you mean `days`?"),
        ("def task(day, region): ...", "`ours:task` needs `region`"),
        ("def task(day, /): ...", "`ours:task` takes `day` by position only"),
    ];
    for (source, told) in cases {
        let ended = run(&bench(), "call", source, with.clone()).await;
        let Some(Said::Fail { reason, retry: false }) = &ended.heard.said else {
            panic!("{source}: {}", ended.stderr())
        };
        assert!(reason.starts_with(told), "{source}: {reason}");
    }
    let raised = run(&bench(), "call", "def task(day):\n    return {}[day]\n", with).await;
    assert_eq!(raised.error(), "KeyError: 1");
    assert!(raised.stderr().contains("File \"ours.py\", line 2, in task") && !raised.stderr().contains("importlib"));
}

#[tokio::test]
async fn secrets_that_were_handed_out_are_hidden_in_the_log() {
    let bench = bench();
    let (workshop, order) = (bench.workshop().await, bench.order());
    let log = AttemptLog::new(&order);
    let folder = AttemptFolder::create(&workshop.folder, "a").unwrap();
    let channel = Channel::open(&workshop, &order, &log, Map::new(), &folder).unwrap();
    let question = json!({ "ask": "conn", "name": "registry" }).to_string();
    let read = Read { length: question.len(), bytes: question.into_bytes() };
    let answer = channel.answer(&read).await.unwrap();
    assert_eq!(answer["value"]["password"], "hunter2-hunter2");
    assert!(answer["value"]["uri"].as_str().unwrap().starts_with("docker://ada:"));
    assert_eq!(log.masker().mask("it is hunter2-hunter2"), "it is ***");
}

#[tokio::test]
async fn questions_come_from_threads_and_from_other_processes() {
    let source = r#"
import flow, threading, os
def leave(n):
    flow.push(f"t{n}", n)
threads = [threading.Thread(target=leave, args=(n,)) for n in range(100)]
for thread in threads: thread.start()
for thread in threads: thread.join()
pid = os.fork()
if pid == 0:
    flow.push("forked", True)
    os._exit(0)
os.waitpid(pid, 0)
"#;
    let ended = code(source).await;
    assert_eq!((ended.values().len(), &ended.values()["forked"]), (101, &json!(true)));
}

#[test]
fn instances_are_asked_for_by_numbers() {
    assert_eq!(instances(&Value::Null), Ok(XComInstances::All));
    assert_eq!(instances(&json!(3)), Ok(XComInstances::One(3)));
    assert_eq!(instances(&json!([0, 2])), Ok(XComInstances::Several(vec![0, 2])));
    assert!(instances(&json!("x")).is_err() && instances(&json!([1.5])).is_err());
}
