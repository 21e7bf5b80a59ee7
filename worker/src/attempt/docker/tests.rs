//! Attempts against a scripted daemon: a real socket, real HTTP, real frames, cut at odd places.

use std::sync::atomic::{AtomicBool, Ordering};

use flow_model::dag::Output as OutputSetting;
use flow_store::OutcomeKind;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::attempt::Stop;
use crate::attempt::bench::{Bench, Told, shown};
use crate::docker::frame;
use crate::scripted::{Answer, Asked, Heard, Step, on_socket};

/// What the daemon plays.
struct Play {
    has_image: AtomicBool,
    /// What the container writes.
    frames: Vec<u8>,
    cuts: Vec<usize>,
    state: Value,
    /// It runs until it is stopped.
    runs_on: bool,
    /// The daemon dies after the first output.
    dies: bool,
    leftovers: Value,
    /// Somebody else is removing them.
    is_removing: bool,
    /// Content of the XCom file, as an archive.
    xcom: Option<Vec<u8>>,
    api_version: &'static str,
    stopped: CancellationToken,
    /// The output has begun.
    begun: CancellationToken,
    start: (u16, Value),
    pull: Vec<u8>,
}

impl Default for Play {
    fn default() -> Self {
        Play {
            has_image: AtomicBool::new(true),
            frames: Vec::new(),
            cuts: vec![1 << 20],
            state: json!({ "ExitCode": 0, "OOMKilled": false, "Error": "" }),
            runs_on: false,
            dies: false,
            leftovers: json!([]),
            is_removing: false,
            xcom: None,
            api_version: "1.47",
            stopped: CancellationToken::new(),
            begun: CancellationToken::new(),
            start: (204, Value::Null),
            pull: b"{\"status\":\"Status: Downloaded newer image for tiny:1\"}\r\n".to_vec(),
        }
    }
}

impl Play {
    fn writing(frames: &[(u8, &str)]) -> Self {
        let frames = frames.iter().flat_map(|(kind, text)| frame(*kind, text.as_bytes())).collect();
        Play { frames, ..Play::default() }
    }

    fn ending(code: i32) -> Self {
        Play { state: json!({ "ExitCode": code, "OOMKilled": false, "Error": "" }), ..Play::default() }
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let what = asked.what();
        let (method, path) = what.split_once(' ').unwrap();
        let path = path.trim_start_matches("/v1.44").trim_start_matches("/v1.41");
        let last = path.rsplit('/').next().unwrap();
        match (method, path, last) {
            (_, "/_ping", _) => {
                Answer { headers: vec![("Api-Version", self.api_version.to_owned())], ..Answer::bytes(200, "OK") }
            }
            (_, "/containers/json", _) => Answer::json(200, &self.leftovers),
            (_, "/containers/create", _) if self.has_image.load(Ordering::SeqCst) => {
                Answer::json(201, &json!({ "Id": "abc", "Warnings": ["no swap here"] }))
            }
            (_, "/containers/create", _) => Answer::json(404, &json!({ "message": "No such image: tiny:1" })),
            (_, "/images/create", _) => {
                self.has_image.store(true, Ordering::SeqCst);
                Answer::cut(&self.pull, &[7, 1, 30])
            }
            ("PUT", _, "archive") => Answer::empty(200),
            (_, _, "archive") => match &self.xcom {
                Some(archive) if asked.query("path").unwrap().ends_with("xcom") => Answer::cut(archive, &[100, 1_000]),
                _ => Answer::json(404, &json!({ "message": "Could not find the file" })),
            },
            (_, _, "start") => Answer::json(self.start.0, &self.start.1),
            (_, _, "logs") => {
                self.begun.cancel();
                let output = Answer::cut(&self.frames, &self.cuts);
                match (self.dies, self.runs_on) {
                    (true, _) => output.then(Step::Break),
                    (false, true) => {
                        output.then(Step::Until(self.stopped.clone())).then(Step::Chunk(frame(2, b"terminated\n")))
                    }
                    (false, false) => output,
                }
            }
            (_, "/containers/old1/wait", _) => Answer::json(200, &json!({ "StatusCode": 137 })),
            (_, _, "wait") if self.dies => Answer::empty(200).then(Step::Until(self.begun.clone())).then(Step::Break),
            (_, _, "wait") if self.runs_on => Answer::json(200, &json!({ "StatusCode": 143 })).after(&self.stopped),
            (_, _, "wait") => Answer::json(200, &json!({ "StatusCode": 0 })),
            (_, _, "json") => Answer::json(200, &json!({ "Id": "abc", "State": self.state })),
            (_, _, "stop") => {
                self.stopped.cancel();
                Answer::empty(204)
            }
            ("DELETE", "/containers/old1", _) if self.is_removing => {
                Answer::json(409, &json!({ "message": "removal of container old1 is already in progress" }))
            }
            ("DELETE", ..) => Answer::empty(204),
            other => panic!("the daemon is asked for {other:?}"),
        }
    }
}

