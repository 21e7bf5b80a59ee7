//! Attempts against a scripted cluster: real sockets and real HTTP, the watch and the log cut at odd places.

use std::sync::Mutex;
use std::time::Duration;

use flow_model::operator::Operator;
use flow_store::OutcomeKind;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::attempt::Stop;
use crate::attempt::bench::{Bench, Told, shown};
use crate::scripted::{Answer, Asked, Heard, Step, on_port};

const NAME: &str = "flow-sales-load-b-2";

fn pod(phase: &str, state: &Value) -> Value {
    json!({
        "metadata": { "name": NAME, "resourceVersion": "17", "labels": { "flow/try-number": "2" } },
        "status": { "phase": phase, "containerStatuses": [{ "name": "base", "state": state }] },
    })
}

fn running() -> Value {
    pod("Running", &json!({ "running": {} }))
}

fn ended(code: i32, reason: &str, message: &str) -> Value {
    pod("Succeeded", &json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } }))
}

/// What the cluster plays.
struct Play {
    /// What a look at the pod shows, and what the watch tells then.
    first: Value,
    changes: Vec<Value>,
    log: String,
    /// Nothing happens until the pod is deleted.
    runs_on: bool,
    leftovers: Mutex<Vec<Value>>,
    create: (u16, Value),
    deleted: CancellationToken,
    logged: CancellationToken,
    /// The first connection that reads the log breaks after so many bytes.
    log_breaks_at: Mutex<Option<usize>>,
}

impl Default for Play {
    fn default() -> Self {
        Play {
            first: pod("Pending", &json!({ "waiting": { "reason": "ContainerCreating" } })),
            changes: vec![running(), ended(0, "Completed", "")],
            log: String::new(),
            runs_on: false,
            leftovers: Mutex::default(),
            create: (201, json!({})),
            deleted: CancellationToken::new(),
            logged: CancellationToken::new(),
            log_breaks_at: Mutex::default(),
        }
    }
}

impl Play {
    fn writing(lines: &[&str]) -> Self {
        let at = |second: usize| format!("2026-03-05T06:30:{second:02}.000000000Z");
        let log = lines.iter().enumerate().map(|(second, line)| format!("{} {line}\n", at(second))).collect();
        Play { log, ..Play::default() }
    }

    fn ending(code: i32, reason: &str) -> Self {
        Play { changes: vec![running(), ended(code, reason, "")], ..Play::default() }
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let what = asked.what();
        let (method, path) = what.split_once(' ').unwrap();
        let below = path.strip_prefix("/api/v1/namespaces/sales/pods").unwrap_or_else(|| panic!("{path}"));
        match (method, below) {
            ("POST", "") => Answer::json(self.create.0, &self.create.1),
            ("GET", "") if asked.query("watch").is_some() => self.watch(),
            ("GET", "") => Answer::json(200, &json!({ "items": *self.leftovers.lock().unwrap() })),
            ("DELETE", _) => {
                self.leftovers
                    .lock()
                    .unwrap()
                    .retain(|pod| format!("/{}", pod["metadata"]["name"].as_str().unwrap()) != below);
                self.deleted.cancel();
                Answer::json(200, &json!({}))
            }
            ("GET", below) if below.ends_with("/log") => self.log(),
            ("GET", below) if below == format!("/{NAME}") => Answer::json(200, &self.first),
            ("GET", _) => Answer::json(404, &json!({ "message": "pods not found" })),
            other => panic!("the cluster is asked for {other:?}"),
        }
    }

    fn watch(&self) -> Answer {
        let told: String =
            self.changes.iter().map(|pod| format!("{}\n", json!({ "type": "MODIFIED", "object": pod }))).collect();
        let answer = Answer::cut(told.as_bytes(), &[100, 1, 7]);
        if !self.runs_on {
            return answer;
        }
        let last = json!({ "type": "DELETED", "object": running() });
        answer.then(Step::Until(self.deleted.clone())).then(Step::Chunk(format!("{last}\n").into_bytes()))
    }

    fn log(&self) -> Answer {
        self.logged.cancel();
        match self.log_breaks_at.lock().unwrap().take() {
            Some(at) => Answer::cut(&self.log.as_bytes()[..at], &[9]).then(Step::Break),
            None => Answer::cut(self.log.as_bytes(), &[5, 30, 1]),
        }
    }
}

async fn bench(play: Play, mut operator: Value) -> (Bench, Heard) {
    operator["image"] = json!("tiny:1");
    let mut bench = Bench::new(&json!({ "kubernetes_pod": operator }));
    let (port, heard) = on_port(move |asked| play.answer(asked)).await;
    let config = format!(
        "current-context: test\ncontexts:\n- name: test\n  context: {{ cluster: c, user: u, namespace: sales }}\n\
         clusters:\n- name: c\n  cluster: {{ server: \"http://127.0.0.1:{port}\" }}\n\
         users:\n- name: u\n  user: {{ tokenFile: token }}\n"
    );
    std::fs::write(bench.folder.path().join("token"), "abc\n").unwrap();
    let path = bench.folder.path().join("config");
    std::fs::write(&path, config).unwrap();
    let Operator::KubernetesPod(pod) = &mut bench.task.operator else { unreachable!() };
    pod.config_file = Some(path.display().to_string());
    (bench, heard)
}

