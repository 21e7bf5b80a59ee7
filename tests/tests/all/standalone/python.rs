//! Python as people write it: functions, modules of ours, the module `flow`; from the file to the XCom.

use flow_tests::{Api, Standalone};
use serde_json::{Value, json};

/// A file of the DAG folder.
fn write(flow: &Standalone, path: &str, text: &str) {
    let path = flow.path("dags").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What a try of a task says about its end.
async fn reason(api: &Api, dag: &str, run: &str, task: &str) -> String {
    api.log(dag, run, task, 1).await.unwrap().join("\n")
}

const ENDS: &str = r#"
[default_args]
retries = 1
retry_delay = "1s"

[tasks.skips]
python = """
import flow
flow.skip("no rows today")
"""

[tasks.fails_for_good]
python = """
import flow
flow.fail("no access", retry=False)
"""

[tasks.raises]
retries = 0
python = """
import flow
print(flow.params["region"])
"""

[tasks.rule]
python = "raise ValueError('gone')"
failure_rules = [{ exit_code = 1, output = "gone", action = "skip" }]

[tasks.secret]
env = { X = "1" }
python = """
import flow
warehouse = flow.conn("warehouse")
print(warehouse.host, warehouse.password, warehouse.get_uri())
flow.push("leaked", {"p": warehouse.password})
try:
    flow.conn("nobody")
except flow.NotFound as error:
    print("not found:", error)
print(flow.var("nobody", "default"), flow.context.params["token"] if "token" in flow.params else "")
flow.fail("with " + warehouse.password, retry=False)
"""

[tasks.old]
retries = 0
python = { code = "print(1)", interpreter = "/bin/false" }

[tasks.no_file]
retries = 0
bash = "cat data/a.csv"

[tasks.no_script]
retries = 0
bash = "./load.sh"

[tasks.no_program]
retries = 0
bash = "no-such-program"

[tasks.no_file_anywhere]
retries = 0
bash = "cat /no/such/file"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn code_says_how_it_ends() {
    let mut flow = Standalone::new().env("AIRFLOW_CONN_WAREHOUSE", "postgres://ada:hunter2-hunter2@db.example.org/x");
    flow.write_dag("ends", ENDS);
    flow.start().await;
    let run = flow.trigger("ends");
    assert_eq!(flow.finished("ends", &run).await, "failed");
    let api = flow.api();
    let state = async |task: &str| {
        let tries = api.tries("ends", &run, task).await;
        (api.task("ends", &run, task).await["state"].clone(), tries.len())
    };
    assert_eq!(state("skips").await, (json!("skipped"), 1));
    assert_eq!(state("fails_for_good").await, (json!("failed"), 1));
    assert_eq!(state("raises").await, (json!("failed"), 1));
    assert_eq!(state("rule").await, (json!("skipped"), 1));
    assert_eq!(state("old").await, (json!("failed"), 1));
    let log = reason(api, "ends", &run, "raises").await;
    assert!(log.contains("File \"raises.py\", line 2, in <module>\n") && log.contains("KeyError: 'region'"), "{log}");
    assert!(!log.contains("exit code 1"), "{log}");
    assert_eq!(log.matches("KeyError: 'region'").count(), 1, "{log}");
    for (task, code, hint) in [
        ("no_file", 1, "hint: name a file of yours in `files`"),
        ("no_script", 127, "hint: name a file of yours in `files`"),
        ("no_program", 127, "hint: a program must be installed on the worker"),
        ("no_file_anywhere", 1, ""),
    ] {
        let log = reason(api, "ends", &run, task).await;
        assert!(log.contains(&format!("exit code {code}")) && log.contains(hint), "{task}: {log}");
        assert!(log.contains("hint:") != hint.is_empty(), "{task}: {log}");
    }
    let log = reason(api, "ends", &run, "secret").await;
    assert!(log.contains("db.example.org") && log.contains("not found: connection `nobody` does not exist"), "{log}");
    assert!(!log.contains("hunter2") && log.contains("with ***"), "{log}");
    let explained = flow.flowctl(&["tasks", "explain", "ends", "raises"]).stdout;
    assert!(explained.contains("KeyError: 'region'"), "{explained}");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_any_size_and_kind_reaches_a_function() {
    let mut flow = Standalone::new();
    let dag = "
[tasks.take.python]
call = 'taking:take'
with = { text = '{{ conf.text }}' }
";
    write(&flow, "taking.py", "def take(text, params=None):\n    return [text, params]\n");
    flow.write_dag("takes", dag);
    flow.start().await;
    let hostile = "\"}' $(id) `id` \\ {{ ds }} \u{7f}\u{2028}\u{1f600}\n".repeat(8_000);
    let body = json!({ "conf": { "text": hostile }, "logical_date": Value::Null });
    let (status, run) = flow.api().ask(reqwest::Method::POST, "/api/v2/dags/takes/dagRuns", Some(&body)).await.unwrap();
    assert_eq!(status, 200, "{run}");
    let run = run["dag_run_id"].as_str().unwrap().to_owned();
    assert_eq!(flow.finished("takes", &run).await, "success");
    let value = flow.api().xcom("takes", &run, "take", "return_value").await;
    assert_eq!(value[0].as_str().unwrap(), hostile);
    flow.stop_and_audit().await;
}

/// A package in a wheel, which can be installed without any index.
fn wheel(flow: &Standalone, path: &str, version: &str, code: &str) {
    let script = r#"
import sys, zipfile
path, version, code = sys.argv[1:]
info = f"demo_package-{version}.dist-info"
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr("demo_package.py", code)
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo-package\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
"#;
    let path = flow.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let made = std::process::Command::new("python3").arg("-c").arg(script).arg(path).args([version, code]).status();
    assert!(made.unwrap().success());
}

const PACKAGES: &str = r#"
[tasks.one.python]
requirements = ["@FOLDER@/wheels/demo_package-1.0-py3-none-any.whl"]
code = "import demo_package, sys; print(demo_package.NAME, sys.prefix)"

[tasks.same.python]
requirements = ["@FOLDER@/wheels/demo_package-1.0-py3-none-any.whl"]
code = "import demo_package, sys, flow; print(demo_package.NAME, sys.prefix)"

[tasks.file.python]
requirements = "requirements/main.txt"
code = "import demo_package; print(demo_package.NAME)"

[tasks.block]
python = """
# /// script
# requires-python = ">=3.9"
# dependencies = ["@FOLDER@/wheels/demo_package-1.0-py3-none-any.whl"]
# ///
import demo_package
print(demo_package.NAME)
"""

[tasks.broken.python]
requirements = ["@FOLDER@/wheels/no_such_package-1.0-py3-none-any.whl"]
code = "print(1)"

[tasks.newer.python]
requirements = []
requires_python = ">=4"
code = "print(1)"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_installed_once_for_all_who_need_the_same() {
    let mut flow = Standalone::new().configured(crate::python::without_uv);
    wheel(&flow, "wheels/demo_package-1.0-py3-none-any.whl", "1.0", "NAME = 'first'");
    write(&flow, "requirements/main.txt", "# packages\n-r more.txt\n");
    let more = format!("{}\n", flow.path("wheels/demo_package-1.0-py3-none-any.whl").display());
    write(&flow, "requirements/more.txt", &more);
    flow.write_dag("packages", PACKAGES);
    flow.start().await;
    let run = flow.trigger("packages");
    assert_eq!(flow.finished("packages", &run).await, "failed");
    let api = flow.api();
    let value = async |task: &str| api.xcom("packages", &run, task, "return_value").await;
    let (one, same) = (value("one").await, value("same").await);
    assert!(one == same && one.as_str().unwrap().starts_with("first "), "{one} {same}");
    assert_eq!((value("file").await, value("block").await), (json!("first"), json!("first")));
    let logs = [reason(api, "packages", &run, "one").await, reason(api, "packages", &run, "same").await];
    let built = logs.iter().filter(|log| log.contains("building the Python environment")).count();
    assert_eq!(built, 1, "{logs:?}");
    assert!(logs.iter().any(|log| log.contains("the Python environment is ready")), "{logs:?}");
    let broken = reason(api, "packages", &run, "broken").await;
    assert!(
        broken.contains("cannot build the Python environment: ERROR") && broken.contains("no_such_package"),
        "{broken}"
    );
    let newer = reason(api, "packages", &run, "newer").await;
    assert!(newer.contains("the task wants Python >=4, and the interpreter of this worker is 3."), "{newer}");
    flow.stop_and_audit().await;
}
