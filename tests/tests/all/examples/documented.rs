//! The DAGs that the documentation prints. They name programs, hosts and folders that a reader is to imagine; here these are
//! there: programs that are content with everything, a web and a mail server, a database, a Redis, files that have arrived.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flow_testbed::{Redis, shared_postgres};
use flow_tests::{Api, Outside, Program, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Home, copy, repository};

/// What becomes of an example that does not simply succeed.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It waits for the clock: it is enough that it waits.
    Waits,
    /// It cannot run here; the text says what it needs.
    CannotRun(&'static str),
}

/// Examples that hold a text. Each has to be found at least once.
const FATES: &[(&str, Fate)] = &[
    ("docker", Fate::CannotRun("a Docker daemon; the worker's tests speak with one that is scripted")),
    ("kubernetes_pod", Fate::CannotRun("a cluster; the worker's tests speak with one that is scripted")),
    ("sleep = { duration = \"2h\"", Fate::Waits),
    ("time_sensor = ", Fate::Waits),
    ("time_delta_sensor = ", Fate::Waits),
    ("day_of_week_sensor = ", Fate::Waits),
];

/// The logical date of all runs.
const DAY: &str = "2026-01-05";

/// Programs that the examples call, as shell scripts.
const PROGRAMS: &[(&str, &str)] = &[
    ("extract", "echo '{\"rows\": 3}'; echo 'source=\"shop\"' >> \"$FLOW_XCOM_FILE\""),
    ("fetch-rows", "echo 3 rows"),
    ("job-state", "echo done"),
    ("load", "echo loading \"$@\""),
    ("logger", "echo \"$@\""),
    ("make_plot", "echo '<svg/>'"),
    ("make_report", "echo region,rows"),
    ("mountpoint", "true"),
    ("psql", "echo 1"),
    ("roll_out", "echo rolling out \"$@\""),
];

/// Files of the DAG folder that the examples name.
const FILES: &[(&str, &str)] = &[
    ("lib/rates.py", ""),
    ("queries/orders.sql", "select 1"),
    ("sales/load.py", "def orders(day, source, **known): return { 'day': day, 'rows': len(source) }"),
    ("scripts/load.sh", "echo loading \"$@\""),
    ("scripts/report.py", "import sys, flow\nprint(sys.argv[1], flow.context.ds)"),
];