async fn run(play: Play, operator: Value) -> (Told, Vec<Asked>) {
    let (bench, heard) = bench(play, operator).await;
    let told = bench.run().await;
    let heard = heard.lock().unwrap().clone();
    (told, heard)
}

fn deletions(heard: &[Asked]) -> Vec<String> {
    heard.iter().filter(|asked| asked.method == "DELETE").map(|asked| asked.what()).collect()
}

fn path(name: &str) -> String {
    format!("DELETE /api/v1/namespaces/sales/pods/{name}")
}

#[tokio::test]
async fn a_pod_runs_from_its_creation_to_its_deletion() {
    let play = Play {
        changes: vec![running(), ended(0, "Completed", "rows=42\n")],
        ..Play::writing(&["hello", "wor ld \u{1F980}"])
    };
    let operator = json!({
        "command": ["echo"], "args": ["{{ conf.word }}", "$(HOME)"], "env": { "B": "{{ conf.word }}" },
        "service_account": "loader", "resources": { "requests": { "cpu": "500m" }, "limits": { "memory": "1Gi" } },
        "node_selector": { "disk": "ssd" }, "tolerations": [{ "key": "batch", "operator": "Exists" }],
        "labels": { "team": "sales" }, "image_pull_policy": "IfNotPresent",
        "pod_template": {
            "metadata": { "labels": { "from": "template" }, "generateName": "x-" },
            "spec": {
                "priorityClassName": "batch", "nodeSelector": { "zone": "a" },
                "containers": [
                    { "name": "sidecar", "image": "proxy:1" },
                    { "name": "base", "env": [{ "name": "B", "value": "old" }], "envFrom": [{ "secretRef": { "name": "db" } }] },
                ],
            },
        },
    });
    let (mut bench, heard) = bench(play, operator).await;
    bench.conf.insert("word".to_owned(), json!("a $$ b\"c"));
    let told = bench.run().await;
    assert!(matches!(told.kind(), OutcomeKind::Success), "{}", told.log);
    assert_eq!(told.xcoms(), [("rows", "42"), ("return_value", "\"wor ld \u{1F980}\"")]);
    insta::assert_snapshot!("log", told.log);
    let heard = heard.lock().unwrap().clone();
    assert!(heard.iter().all(|asked| asked.header("authorization") == Some("Bearer abc")));
    let created = heard.iter().find(|asked| asked.method == "POST").unwrap();
    insta::assert_snapshot!("pod", serde_json::to_string_pretty(&created.json()).unwrap());
    assert_eq!(deletions(&heard), [path(NAME)]);
}

