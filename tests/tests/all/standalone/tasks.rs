//! What tasks can do, and what can be done to the engine by them.

use std::time::Duration;

use flow_tests::{Standalone, eventually_within};

const RETRIES: &str = "
[tasks.unreliable]
bash = 'echo this is try {{ ti.try_number }}; [ {{ ti.try_number }} -ge 3 ]'
retries = 3
retry_delay = '200ms'
[tasks.not_today]
bash = 'exit 99'
[tasks.after_skip]
depends_on = ['not_today']
bash = 'true'
[tasks.join]
depends_on = ['unreliable', 'after_skip']
trigger_rule = 'all_done'
bash = 'true'
[tasks.given_up]
bash = 'exit 7'
retries = 1
retry_delay = '100ms'
[tasks.after_failure]
depends_on = ['given_up']
bash = 'true'
[tasks.alarm]
depends_on = ['given_up']
trigger_rule = 'one_failed'
bash = 'true'
";

#[tokio::test(flavor = "multi_thread")]
async fn retries_skips_and_trigger_rules() {
    let mut flow = Standalone::with(&[("rules", RETRIES)]).await;
    let run = flow.trigger("rules");
    assert_eq!(flow.finished("rules", &run).await, "failed");
    for (task, state, tries) in [
        ("unreliable", "success", 3),
        ("not_today", "skipped", 1),
        ("after_skip", "skipped", 0),
        ("join", "success", 1),
        ("given_up", "failed", 2),
        ("after_failure", "upstream_failed", 0),
        ("alarm", "success", 1),
    ] {
        let shown = flow.api().task("rules", &run, task).await;
        assert_eq!((&shown["state"], &shown["try_number"]), (&state.into(), &tries.into()), "{shown}");
    }
    for number in 1..=3 {
        let log = flow.api().log("rules", &run, "unreliable", number).await.unwrap();
        assert!(log.contains(&format!("this is try {number}")), "{log:?}");
    }
    let tries = flow.api().tries("rules", &run, "given_up").await;
    assert_eq!(tries.iter().map(|one| one["exit_code"].as_i64()).collect::<Vec<_>>(), [Some(7), Some(7)]);
    flow.stop_and_audit().await;
}

/// It ignores TERM, and leaves a daemon behind that has a session of its own and ignores it, too.
const STUBBORN: &str = r#"
[tasks.stubborn]
env = { PROBE = "@FOLDER@" }
execution_timeout = "1s"
bash = '''
trap '' TERM
setsid bash -c "trap '' TERM; while :; do sleep 0.2; done" >/dev/null 2>&1 &
( ( while :; do sleep 0.2; done ) & )
echo 'I stay'
while :; do sleep 0.2; done
'''
[tasks.daemon]
env = { PROBE = "@FOLDER@" }
bash = "setsid sleep 500 >/dev/null 2>&1 & echo 'left one behind'"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_kills_all_that_a_task_started() {
    let mut flow = Standalone::with(&[("stubborn", STUBBORN)]).await;
    let run = flow.trigger("stubborn");
    eventually_within(Duration::from_secs(10), "the tree grows", async || (flow.probes().len() >= 4).then_some(()))
        .await;
    assert_eq!(flow.finished("stubborn", &run).await, "failed");
    let shown = flow.api().task("stubborn", &run, "stubborn").await;
    assert!(shown["reason"].as_str().unwrap().contains("execution_timeout"), "{shown}");
    assert_eq!(flow.probes(), [] as [u32; 0]);
    assert_eq!(flow.api().task("stubborn", &run, "daemon").await["state"], "success");
    let log = flow.api().log("stubborn", &run, "daemon", 1).await.unwrap();
    assert!(log.iter().any(|line| line.contains("killed 1 processes")), "{log:?}");
    flow.stop_and_audit().await;
}

const LOUD: &str = r#"
[tasks.much]
bash = '''
line=$(head -c 1000 /dev/zero | tr '\0' x)
yes "$line" | head -c 100000000
echo
echo THE_END
'''
[tasks.long]
bash = '''
head -c 50000000 /dev/zero | tr '\0' y
echo
echo AFTER_IT
'''
[tasks.both]
bash = 'for i in $(seq 300); do echo "out $i"; echo "err $i" >&2; done; printf "no newline"'
"#;

