//! Python as people write it, in both homes: alone on SQLite, and on PostgreSQL and Redis with a process for each role.
//! Functions, scripts, what they import, packages; and that a run keeps the files that it started with.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_tests::{Program, eventually_within};
use serde_json::json;

use crate::examples::Home;

const LOAD: &str = r#"
import flow
from sales import rates
from . import rounding

def orders(day, files, numbers, nothing, *, params=None, ti=None, logical_date=None, macros=None, prev_start_date_success=0):
    print("this line is no output")
    assert logical_date.tzinfo is not None and prev_start_date_success is None
    flow.push("named", ti.xcom_pull("list_files"))
    flow.push("later", macros.ds_add(day, 1))
    return {"day": day, "files": files, "n": rounding.up(sum(numbers) * rates.RATE), "nothing": nothing}
"#;

const DAG: &str = r#"
[params]
numbers = { type = "array", default = [1, 2.5] }

[tasks.list_files]
command = ["echo", '["a b", "$(id)", "ö"]']
output = "json"

[tasks.orders]
depends_on = ["list_files"]
outputs = { return_value = { type = "object" } }
python = { call = "sales.load:orders", with = { day = "{{ ds }}", files = ["{{ xcom.list_files[1] }}", 1], numbers = [1, 2], nothing = true } }

[tasks.script]
depends_on = ["orders"]
python = { script = "scripts/report.py", args = ["{{ ds }}"], stdin = "{{ xcom.orders.day }}" }
files = ["queries/*.sql"]

[tasks.shared.bash]
script = "../shared/hello.sh"
stdin = "from {{ ds }}"
args = ["x"]

[tasks.package.python]
requirements = ["@FOLDER@/wheels/demo_package-1.0-py3-none-any.whl"]
call = "packaged:name"

[tasks.plugin.plugin]
name = "greet"
with = { name = "Ada" }

[tasks.pick]
branch = { bash = "cat", stdin = "{{ 'chosen' }}" }
[tasks.chosen]
depends_on = ["pick"]
command_sensor = { command = "grep -q there", stdin = "there" }
[tasks.other]
depends_on = ["pick"]
noop = true
[tasks.goes_on]
short_circuit = { bash = "cat", stdin = "{{ 'yes' }}" }
[tasks.after]
depends_on = ["goes_on"]
bash = "echo went on"
"#;

const PLUGIN: &str = "#!/usr/bin/env python3
import json, sys
from wording import greeting
request = json.loads(sys.stdin.readline())
print(json.dumps({'type': 'result', 'state': 'success', 'value': greeting(request['with']['name'])}))
";

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join("dags").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn prepare(folder: &Path) {
    write(folder, "sales/__init__.py", "");
    write(folder, "sales/load.py", LOAD);
    write(folder, "sales/rates.py", "RATE = 2\n");
    write(folder, "sales/rounding.py", "import math\ndef up(value): return math.ceil(value)\n");
    let report = "import sys, flow, helper\nfrom sales.rates import RATE\nprint(helper.text(sys.argv[1], sys.stdin.read(), open('queries/a.sql').read(), RATE, flow.xcom('orders')['n']))\n";
    write(folder, "team/scripts/report.py", report);
    write(folder, "team/scripts/helper.py", "def text(*parts): return '|'.join(map(str, parts))\n");
    write(folder, "team/queries/a.sql", "select 1");
    write(folder, "team/plugins/greet", PLUGIN);
    write(folder, "team/plugins/wording.py", "def greeting(name): return f'hello {name}'\n");
    write(folder, "team/packaged.py", "import demo_package\ndef name(): return demo_package.NAME\n");
    write(folder, "shared/hello.sh", "echo \"$1 $(cat) $(basename \"$PWD\")\"\n");
    wheel(folder);
    write(folder, "team/load.toml", &DAG.replace("@FOLDER@", &folder.display().to_string()));
}