/// DAGs that the examples are about.
const OTHERS: &[(&str, &str)] = &[
    ("ingest", "[tasks.load]\nnoop = true\n"),
    ("monthly", "[tasks.close]\nnoop = true\n"),
    ("report", "[params]\nday = { type = 'string' }\n[tasks.tell]\nbash = 'echo {{ params.day }}'\n"),
    (
        "warehouse",
        "[tasks.fill.sql]\nconnection = 'warehouse'\nquery = '''\n\
         create table orders (id integer, amount integer, day date, region text);\n\
         insert into orders values (1, 10, '2026-01-05', 'eu'), (2, 20, '2026-01-05', 'us');\n\
         create table loads (day date, done boolean);\n\
         insert into loads values ('2026-01-05', true);\n'''\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_dag_succeeds_alone() {
    let imagined = Imagined::new(|folder| {
        let file = folder.join("warehouse.db").display().to_string();
        json!({ "conn_type": "sqlite", "host": file, "login": "ada", "password": "correct-horse" }).to_string()
    })
    .await;
    let home = Home::alone(|folder| imagined.write_dags(folder), |program| imagined.configured(program)).await;
    imagined.run_all(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_dag_succeeds_on_servers() {
    let warehouse = shared_postgres().create_database().expect("a database");
    let imagined = Imagined::new(|_| warehouse.clone()).await;
    let home = Home::on_servers(|folder| imagined.write_dags(folder), |program| imagined.configured(program)).await;
    imagined.run_all(home).await;
}

/// The world that the documentation speaks of.
struct Imagined {
    folder: tempfile::TempDir,
    outside: Outside,
    redis: Redis,
    warehouse: String,
    examples: BTreeMap<String, (String, Option<Fate>)>,
}

impl Imagined {
    async fn new(warehouse: impl FnOnce(&Path) -> String) -> Imagined {
        let folder = tempfile::Builder::new().prefix("flow-documented-").tempdir().unwrap();
        let outside = Outside::start().await.unwrap();
        let here = folder.path();
        for name in ["bin", "in", "srv/reports"] {
            std::fs::create_dir_all(here.join(name)).unwrap();
        }
        for (name, code) in PROGRAMS {
            let path = here.join("bin").join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{code}\n")).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::create_dir(here.join("in").join(DAY)).unwrap();
        for path in [format!("in/{DAY}.csv"), format!("in/{DAY}/orders.csv"), "srv/reports/first".to_owned()] {
            let file = std::fs::File::create(here.join(path)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap();
        }
        let redis = Redis::start().expect("Redis starts");
        redis.command(&["SET", &format!("ready:{DAY}"), "yes"]).unwrap();
        let places = [
            ("https://example.org".to_owned(), outside.url()),
            ("https://rates.example.org".to_owned(), outside.url()),
            ("/data/in".to_owned(), here.join("in").display().to_string()),
            ("/srv/".to_owned(), format!("{}/", here.join("srv").display())),
        ];
        let examples = examples(&places);
        Imagined { warehouse: warehouse(here), folder, outside, redis, examples }
    }

    /// The installation's environment.
    fn configured(&self, program: Program) -> Program {
        let url = self.outside.url();
        let smtp = json!({ "conn_type": "smtp", "host": "127.0.0.1", "port": self.outside.smtp_port(),
                           "extra": { "from": "flow@example.org", "tls": "none" } });
        let slack = json!({ "conn_type": "slack", "password": format!("{url}/services/hook") });
        program
            .programs_in(&self.folder.path().join("bin"))
            .env("TMPDIR", self.folder.path().display().to_string())
            .env("FLOW_CONN_WAREHOUSE", &self.warehouse)
            .env("FLOW_CONN_REDIS_DEFAULT", self.redis.url())
            .env("FLOW_CONN_SMTP_DEFAULT", smtp.to_string())
            .env("FLOW_CONN_SLACK_DEFAULT", slack.to_string())
            .env("FLOW_CONN_JOBS_API", json!({ "conn_type": "http", "host": url }).to_string())
            .env("FLOW_CONN_PAGER", json!({ "conn_type": "http", "host": url }).to_string())
            .env("FLOW_VAR_REGION", "eu")
            .env("FLOW_VAR_ORDERS_HOOK", "a secret for the hook")
    }

    fn write_dags(&self, folder: &Path) {
        let dags = folder.join("dags");
        copy(&repository("dags/plugins"), &dags.join("plugins"));
        for (path, text) in FILES {
            let path = dags.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let examples = self.examples.iter().map(|(name, (text, _))| (name.as_str(), text.as_str()));
        for (name, text) in OTHERS.iter().copied().chain(examples) {
            std::fs::write(dags.join(format!("{name}.toml")), text).unwrap();
        }
    }

    async fn run_all(&self, home: Home) {
        // What others look back at.
        for (dag, date) in [("ingest", format!("{DAY}T05:00:00Z")), ("monthly", "2026-01-01".to_owned())] {
            let done = home.flowctl(&["trigger", dag, "--logical-date", &date]).expect(0);
            assert_eq!(home.ends(dag, done.stdout.trim()).await, "success");
        }
        let run = home.flowctl(&["trigger", "warehouse"]).expect(0).stdout.trim().to_owned();
        assert_eq!(home.ends("warehouse", &run).await, "success", "{}", home.shown("warehouse", &run));
        let mut runs: Vec<(&str, String, Option<Fate>)> = Vec::new();
        for (dag, (_, fate)) in &self.examples {
            match fate {
                Some(Fate::CannotRun(needed)) => println!("{dag} is not run: it needs {needed}"),
                fate => runs.push((dag, self.trigger(&home, dag), *fate)),
            }
        }
        let ended = async {
            let mut failed = String::new();
            for (dag, run, fate) in &runs {
                if *fate == Some(Fate::Waits) {
                    waits(&home, dag, run).await;
                } else if home.ends(dag, run).await != "success" {
                    failed += &format!("{dag}\n{}\n", home.shown(dag, run));
                }
            }
            assert!(failed.is_empty(), "{failed}");
        };
        // People answer, and entries come, while the runs wait for them.
        tokio::select! { () = ended => {}, () = self.go_on(&home) => {} }
        let requests = self.outside.requests();
        for first in ["GET /jobs/", "POST /services/hook", "POST /alerts", "GET /daily?day=2026-01-05"] {
            assert!(requests.iter().any(|request| request.starts_with(first)), "no {first} in {requests:?}");
        }
        assert!(self.outside.mails().iter().any(|mail| mail.contains(DAY)), "{:?}", self.outside.mails());
        home.stop_and_audit().await;
    }

    fn trigger(&self, home: &Home, dag: &str) -> String {
        let conf = json!({
            "epochs": 1, "folder": "/etc", "full": true, "last": 2, "numbers": "3 1 2", "order": 17, "place": "here",
            "region": "eu", "rows": 5, "version": "1.4.2",
            "path": self.folder.path().join(format!("in/{DAY}.csv")),
            "target": self.folder.path().join("reports.tgz"),
        });
        let (conf, date) = (conf.to_string(), format!("{DAY}T06:00:00Z"));
        let done = home.flowctl(&["trigger", dag, "--logical-date", &date, "--conf", &conf]);
        assert_eq!(done.code, 0, "{dag}: {}", done.stderr);
        done.stdout.trim().to_owned()
    }

    /// Answers every question with its first option, and adds entries to the stream of orders, for ever.
    async fn go_on(&self, home: &Home) {
        let token = home.flowctl(&["tokens", "create", "ada"]).expect(0).stdout.trim().to_owned();
        let ada = Api::new(home.api().url(), &token);
        loop {
            self.redis.command(&["XADD", "orders", "*", "id", "17"]).unwrap();
            let open = ada.get("/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false").await;
            for question in open["hitl_details"].as_array().into_iter().flatten() {
                answer(&ada, question).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn answer(ada: &Api, question: &Value) {
    let task = &question["task_instance"];
    let text = |name: &str| task[name].as_str().unwrap_or_default().replace('+', "%2B").replace(':', "%3A");
    let (dag, run, task) = (text("dag_id"), text("dag_run_id"), text("task_id"));
    let options: Vec<&Value> = question["options"].as_array().into_iter().flatten().take(1).collect();
    let path = format!("/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/-1/hitlDetails");
    let body = json!({ "chosen_options": options, "params_input": {} });
    let (status, said) = ada.ask(Method::PATCH, &path, Some(&body)).await.expect("an answer");
    assert_eq!(status, 200, "{dag}: {said}");
}

/// Waits until a task of the run waits, or the run is over because it is that day or hour just now; cancels it.
async fn waits(home: &Home, dag: &str, run: &str) {
    let path = run.replace('+', "%2B").replace(':', "%3A");
    let path = format!("/api/v2/dags/{dag}/dagRuns/{path}/taskInstances");
    eventually(&format!("a task of `{dag}` waits"), async || {
        let tasks = home.api().get(&path).await;
        let tasks = tasks["task_instances"].as_array()?;
        let is_waiting = tasks.iter().any(|task| task["state"] == "deferred");
        (is_waiting || home.api().run_state(dag, run).await == "success").then_some(())
    })
    .await;
    home.flowctl(&["runs", "cancel", dag, run]);
}

/// The documentation's DAGs by a name made of the page and a number, with the places in them that are imagined.
fn examples(places: &[(String, String)]) -> BTreeMap<String, (String, Option<Fate>)> {
    let mut pages = vec![repository("README.md")];
    pages.extend(std::fs::read_dir(repository("docs")).unwrap().flatten().map(|entry| entry.path()));
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut found = BTreeMap::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let stem = page.file_stem().unwrap().to_string_lossy().replace('-', "_");
        let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        for (number, block) in blocks.enumerate().filter(|(_, block)| block.contains("[tasks.")) {
            let fate = FATES.iter().find(|(part, _)| block.contains(part)).map(|(_, fate)| *fate);
            let text = places.iter().fold(block.to_owned(), |text, (place, here)| text.replace(place.as_str(), here));
            found.insert(format!("{stem}_{number}"), (text, fate));
        }
    }
    for (part, _) in FATES {
        assert!(found.values().any(|(text, _)| text.contains(part)), "no example has `{part}`");
    }
    assert!(found.len() > 50, "{:?}", found.keys());
    found
}