#[tokio::test(flavor = "multi_thread")]
async fn output_without_end_is_cut_and_the_engine_lives() {
    let mut flow = Standalone::with(&[("loud", LOUD)]).await;
    let run = flow.trigger("loud");
    flow.flowctl(&["dags", "list"]).expect(0);
    assert_eq!(flow.finished("loud", &run).await, "success");
    for (task, bytes, end) in [("much", 100_000_000, "THE_END"), ("long", 50_000_000, "AFTER_IT")] {
        let attempt = &flow.api().tries("loud", &run, task).await[0];
        assert!(attempt["log_bytes"].as_i64().unwrap() >= bytes, "{attempt}");
        assert!(attempt["log_bytes_dropped"].as_i64().unwrap() > bytes / 2, "{attempt}");
        let log = flow.api().log("loud", &run, task, 1).await.unwrap();
        assert!(log.iter().any(|line| line == end), "the end of `{task}` is kept");
        assert!(log.iter().map(String::len).sum::<usize>() < 24 << 20);
        assert!(log.iter().any(|line| line.contains("left out")), "it is said that something is missing");
        assert_eq!(flow.api().xcom("loud", &run, task, "return_value").await, end);
    }
    let log = flow.api().log("loud", &run, "both", 1).await.unwrap();
    assert_eq!(log.iter().filter(|line| line.starts_with("out ")).count(), 300);
    assert_eq!(log.iter().filter(|line| line.starts_with("err ")).count(), 300);
    assert!(log.contains(&"no newline".to_owned()));
    flow.stop_and_audit().await;
}

const QUOTING: &str = r#"
[params]
text = { type = "string" }
[tasks.plain]
bash = "printf '%s' {{ params.text }}"
output = "text"
[tasks.in_quotes]
bash = "printf '%s' \"<{{ params.text }}>\""
output = "text"
[tasks.argument]
command = ["printf", "%s", "{{ params.text }}"]
output = "text"
[tasks.over_xcom]
depends_on = ["plain"]
bash = "printf '%s' {{ xcom.plain }}"
output = "text"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_value_escapes_its_quotes() {
    let mut flow = Standalone::with(&[("quoting", QUOTING)]).await;
    let probe = flow.path("escaped").display().to_string();
    let nasty = [
        format!("$(touch {probe})"),
        format!("`touch {probe}`; touch {probe} & | > < '"),
        format!("'; touch {probe}; echo '"),
        format!("\"; touch {probe}; echo \""),
        "a  b\tc\n\nd \\ $HOME ! * ? [a-z] {x,y} ~ # \\n é 漢 🎉".to_owned(),
        "{{ ti.try_number }} {% raw %}".to_owned(),
        "-n".to_owned(),
    ];
    let mut runs = Vec::new();
    for text in &nasty {
        let conf = serde_json::json!({ "text": text }).to_string();
        runs.push(flow.flowctl(&["trigger", "quoting", "--conf", &conf]).expect(0).stdout.trim().to_owned());
    }
    for (text, run) in nasty.iter().zip(&runs) {
        assert_eq!(flow.finished("quoting", run).await, "success", "{text}");
        for task in ["plain", "argument", "over_xcom"] {
            assert_eq!(flow.api().xcom("quoting", run, task, "return_value").await, *text, "{task}");
        }
        let quoted = flow.api().xcom("quoting", run, "in_quotes", "return_value").await;
        assert_eq!(quoted, format!("<{text}>"));
    }
    assert!(!flow.path("escaped").exists());
    flow.stop_and_audit().await;
}