/// A bench with a daemon.
fn bench(play: Play, mut operator: Value) -> (Bench, Heard) {
    operator["image"] = json!("tiny:1");
    let mut bench = Bench::new(&json!({ "docker": operator }));
    let socket = bench.folder.path().join("docker.sock");
    let heard = on_socket(socket.clone(), move |asked| play.answer(asked));
    let flow_model::operator::Operator::Docker(docker) = &mut bench.task.operator else { unreachable!() };
    docker.socket = Some(format!("unix://{}", socket.display()));
    (bench, heard)
}

async fn run(play: Play, operator: Value) -> (Told, Vec<Asked>) {
    let (bench, heard) = bench(play, operator);
    let told = bench.run().await;
    let heard = heard.lock().unwrap().clone();
    (told, heard)
}

fn asked<'a>(heard: &'a [Asked], what: &str) -> Vec<&'a Asked> {
    heard.iter().filter(|asked| asked.what().starts_with(what)).collect()
}

const NAME: &str = "flow-sales.load-2-7";

#[tokio::test]
async fn a_container_runs_from_its_creation_to_its_removal() {
    let play = Play::writing(&[(1, "hello\nwor"), (2, "careful\n"), (1, "ld")]);
    let operator = json!({
        "command": ["echo", "{{ conf.word }}", "$(id); 'x'"], "entrypoint": ["/bin/env"], "env": { "B": "{{ conf.word }}" },
        "mounts": [{ "type": "bind", "source": "/srv/{{ conf.word }}", "target": "/data", "read_only": true }],
        "working_dir": "/data", "user": "1000:1000", "network": "none", "platform": "linux/amd64",
        "limits": { "cpus": 1.5, "memory": "64m", "pids": 20 }, "labels": { "team": "sales" },
    });
    let (mut bench, heard) = bench(play, operator);
    bench.conf.insert("word".to_owned(), json!("a b\"c"));
    bench.task.env.insert("A".to_owned(), "1".to_owned());
    bench.task.env.insert("B".to_owned(), "of the task".to_owned());
    let told = bench.run().await;
    assert!(matches!(told.kind(), OutcomeKind::Success), "{}", told.log);
    assert_eq!(told.xcoms(), [("return_value", "\"world\"")]);
    insta::assert_snapshot!("log", told.log);
    let heard = heard.lock().unwrap().clone();
    // Waiting for the end and reading the output begin together.
    assert_eq!(asked(&heard, &format!("POST /v1.44/containers/{NAME}/wait")).len(), 1);
    let asked_for: Vec<String> = heard.iter().map(Asked::what).filter(|what| !what.ends_with("/wait")).collect();
    insta::assert_snapshot!("requests", asked_for.join("\n"));
    let create = asked(&heard, "POST /v1.44/containers/create")[0];
    assert_eq!(create.query("name").as_deref(), Some(NAME));
    assert_eq!(create.query("platform").as_deref(), Some("linux/amd64"));
    insta::assert_snapshot!("create", serde_json::to_string_pretty(&create.json()).unwrap());
    let removed = asked(&heard, "DELETE")[0];
    assert_eq!((removed.query("force").as_deref(), removed.query("v").as_deref()), (Some("true"), Some("true")));
}

