//! How a standalone stops, in peace and otherwise, and what it makes of that when it is back.

use std::time::{Duration, Instant};

use flow_tests::{Standalone, eventually_within};

/// Slow the first time, quick the second.
const TWICE: &str = "
[tasks.twice]
env = { PROBE = '@FOLDER@' }
bash = 'echo $FLOW_CLAIM >> @FOLDER@/starts; [ -e @FOLDER@/flag ] || sleep 300'
[tasks.after]
depends_on = ['twice']
bash = 'echo after'
";

async fn begun(flow: &Standalone) {
    eventually_within(Duration::from_secs(10), "it runs", async || (!flow.probes().is_empty()).then_some(())).await;
}

fn starts(flow: &Standalone) -> Vec<String> {
    let text = std::fs::read_to_string(flow.path("starts")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn term_lets_a_running_task_end() {
    let dag = "
[tasks.slow]
bash = 'sleep 2; echo slept'
[tasks.after]
depends_on = ['slow']
bash = 'echo after'
";
    let mut flow = Standalone::with(&[("drained", dag)]).await;
    let run = flow.trigger("drained");
    flow.task_is("drained", &run, "slow", "running").await;
    flow.stop_and_audit().await;
    assert!(!flow.path("state/standalone.json").exists());
    flow.start().await;
    assert_eq!(flow.finished("drained", &run).await, "success");
    let tries = flow.api().tries("drained", &run, "slow").await;
    assert_eq!((tries.len(), &tries[0]["state"]), (1, &"success".into()), "{tries:?}");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_does_not_end_in_time_is_given_back() {
    let mut flow = Standalone::new().env("FLOW__WORKER__DRAIN_TIMEOUT", "300ms");
    flow.write_dag("twice", TWICE);
    flow.start().await;
    let run = flow.trigger("twice");
    begun(&flow).await;
    let begin = Instant::now();
    flow.stop_and_audit().await;
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert_eq!(flow.probes(), [] as [u32; 0]);
    std::fs::write(flow.path("flag"), "").unwrap();
    flow.start().await;
    assert_eq!(flow.finished("twice", &run).await, "success");
    assert_eq!(starts(&flow).len(), 2);
    let tries = flow.api().tries("twice", &run, "twice").await;
    assert!(tries.iter().any(|one| one["reason"] == "released"), "{tries:?}");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_takes_the_tasks_along_and_they_are_rerun() {
    let mut flow = Standalone::with(&[("twice", TWICE)]).await;
    let run = flow.trigger("twice");
    begun(&flow).await;
    flow.kill();
    eventually_within(Duration::from_secs(3), "its tasks die", async || flow.probes().is_empty().then_some(())).await;
    std::fs::write(flow.path("flag"), "").unwrap();
    let begin = Instant::now();
    flow.start().await;
    assert_eq!(flow.finished("twice", &run).await, "success");
    assert!(begin.elapsed() < Duration::from_secs(15), "rerun after {:?}", begin.elapsed());
    let claims = starts(&flow);
    assert!(claims.len() == 2 && claims[0] != claims[1], "{claims:?}");
    let tries = flow.api().tries("twice", &run, "twice").await;
    assert!(tries.iter().any(|one| one["reason"] == "worker_restarted"), "{tries:?}");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_again_and_again_loses_nothing() {
    let dag = "
max_active_tasks = 4
[default_args]
retries = 2
retry_delay = '100ms'
[tasks.a]
bash = 'sleep 0.1'
[tasks.b]
depends_on = ['a']
bash = 'sleep 0.2; [ {{ ti.try_number }} -ge 2 ]'
[tasks.c]
depends_on = ['a']
sleep = '300ms'
[tasks.d]
depends_on = ['b', 'c']
trigger_rule = 'all_done'
bash = 'true'
";
    let mut flow = Standalone::with(&[("busy", dag)]).await;
    let mut runs = Vec::new();
    for round in 0..4 {
        for _ in 0..4 {
            runs.push(flow.trigger("busy"));
        }
        tokio::time::sleep(Duration::from_millis(150 + 350 * round)).await;
        flow.kill();
        flow.start().await;
    }
    for run in &runs {
        flow.finished("busy", run).await;
        assert_eq!(flow.api().task("busy", run, "d").await["state"], "success");
    }
    flow.stop_and_audit().await;
}