#[tokio::test]
async fn the_exit_code_decides_as_for_a_process() {
    for (code, reason, expected) in [
        (3, "Error", r#"{"kind":"Failed","code":3,"reason":"exit code 3"}"#),
        (99, "Error", r#"{"kind":"Skipped","code":99,"reason":"exit code 99"}"#),
        (128, "StartError", r#"{"kind":"Failed","code":128,"reason":"exit code 128 (StartError)"}"#),
        (
            137,
            "OOMKilled",
            r#"{"kind":"Failed","code":137,"reason":"out of memory (exit code 137): it needed more than its limit of 64Mi"}"#,
        ),
    ] {
        let limits = json!({ "resources": { "limits": { "memory": "64Mi" } } });
        assert_eq!(shown(&run(Play::ending(code, reason), limits).await.0), expected);
    }
}

#[tokio::test]
async fn a_log_whose_connection_breaks_goes_on_where_it_was() {
    let lines = ["first", "second", "third"];
    let whole = Play::writing(&lines).log;
    for at in [0, 10, whole.len() / 2, whole.len() - 3] {
        let play = Play { log_breaks_at: Mutex::new(Some(at)), ..Play::writing(&lines) };
        let (told, _) = run(play, json!({})).await;
        let kept: Vec<&str> = told.log.lines().filter_map(|line| line.strip_prefix("1 ")).collect();
        assert_eq!(kept, lines, "cut at {at}");
    }
}

#[tokio::test]
async fn a_pod_that_does_not_start_says_why() {
    let waits_for = |for_what: Value| Play { first: for_what, changes: Vec::new(), runs_on: true, ..Play::default() };
    let backing_off = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
    let (told, heard) = run(waits_for(pod("Pending", &backing_off)), json!({ "startup_timeout": "300ms" })).await;
    assert!(told.log.contains("did not start within 300ms: ImagePullBackOff: Back-off pulling image"), "{}", told.log);
    assert!(told.log.contains("hint: is the name of the image right"), "{}", told.log);
    assert_eq!(deletions(&heard), [path(NAME)]);
    let mut unscheduled = pod("Pending", &json!({}));
    unscheduled["status"]["conditions"] = json!([
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }
    ]);
    let (told, _) = run(waits_for(unscheduled), json!({ "startup_timeout": "300ms" })).await;
    assert!(told.log.contains("Unschedulable: 0/3 nodes are available\n* hint: ask for less"), "{}", told.log);
    let invalid = json!({ "waiting": { "reason": "InvalidImageName", "message": "couldn't parse" } });
    let (told, _) = run(waits_for(pod("Pending", &invalid)), json!({})).await;
    assert!(told.log.contains("cannot start: InvalidImageName: couldn't parse"), "{}", told.log);
}

#[tokio::test]
async fn a_pod_that_the_cluster_takes_away_is_lost_and_has_not_failed() {
    let mut evicted = pod("Failed", &json!({ "terminated": { "exitCode": 137 } }));
    evicted["status"]["reason"] = json!("Evicted");
    let (told, _) = run(Play { changes: vec![running(), evicted], ..Play::default() }, json!({})).await;
    assert!(matches!(told.kind(), OutcomeKind::Lost), "{}", told.log);
    assert!(told.log.contains("the cluster took the pod away: Evicted"), "{}", told.log);
}

#[tokio::test]
async fn a_pod_that_must_stop_is_deleted() {
    for why in [Stop::Fenced, Stop::Released] {
        let play = Play { runs_on: true, changes: vec![running()], ..Play::writing(&["working"]) };
        let logged = play.logged.clone();
        let (bench, heard) = bench(play, json!({ "on_finish": "keep_pod" })).await;
        let (told, ()) = tokio::join!(bench.run(), async {
            logged.cancelled().await;
            bench.stop(why);
        });
        match why {
            Stop::Fenced => assert!(told.outcome.is_none()),
            Stop::Released => assert!(matches!(told.kind(), OutcomeKind::Released)),
        }
        let heard = heard.lock().unwrap().clone();
        let deletion = heard.iter().find(|asked| asked.method == "DELETE").unwrap();
        assert_eq!(deletion.json()["gracePeriodSeconds"], 5);
    }
}

#[tokio::test]
async fn the_time_is_up_for_a_pod_too() {
    let (mut bench, heard) =
        bench(Play { runs_on: true, changes: vec![running()], ..Play::default() }, json!({})).await;
    bench.task.execution_timeout = Some(Duration::from_millis(300));
    let told = bench.run().await;
    assert!(shown(&told).contains("timed out"), "{}", told.log);
    assert!(!deletions(&heard.lock().unwrap()).is_empty());
}

#[tokio::test]
async fn pods_of_a_dead_worker_are_deleted_first() {
    let left = |name: &str, phase: &str, number: &str| json!({ "metadata": { "name": name, "labels": { "flow/try-number": number } }, "status": { "phase": phase } });
    let leftovers = Mutex::new(vec![
        left("running-of-an-earlier-try", "Running", "1"),
        left("ended-in-this-try", "Failed", "2"),
        left("kept-for-people", "Failed", "1"),
    ]);
    let (told, heard) =
        run(Play { leftovers, ..Play::default() }, json!({ "on_finish": "delete_succeeded_pod" })).await;
    assert!(matches!(told.kind(), OutcomeKind::Success), "{}", told.log);
    let selector = heard.iter().find_map(|asked| asked.query("labelSelector")).unwrap();
    assert_eq!(selector, "flow/dag-id=sales,flow/task-id=load,flow/run-id=manual--1,flow/task-instance=11");
    assert_eq!(deletions(&heard), [path("running-of-an-earlier-try"), path("ended-in-this-try"), path(NAME)]);
    let position = |method: &str| heard.iter().position(|asked| asked.method == method).unwrap();
    assert!(position("DELETE") < position("POST"));
}

#[tokio::test]
async fn on_finish_says_which_pods_stay() {
    for (on_finish, code, count) in
        [("keep_pod", 1, 0), ("delete_succeeded_pod", 0, 1), ("delete_succeeded_pod", 1, 0), ("delete_pod", 1, 1)]
    {
        let (told, heard) = run(Play::ending(code, "Error"), json!({ "on_finish": on_finish })).await;
        assert_eq!(deletions(&heard).len(), count, "{on_finish} {code}");
        assert_eq!(told.log.contains(&format!("the pod `{NAME}` stays")), count == 0);
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_login_needs() {
    let create = (403, json!({ "message": "pods is forbidden" }));
    let (told, _) = run(Play { create, ..Play::default() }, json!({})).await;
    assert!(matches!(told.kind(), OutcomeKind::Failed { .. }));
    assert!(told.log.contains("could not create the pod") && told.log.contains("hint: the worker's login needs"));
    let bench = Bench::new(&json!({ "kubernetes_pod": { "image": "a", "config_file": "/nowhere/config" } }));
    assert!(bench.run().await.log.contains("cannot read the kubeconfig `/nowhere/config`"));
}

#[tokio::test]
async fn a_secret_in_what_the_cluster_keeps_is_refused() {
    let (bench, heard) = bench(Play::default(), json!({ "args": ["{{ conn.registry.password }}"] })).await;
    let told = bench.run().await;
    assert!(told.log.contains("a secret stands in the pod's command line") && !told.log.contains("hunter2"));
    assert!(heard.lock().unwrap().is_empty());
}