/// A package that can be installed without any index.
fn wheel(folder: &Path) {
    let script = r#"
import sys, zipfile
info = "demo_package-1.0.dist-info"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("demo_package.py", "NAME = 'packed'")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo-package\nVersion: 1.0\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
"#;
    let path = folder.join("wheels/demo_package-1.0-py3-none-any.whl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // For whoever runs the tasks.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let made = std::process::Command::new("python3").arg("-c").arg(script).arg(path).status();
    assert!(made.unwrap().success());
}

/// No package comes from a network.
fn offline(program: Program) -> Program {
    program.env("PIP_NO_INDEX", "1").env("UV_OFFLINE", "1")
}

/// The same, without an `uv` that this machine may have.
pub fn without_uv(program: Program) -> Program {
    let search = std::env::var("PATH").unwrap_or_default();
    let folders = search.split(':').filter(|folder| !Path::new(folder).join("uv").exists());
    let mut folders: Vec<&str> = folders.collect();
    let built = flow_tests::built();
    let built = built.display().to_string();
    folders.insert(0, &built);
    offline(program).env("PATH", folders.join(":"))
}

async fn everything_works(home: Home) {
    home.flowctl(&["dags", "check", "dags"]).expect(0);
    let run = home.flowctl(&["trigger", "load", "--logical-date", "2026-03-05"]).expect(0).stdout.trim().to_owned();
    assert_eq!(home.ends("load", &run).await, "success", "{}", home.shown("load", &run));
    let value = async |task: &str, key: &str| home.api().xcom("load", &run, task, key).await;
    let orders = json!({ "day": "2026-03-05", "files": ["$(id)", 1], "n": 6, "nothing": true });
    assert_eq!(value("orders", "return_value").await, orders);
    assert_eq!(value("orders", "named").await, json!(["a b", "$(id)", "ö"]));
    assert_eq!(value("orders", "later").await, "2026-03-06");
    assert_eq!(value("script", "return_value").await, "2026-03-05|2026-03-05|select 1|2|6");
    assert_eq!(value("shared", "return_value").await, "x from 2026-03-05 team");
    assert_eq!(value("package", "return_value").await, "packed");
    assert_eq!(value("plugin", "return_value").await, "hello Ada");
    let state = async |task: &str| home.api().task("load", &run, task).await["state"].clone();
    assert_eq!((state("chosen").await, state("other").await), (json!("success"), json!("skipped")));
    assert_eq!(value("after", "return_value").await, "went on");
    home.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_alone() {
    everything_works(Home::alone(prepare, without_uv).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_on_servers() {
    everything_works(Home::on_servers(prepare, without_uv).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        println!("only root can run tasks as another user");
        return;
    }
    // Programs that everybody may run: what root has installed for itself is not among them.
    let search = format!("{}:/usr/local/bin:/usr/bin:/bin", flow_tests::built().display());
    let as_nobody = |program: Program| offline(program).env("PATH", search).env("FLOW__WORKER__RUN_AS", "nobody");
    everything_works(Home::alone(prepare, as_nobody).await).await;
}

/// `./test` installs `uv` beside the tools for TOML; one in the PATH does as well.
fn uv() -> PathBuf {
    let installed = flow_tests::built().parent().unwrap().join("toml-linters/bin/uv");
    let search = std::env::var("PATH").unwrap_or_default();
    let places = std::iter::once(installed).chain(search.split(':').map(|folder| Path::new(folder).join("uv")));
    let found = places.into_iter().find(|place| place.is_file());
    found.unwrap_or_else(|| panic!("there is no `uv`\nhint: ./test installs it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn uv_builds_environments_where_it_is() {
    let dag = r#"
[tasks.package.python]
requirements = ["@FOLDER@/wheels/demo_package-1.0-py3-none-any.whl"]
code = "import demo_package; print(demo_package.NAME)"

[tasks.broken.python]
requirements = ["@FOLDER@/wheels/no_such_package-1.0-py3-none-any.whl"]
code = "print(1)"
"#;
    let tools = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(uv(), tools.path().join("uv")).unwrap();
    let prepare = |folder: &Path| {
        wheel(folder);
        write(folder, "fast.toml", &dag.replace("@FOLDER@", &folder.display().to_string()));
    };
    let cache = tools.path().join("cache").display().to_string();
    let configure = |program: Program| offline(program).programs_in(tools.path()).env("UV_CACHE_DIR", cache);
    let home = Home::alone(prepare, configure).await;
    let run = home.flowctl(&["trigger", "fast"]).expect(0).stdout.trim().to_owned();
    assert_eq!(home.ends("fast", &run).await, "failed");
    assert_eq!(home.api().xcom("fast", &run, "package", "return_value").await, "packed");
    let log = async |task: &str| home.api().log("fast", &run, task, 1).await.unwrap().join("\n");
    let built = log("package").await;
    assert!(built.contains("building the Python environment") && built.contains("uv"), "{built}");
    let broken = log("broken").await;
    assert!(broken.contains("cannot build the Python environment") && broken.contains("no_such_package"), "{broken}");
    home.stop_and_audit().await;
}

const PINNED: &str = r#"
[tasks.before]
python = { call = "rates:rate" }
[tasks.gate]
depends_on = ["before"]
file_sensor = { filepath = "@FOLDER@/open", poke_interval = "100ms" }
[tasks.function]
depends_on = ["gate"]
python = { call = "rates:rate" }
[tasks.script]
depends_on = ["gate"]
python = { script = "scripts/say.py" }
[tasks.shell]
depends_on = ["gate"]
bash = { script = "scripts/say.sh" }
[tasks.query]
depends_on = ["gate"]
sql = { sqlite = ":memory:", file = "queries/say.sql" }
[tasks.listed]
depends_on = ["gate"]
bash = "cat texts/say.txt"
files = ["texts/*.txt"]
"#;

/// What the files say in this version.
fn write_version(folder: &Path, version: &str) {
    write(folder, "scripts/say.py", "import rates\nprint(rates.rate())\n");
    write(folder, "scripts/say.sh", &format!("echo {version} {{{{ dag.dag_id }}}}\n"));
    write(folder, "queries/say.sql", &format!("select '{version}' || {{{{ dag.dag_id }}}} as said"));
    write(folder, "texts/say.txt", version);
    // Read first and written last: a version that has it has all of them.
    write(folder, "rates.py", &format!("def rate(): return '{version}'\n"));
}

/// Files change, and one goes away, while a run of the first version waits: it goes on with what it began with.
async fn a_run_keeps_its_files(home: Home) {
    let said = async |run: &str| {
        let value = async |task: &'static str| home.api().xcom("pinned", run, task, "return_value").await;
        json!([
            value("before").await,
            value("function").await,
            value("script").await,
            value("shell").await,
            value("query").await,
            value("listed").await,
        ])
    };
    let expected = |version: &str| {
        let query = json!([{ "said": format!("{version}pinned") }]);
        json!([version, version, version, format!("{version} pinned"), query, version])
    };
    let old = home.flowctl(&["trigger", "pinned"]).expect(0).stdout.trim().to_owned();
    eventually_within(Duration::from_secs(60), "the run waits at the gate", async || {
        (home.api().task("pinned", &old, "gate").await["state"] == "deferred").then_some(())
    })
    .await;
    write_version(home.folder(), "second");
    let new = eventually_within(Duration::from_secs(60), "the new files are published", async || {
        let run = home.flowctl(&["trigger", "pinned"]).expect(0).stdout.trim().to_owned();
        let before = eventually_within(Duration::from_secs(60), "the first task ends", async || {
            let state = home.api().task("pinned", &run, "gate").await["state"].clone();
            (state == "deferred").then_some(())
        });
        before.await;
        (home.api().xcom("pinned", &run, "before", "return_value").await == "second").then_some(run)
    })
    .await;
    std::fs::write(home.folder().join("open"), "").unwrap();
    assert_eq!(home.ends("pinned", &old).await, "success", "{}", home.shown("pinned", &old));
    assert_eq!(said(&old).await, expected("first"));
    assert_eq!(home.ends("pinned", &new).await, "success", "{}", home.shown("pinned", &new));
    assert_eq!(said(&new).await[0], "second");
    let last = home.flowctl(&["trigger", "pinned"]).expect(0).stdout.trim().to_owned();
    assert_eq!(home.ends("pinned", &last).await, "success", "{}", home.shown("pinned", &last));
    assert_eq!(said(&last).await, expected("second"));
    home.stop_and_audit().await;
}

fn prepare_pinned(folder: &Path) {
    write_version(folder, "first");
    write(folder, "pinned.toml", &PINNED.replace("@FOLDER@", &folder.display().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_its_files_alone() {
    a_run_keeps_its_files(Home::alone(prepare_pinned, without_uv).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_its_files_on_servers() {
    a_run_keeps_its_files(Home::on_servers(prepare_pinned, without_uv).await).await;
}