#[tokio::test]
async fn output_is_the_same_however_it_is_cut() {
    let text = "first\nsecond \u{1F980}\r\n\nlast";
    for cuts in [vec![1], vec![2, 7], vec![8, 3, 9, 5], vec![13], vec![1 << 20]] {
        let play = Play { cuts, ..Play::writing(&[(1, &text[..9]), (2, ""), (2, "x\ny"), (1, &text[9..])]) };
        let (told, _) = run(play, json!({})).await;
        assert_eq!(told.xcoms(), [("return_value", "\"last\"")]);
        for line in ["1 first\n", "1 second \u{1F980}\n", "2 x\n", "2 y\n", "1 last\n"] {
            assert!(told.log.contains(line), "{line:?} in\n{}", told.log);
        }
    }
}

#[tokio::test]
async fn the_exit_code_decides_as_for_a_process() {
    let (told, _) = run(Play::ending(3), json!({})).await;
    assert_eq!(shown(&told), r#"{"kind":"Failed","code":3,"reason":"exit code 3"}"#);
    let (told, _) = run(Play::ending(99), json!({})).await;
    assert_eq!(shown(&told), r#"{"kind":"Skipped","code":99,"reason":"exit code 99"}"#);
    let (told, _) = run(Play::ending(137), json!({})).await;
    assert!(shown(&told).contains("signal 9 (KILL)"));
    let oom = json!({ "ExitCode": 137, "OOMKilled": true, "Error": "" });
    let (told, _) = run(Play { state: oom, ..Play::default() }, json!({ "limits": { "memory": "64m" } })).await;
    let expected = r#"{"kind":"Failed","code":137,"reason":"out of memory (exit code 137): it needed more than its limit of 64m"}"#;
    assert_eq!(shown(&told), expected);
    assert!(told.log.contains("hint: raise `limits.memory`"));
}

#[tokio::test]
async fn failure_rules_see_its_output_and_its_exit_code() {
    let (mut bench, _) = bench(Play { frames: frame(2, b"quota exceeded\n"), ..Play::ending(4) }, json!({}));
    bench.task.control.failure_rules = serde_json::from_value(json!([
        { "exit_code": [[4, 4]], "output": "quota", "action": "fail", "reason": "no quota" }
    ]))
    .unwrap();
    assert_eq!(shown(&bench.run().await), r#"{"kind":"FailedForGood","code":4,"reason":"no quota"}"#);
}

#[tokio::test]
async fn an_image_that_is_missing_is_pulled_once() {
    let play = Play { has_image: AtomicBool::new(false), ..Play::default() };
    let (told, heard) = run(play, json!({ "docker_conn_id": "registry", "platform": "linux/arm64" })).await;
    assert!(matches!(told.kind(), OutcomeKind::Success), "{}", told.log);
    assert!(told.log.contains("* pulling `tiny:1`\n* Downloaded newer image for tiny:1\n"), "{}", told.log);
    let pulls = asked(&heard, "POST /v1.44/images/create");
    assert_eq!(pulls.len(), 1);
    let sent = ["fromImage", "tag", "platform"].map(|key| pulls[0].query(key).unwrap());
    assert_eq!(sent, ["tiny", "1", "linux/arm64"]);
    let credentials = pulls[0].header("x-registry-auth").unwrap();
    let credentials = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE, credentials).unwrap();
    let expected =
        json!({ "username": "ada", "password": "hunter2-hunter2", "serveraddress": "registry.example.org:5000" });
    assert_eq!(serde_json::from_slice::<Value>(&credentials).unwrap(), expected);
    assert!(!told.log.contains("hunter2"));
}

#[tokio::test]
async fn pull_says_when_to_pull() {
    let (_, heard) = run(Play::default(), json!({})).await;
    assert_eq!(asked(&heard, "POST /v1.44/images").len(), 0);
    let (_, heard) = run(Play::default(), json!({ "pull": "always" })).await;
    assert_eq!(asked(&heard, "POST /v1.44/images").len(), 1);
    let without = || Play { has_image: AtomicBool::new(false), ..Play::default() };
    let (told, heard) = run(without(), json!({ "pull": "never" })).await;
    assert_eq!(asked(&heard, "POST /v1.44/images").len(), 0);
    assert!(
        told.log.contains("does not have the image `tiny:1`") && told.log.contains("hint: pull it"),
        "{}",
        told.log
    );
    let pull = b"{\"errorDetail\":{\"message\":\"pull access denied\"},\"error\":\"pull access denied\"}\n".to_vec();
    let (told, _) = run(Play { pull, ..without() }, json!({})).await;
    assert!(
        told.log.contains("could not pull `tiny:1`: pull access denied\n* hint: is the name right?"),
        "{}",
        told.log
    );
}

#[tokio::test]
async fn a_container_of_a_dead_worker_is_removed_first() {
    let leftovers = json!([
        { "Id": "running-of-an-earlier-try", "State": "running", "Labels": { "flow.try_number": "1" } },
        { "Id": "ended-in-this-try", "State": "exited", "Labels": { "flow.try_number": "2" } },
        { "Id": "kept-for-people", "State": "exited", "Labels": { "flow.try_number": "1" } },
    ]);
    let (told, heard) = run(Play { leftovers, ..Play::default() }, json!({ "auto_remove": "success" })).await;
    let list = asked(&heard, "GET /v1.44/containers/json")[0];
    assert_eq!(list.query("all").as_deref(), Some("true"));
    let filters: Value = serde_json::from_str(&list.query("filters").unwrap()).unwrap();
    let expected = json!({ "label": [
        "flow.dag_id=sales", "flow.run_id=manual__1", "flow.task_id=load", "flow.map_index=-1", "flow.task_instance=11",
    ]});
    assert_eq!(filters, expected);
    let removed: Vec<String> = asked(&heard, "DELETE").iter().map(|asked| asked.what()).collect();
    let path = |id: &str| format!("DELETE /v1.44/containers/{id}");
    assert_eq!(removed, [path("running-of-an-earlier-try"), path("ended-in-this-try"), path(NAME)]);
    let first_removal = heard.iter().position(|asked| asked.method == "DELETE").unwrap();
    let creation = heard.iter().position(|asked| asked.what().ends_with("/create")).unwrap();
    assert!(first_removal < creation);
    assert!(
        told.log.contains("removing the container running-of-a, which an earlier attempt has left"),
        "{}",
        told.log
    );
}

#[tokio::test]
async fn a_container_that_must_stop_is_stopped_and_removed() {
    for why in [Stop::Fenced, Stop::Released] {
        let play = Play { runs_on: true, ..Play::writing(&[(1, "working\n")]) };
        let begun = play.begun.clone();
        let (bench, heard) = bench(play, json!({ "auto_remove": "never" }));
        let (told, ()) = tokio::join!(bench.run(), async {
            begun.cancelled().await;
            bench.stop(why);
        });
        match why {
            Stop::Fenced => assert!(told.outcome.is_none()),
            Stop::Released => assert!(matches!(told.kind(), OutcomeKind::Released)),
        }
        assert!(told.log.contains("1 working\n2 terminated\n"), "{}", told.log);
        let heard = heard.lock().unwrap().clone();
        assert_eq!(asked(&heard, "POST /v1.44/containers").last().unwrap().query("t").as_deref(), Some("5"));
        assert_eq!(asked(&heard, "DELETE").len(), 1);
    }
}

#[tokio::test]
async fn the_time_is_up_for_a_container_too() {
    let (mut bench, heard) = bench(Play { runs_on: true, ..Play::default() }, json!({}));
    bench.task.execution_timeout = Some(std::time::Duration::from_millis(300));
    let told = bench.run().await;
    assert!(shown(&told).contains("timed out: it ran longer than its `execution_timeout`"), "{}", told.log);
    assert_eq!(asked(&heard.lock().unwrap(), "DELETE").len(), 1);
}

#[tokio::test]
async fn a_daemon_that_dies_loses_the_attempt_and_does_not_fail_it() {
    let play = Play { dies: true, cuts: vec![11], ..Play::writing(&[(1, "working on it\n")]) };
    let (told, _) = run(play, json!({})).await;
    assert!(matches!(told.kind(), OutcomeKind::Lost), "{}", told.log);
    assert!(told.log.contains("lost the connection to the Docker daemon"), "{}", told.log);
}

#[tokio::test]
async fn a_program_that_is_not_in_the_image_is_a_failure_with_dockers_words() {
    let message = "exec: \"no-such-program\": executable file not found in $PATH";
    let play = Play { start: (400, json!({ "message": message })), ..Play::default() };
    let (told, heard) = run(play, json!({ "auto_remove": "success" })).await;
    assert!(told.log.contains(&format!("could not start the container of `tiny:1`: {message}")), "{}", told.log);
    assert_eq!(asked(&heard, "DELETE").len(), 1);
}

#[tokio::test]
async fn auto_remove_says_which_containers_stay() {
    for (auto_remove, code, removals) in
        [("never", 0, 0), ("never", 1, 0), ("success", 0, 1), ("success", 99, 1), ("success", 1, 0), ("force", 1, 1)]
    {
        let (told, heard) = run(Play::ending(code), json!({ "auto_remove": auto_remove })).await;
        assert_eq!(asked(&heard, "DELETE").len(), removals, "{auto_remove} {code}");
        assert_eq!(told.log.contains(&format!("the container `{NAME}` stays")), removals == 0);
    }
}

#[tokio::test]
async fn named_values_come_out_of_the_container() {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(8);
    archive.append_data(&mut header, "xcom", b"rows=42\n".as_slice()).unwrap();
    let play = Play { xcom: Some(archive.into_inner().unwrap()), ..Play::writing(&[(1, "{\"a\":1}\n")]) };
    let (mut bench, _) = bench(play, json!({}));
    bench.task.output = OutputSetting::Json;
    let told = bench.run().await;
    assert_eq!(told.xcoms(), [("rows", "42"), ("return_value", "{\"a\":1}")]);
}

#[tokio::test]
async fn an_old_daemon_is_spoken_to_in_its_version_and_a_very_old_one_refused() {
    let (told, heard) = run(Play { api_version: "1.41", ..Play::default() }, json!({})).await;
    assert!(matches!(told.kind(), OutcomeKind::Success), "{}", told.log);
    assert!(!asked(&heard, "POST /v1.41/containers/create").is_empty());
    let (told, _) = run(Play { api_version: "1.24", ..Play::default() }, json!({})).await;
    assert!(told.log.contains("too old") && told.log.contains("hint: "), "{}", told.log);
}

#[tokio::test]
async fn where_no_daemon_is_people_learn_what_to_do() {
    let told_of = |socket: String| async move {
        let bench = Bench::new(&json!({ "docker": { "image": "tiny:1", "socket": socket } }));
        let told = bench.run().await;
        assert!(matches!(told.kind(), OutcomeKind::Failed { .. }));
        told.log
    };
    let absent = told_of("unix:///nowhere/docker.sock".to_owned()).await;
    assert!(
        absent.contains("`/nowhere/docker.sock` does not exist") && absent.contains("hint: start Docker"),
        "{absent}"
    );
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("d.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let dead = told_of(format!("unix://{}", socket.display())).await;
    assert!(dead.contains("nobody listens at") && dead.contains("hint: start Docker"), "{dead}");
    let odd = told_of("npipe:////./pipe/docker".to_owned()).await;
    assert!(odd.contains("is not the address of a Docker daemon"), "{odd}");
}

#[tokio::test]
async fn a_secret_in_the_command_line_is_refused() {
    let (mut bench, heard) = bench(Play::default(), json!({ "command": ["login", "{{ conn.registry.password }}"] }));
    let told = bench.run().await;
    assert!(told.log.contains("a secret stands in the container's command line") && !told.log.contains("hunter2"));
    assert!(heard.lock().unwrap().is_empty());
    let play = Play::writing(&[(1, "it is hunter2-hunter2\n")]);
    (bench, _) = self::bench(play, json!({ "env": { "TOKEN": "{{ conn.registry.password }}" } }));
    let told = bench.run().await;
    assert!(told.log.contains("1 it is ***\n"), "{}", told.log);
}

/// A task that is cleared while it runs: its worker is still removing the container when the next attempt begins.
#[tokio::test]
async fn what_is_being_removed_is_waited_for() {
    let leftovers = json!([{ "Id": "old1", "State": "running", "Labels": { "flow.try_number": "1" } }]);
    let play = Play { leftovers, is_removing: true, ..Play::default() };
    let (told, heard) = run(play, json!({})).await;
    assert!(matches!(told.kind(), OutcomeKind::Success), "{:?}: {}", told.kind(), told.log);
    let waited = asked(&heard, "POST").into_iter().find(|asked| asked.target.contains("old1/wait")).expect("it waits");
    assert_eq!(waited.query("condition").as_deref(), Some("removed"));
}