const FILES: &str = r#"
[tasks.give]
bash = '''
mkdir -p "$FLOW_ARTIFACTS/plots"
echo '<svg/>' > "$FLOW_ARTIFACTS/plots/a.svg"
ln -s /etc/hostname "$FLOW_ARTIFACTS/secret"
head -c 3000 /dev/zero > "$FLOW_ARTIFACTS/large.bin"
exit {{ conf.code }}
'''
retries = 1
retry_delay = "0s"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_of_every_try() {
    let flow = Standalone::new();
    flow.write_dag("files", FILES);
    let mut flow = flow.env("FLOW__WORKER__ARTIFACT_BYTES_MAX", "2000");
    flow.start().await;
    let run = flow.flowctl(&["trigger", "files", "--conf", r#"{"code": 3}"#]).expect(0).stdout.trim().to_owned();
    assert_eq!(flow.finished("files", &run).await, "failed");
    let listed = flow.flowctl(&["artifacts", "list", "files", "-o", "json"]).expect(0).stdout;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let names: Vec<String> =
        listed.iter().map(|one| format!("{} {}", one["try_number"], one["name"].as_str().unwrap())).collect();
    assert_eq!(names, ["1 plots/a.svg", "2 plots/a.svg"]);
    let log = flow.api().log("files", &run, "give", 1).await.unwrap();
    for line in [
        "artifact not kept: `large.bin`: it has 2.9 KiB, and a file may have 2.0 KiB",
        "artifact not kept: `secret`: it is a symbolic link",
        "kept 1 artifact, 7 bytes",
    ] {
        assert!(log.iter().any(|have| have == line), "`{line}` is not in {log:?}");
    }
    let printed = flow.flowctl(&["artifacts", "get", "files", "give", "plots/a.svg", "--to", "-"]).expect(0);
    assert_eq!(printed.stdout, "<svg/>\n");
    flow.flowctl(&["artifacts", "get", "files", "give", "secret"]).expect(3);
    flow.stop_and_audit().await;
}

const XCOMS: &str = r#"
[tasks.give]
bash = '''
flowctl xcom push answer 42
flowctl xcom push words 'two words'
flowctl xcom push deep '{"a": [1, {"b": "c"}]}'
echo last line
'''
[tasks.take]
depends_on = ["give"]
bash = '''
echo {{ ti.xcom_pull(task_ids='give', key='answer') }} {{ ti.xcom_pull(task_ids='give', key='words') }} \
  {{ ti.xcom_pull(task_ids='give', key='deep').a[1].b }} {{ xcom.give }} \
  {{ ti.xcom_pull(task_ids='give', key='absent', default='none such') }}
'''
[tasks.misuse]
bash = "flowctl xcom push a=b 1"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn xcoms_are_pushed_from_inside() {
    let mut flow = Standalone::with(&[("xcoms", XCOMS)]).await;
    let run = flow.trigger("xcoms");
    flow.finished("xcoms", &run).await;
    assert_eq!(flow.api().xcom("xcoms", &run, "give", "answer").await, 42);
    assert_eq!(flow.api().xcom("xcoms", &run, "give", "deep").await, serde_json::json!({ "a": [1, { "b": "c" }] }));
    let taken = flow.api().xcom("xcoms", &run, "take", "return_value").await;
    assert_eq!(taken, "42 two words c last line none such");
    assert_eq!(flow.api().task("xcoms", &run, "misuse").await["state"], "failed");
    let outside = flow.flowctl(&["xcom", "push", "a", "1"]);
    assert_ne!(outside.code, 0);

    let listed = flow.flowctl(&["xcoms", "list", "xcoms", "give"]).expect(0);
    assert!(listed.stdout.contains("two words") && !listed.stdout.contains("none such"), "{}", listed.stdout);
    assert_eq!(flow.flowctl(&["xcoms", "get", "xcoms", "give", "words"]).expect(0).stdout, "two words\n");
    let exported = flow.flowctl(&["xcoms", "export", "xcoms", "--run", &run]).expect(0);
    std::fs::write(flow.path("values.json"), &exported.stdout).unwrap();
    flow.flowctl(&["xcoms", "set", "xcoms", "give", "answer", "43"]).expect(0);
    flow.flowctl(&["xcoms", "set", "xcoms", "give", "fresh", "[1]"]).expect(0);
    flow.flowctl(&["xcoms", "delete", "xcoms", "give", "deep"]).expect(0);
    assert_eq!(flow.api().xcom("xcoms", &run, "give", "answer").await, 43);
    flow.flowctl(&["xcoms", "get", "xcoms", "give", "deep"]).expect(3);
    let imported = flow.flowctl(&["xcoms", "import", "xcoms", "values.json"]).expect(0);
    assert!(imported.stderr.contains("5 values in the run"), "{}", imported.stderr);
    assert_eq!(flow.api().xcom("xcoms", &run, "give", "answer").await, 42);
    assert_eq!(flow.api().xcom("xcoms", &run, "give", "fresh").await, serde_json::json!([1]));
    let refused = flow.flowctl(&["xcoms", "set", "xcoms", "misuse", "k", "1"]).expect(1);
    assert!(refused.stderr.contains("`misuse` is failed"), "{}", refused.stderr);
    flow.stop_and_audit().await;
}
