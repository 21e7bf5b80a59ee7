//! The pages in a real browser: headless Chromium logs in with the printed link and looks.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A standalone that is stopped when the test ends.
struct Standalone {
    process: Child,
    login: String,
}

impl Standalone {
    fn start(folder: &Path) -> Standalone {
        let mut process = Command::new(env!("CARGO_BIN_EXE_flowctl"))
            .args(["standalone", "--bind", "127.0.0.1:0"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let login = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned))
            .expect("it prints a login link");
        Standalone { process, login }
    }

    fn base(&self) -> &str {
        self.login.split("/login").next().unwrap()
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// The web is there before the files have been read.
fn wait_for_dag(folder: &Path, dag_id: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let shown = Command::new(env!("CARGO_BIN_EXE_flowctl"))
            .args(["dags", "show", dag_id])
            .current_dir(folder)
            .output()
            .unwrap();
        if shown.status.success() {
            return;
        }
        assert!(Instant::now() < end, "{}", String::from_utf8_lossy(&shown.stderr));
    }
}

fn chromium() -> &'static str {
    ["chromium", "google-chrome", "chromium-browser"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_ok())
        .expect("Chromium is installed: apt-get install chromium")
}

/// The document as the browser has it after its scripts have run.
fn page(profile: &Path, url: &str) -> String {
    let output = Command::new(chromium())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--timeout=3000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", url])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A browser that is told what to do, over pipes that carry JSON with a NUL after each message.
struct Browser {
    process: Child,
    orders: File,
    answers: BufReader<File>,
    next_id: u64,
}

impl Browser {
    fn start(profile: &Path) -> Browser {
        let pipes = tempfile::tempdir().unwrap();
        let [orders, answers] = ["orders", "answers"].map(|name| pipes.path().join(name));
        assert!(Command::new("mkfifo").args([&orders, &answers]).status().unwrap().success());
        let process = Command::new("bash")
            .args(["-c", r#"exec "$@" 3<"$ORDERS" 4>"$ANSWERS""#, "bash", chromium(), "--headless", "--no-sandbox"])
            .args(["--disable-gpu", "--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .env("ORDERS", &orders)
            .env("ANSWERS", &answers)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = File::options().write(true).open(orders).unwrap();
        let answers = BufReader::new(File::open(answers).unwrap());
        Browser { process, orders, answers, next_id: 0 }
    }

    /// Gives an order and returns its result.
    fn order(&mut self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let mut order = json!({ "id": self.next_id, "method": method, "params": params });
        if let Some(session) = session {
            order["sessionId"] = session.into();
        }
        write!(self.orders, "{order}\0").unwrap();
        loop {
            let mut message = Vec::new();
            assert!(self.answers.read_until(0, &mut message).unwrap() > 0, "the browser is gone");
            message.pop();
            let mut answer: Value = serde_json::from_slice(&message).unwrap();
            if answer["id"] == self.next_id {
                return answer["result"].take();
            }
        }
    }

    /// Evaluates an expression on the page until it is true.
    fn until(&mut self, session: &str, expression: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        let params = json!({ "expression": expression, "returnByValue": true });
        while self.order(Some(session), "Runtime.evaluate", params.clone())["result"]["value"] != true {
            assert!(Instant::now() < end, "`{expression}` does not become true");
        }
    }
}

/// Opens a login link and presses the button on its page. The profile is logged in from then on.
fn log_in(profile: &Path, link: &str) {
    let mut browser = Browser::start(profile);
    let target = browser.order(None, "Target.createTarget", json!({ "url": link }));
    let attach = json!({ "targetId": target["targetId"], "flatten": true });
    let attached = browser.order(None, "Target.attachToTarget", attach);
    let session = attached["sessionId"].as_str().unwrap();
    browser.until(
        session,
        "(b => b && !b.click())(document.querySelector('main form[action=\"/login\"] button')) ?? false",
    );
    browser.until(session, "location.pathname === '/' && document.readyState === 'complete'");
    browser.order(None, "Browser.close", json!({}));
    browser.process.wait().unwrap();
}

#[test]
fn an_operator_logs_in_and_sees_what_ran() {
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir(here.path().join("dags")).unwrap();
    let dag = "description = \"for the browser\"\n[tasks.say]\nbash = \"echo '<b>tea & toast</b>'\"\n";
    std::fs::write(here.path().join("dags/kitchen.toml"), dag).unwrap();
    std::fs::write(here.path().join("dags/broken.toml"), "[tasks.a]\nbsh = \"x\"\n").unwrap();
    let flow = Standalone::start(here.path());
    wait_for_dag(here.path(), "kitchen");
    let run = Command::new(env!("CARGO_BIN_EXE_flowctl"))
        .args(["trigger", "kitchen", "--run-id", "first", "--wait"])
        .current_dir(here.path())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let profile = here.path().join("profile");

    let refused = page(&here.path().join("stranger"), flow.base());
    assert!(refused.contains("flowctl login") && !refused.contains("kitchen"), "{refused}");

    // Looking at the link does not use it up.
    let offered = page(&here.path().join("stranger"), &flow.login);
    assert!(offered.contains("Log this browser in"), "{offered}");
    log_in(&profile, &flow.login);
    let dags = page(&profile, flow.base());
    assert!(dags.contains("kitchen") && dags.contains("for the browser"), "{dags}");
    assert!(dags.contains("import-errors"), "{dags}");

    let errors = page(&profile, &format!("{}/import-errors", flow.base()));
    assert!(errors.contains("unknown key") && errors.contains("did you mean `bash`?"), "{errors}");

    let grid = page(&profile, &format!("{}/dags/kitchen", flow.base()));
    assert!(grid.contains("say") && grid.contains("success"), "{grid}");

    let task = page(&profile, &format!("{}/dags/kitchen/runs/first/tasks/say", flow.base()));
    // What tasks print is text, never markup.
    assert!(task.contains("&lt;b&gt;tea &amp; toast&lt;/b&gt;"), "{task}");
}

const REPORT: &str = r#"
[params]
title = { type = "string", default = "Weekly", minLength = 3, title = "Title of the report" }
region = { enum = ["eu", "us"], default = "eu", values_display = { eu = "Europe" }, section = "What" }
day = { type = "string", format = "date", section = "When" }
send = { default = true, section = "How" }

[tasks.write]
bash = '''
echo "a,b" > "$FLOW_ARTIFACTS/rows.csv"
echo {{ params.title }}
'''

[tasks.release]
depends_on = ["write"]
[tasks.release.approval]
subject = "Release {{ xcom.write }}?"
body = "It has **7** pages & <em>no</em> mistakes."
params = { note = { type = ["string", "null"] } }
"#;

#[test]
fn an_operator_fills_in_forms() {
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir(here.path().join("dags")).unwrap();
    std::fs::write(here.path().join("dags/report.toml"), REPORT).unwrap();
    let flow = Standalone::start(here.path());
    let flowctl = |args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_flowctl")).args(args).current_dir(here.path()).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let profile = here.path().join("profile");
    log_in(&profile, &flow.login);
    // Until the file has been read there is no such page.
    let url = format!("{}/dags/report/trigger", flow.base());
    let form =
        (0..20).map(|_| page(&profile, &url)).find(|form| form.contains("param:title")).expect("the form appears");
    for part in [
        "<label for=\"param-0\">Title of the report",
        "minlength=\"3\"",
        "<legend>What</legend>",
        "<option value=\"eu\" selected=\"\">Europe</option>",
        "<input type=\"date\" id=\"param-2\" name=\"param:day\" value=\"\" required=\"\"",
        "<input type=\"checkbox\" id=\"param-3\" name=\"param:send\" value=\"true\" checked=\"\"",
        "<input type=\"datetime-local\"",
    ] {
        assert!(form.contains(part), "`{part}` is not in\n{form}");
    }

    flowctl(&["trigger", "report", "--run-id", "first", "-p", "day=2026-01-31"]);
    let questions = format!("{}/questions", flow.base());
    let open = (0..20).map(|_| page(&profile, &questions)).find(|open| open.contains("Release Weekly?"));
    let open = open.expect("the question appears");
    assert!(open.contains("class=\"count\">1<"), "{open}");
    let task = format!("{}/dags/report/runs/first/tasks/release", flow.base());
    let asked = page(&profile, &task);
    for part in [
        "It has <strong>7</strong> pages &amp; &lt;em&gt;no",
        "value=\"Approve\"",
        "name=\"param:note\"",
        "awaiting_input",
    ] {
        assert!(asked.contains(part), "`{part}` is not in\n{asked}");
    }
    flowctl(&["approvals", "answer", "report", "release", "Approve", "-p", "note=well done"]);
    let answered = page(&profile, &task);
    assert!(answered.contains("Answer: Approve; note = \"well done\""), "{answered}");
    assert!(!page(&profile, &questions).contains("class=\"count\""));
    let run = page(&profile, &format!("{}/dags/report/runs/first", flow.base()));
    assert!(run.contains("rows.csv") && run.contains("download"), "{run}");
    assert!(flowctl(&["approvals", "list", "--all"]).contains("(standalone)"));
}
