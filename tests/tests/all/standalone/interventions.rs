//! What people do to runs: clear, mark, cancel.

use std::time::{Duration, Instant};

use flow_tests::{Standalone, eventually_within};

const DOUBTFUL: &str = "
[tasks.first]
bash = 'echo one >> @FOLDER@/first'
[tasks.doubtful]
depends_on = ['first']
bash = 'test -e @FOLDER@/flag'
[tasks.last]
depends_on = ['doubtful']
bash = 'echo done'
";

#[tokio::test(flavor = "multi_thread")]
async fn cleared_tasks_run_again() {
    let mut flow = Standalone::with(&[("doubtful", DOUBTFUL)]).await;
    let run = flow.trigger("doubtful");
    assert_eq!(flow.finished("doubtful", &run).await, "failed");
    let dry = flow.flowctl(&["tasks", "clear", "doubtful", "--only-failed", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("would clear doubtful") && !dry.stdout.contains("first"), "{}", dry.stdout);
    assert_eq!(flow.api().run_state("doubtful", &run).await, "failed");
    std::fs::write(flow.path("flag"), "").unwrap();
    flow.flowctl(&["tasks", "clear", "doubtful", "--only-failed", "--downstream"]).expect(0);
    eventually_within(Duration::from_secs(20), "the run succeeds", async || {
        (flow.api().run_state("doubtful", &run).await == "success").then_some(())
    })
    .await;
    let runs_of_first = || std::fs::read_to_string(flow.path("first")).unwrap().lines().count();
    assert_eq!(runs_of_first(), 1);
    assert_eq!(flow.api().tries("doubtful", &run, "doubtful").await.len(), 2);

    flow.flowctl(&["tasks", "clear", "doubtful", "first", "--downstream"]).expect(0);
    eventually_within(Duration::from_secs(20), "everything ran again", async || {
        let is_again = flow.api().task("doubtful", &run, "last").await["try_number"] == 2;
        (is_again && flow.api().run_state("doubtful", &run).await == "success").then_some(())
    })
    .await;
    assert_eq!(runs_of_first(), 2);
    flow.stop_and_audit().await;
}

const SLOW: &str = "
[tasks.slow]
env = { PROBE = '@FOLDER@' }
bash = 'echo begun; sleep 300'
[tasks.after]
depends_on = ['slow']
bash = 'echo after'
";

#[tokio::test(flavor = "multi_thread")]
async fn marked_and_cancelled_tasks_are_killed() {
    let mut flow = Standalone::with(&[("slow", SLOW)]).await;
    let run = flow.trigger("slow");
    let is_running = async || {
        eventually_within(Duration::from_secs(10), "it runs", async || (!flow.probes().is_empty()).then_some(())).await;
    };
    let is_dead = async || {
        let begin = Instant::now();
        eventually_within(Duration::from_secs(5), "it dies", async || flow.probes().is_empty().then_some(())).await;
        begin.elapsed()
    };
    is_running().await;
    flow.flowctl(&["tasks", "mark", "slow", "slow", "success"]).expect(0);
    assert!(is_dead().await < Duration::from_secs(5));
    assert_eq!(flow.finished("slow", &run).await, "success");
    assert_eq!(flow.api().task("slow", &run, "after").await["state"], "success");

    let run = flow.trigger("slow");
    is_running().await;
    flow.flowctl(&["runs", "cancel", "slow", &run]).expect(0);
    is_dead().await;
    assert_eq!(flow.finished("slow", &run).await, "failed");
    let states = flow.flowctl(&["tasks", "list", "slow", "--run", &run]).expect(0).stdout;
    assert!(!states.contains("running") && !states.contains("success"), "{states}");

    // A running task that is cleared is killed and begins anew, without a charge against its retries.
    let run = flow.trigger("slow");
    is_running().await;
    let before = flow.probes();
    flow.flowctl(&["tasks", "clear", "slow", "slow", "--run", &run]).expect(0);
    eventually_within(Duration::from_secs(10), "another one runs", async || {
        let now = flow.probes();
        (!now.is_empty() && now.iter().all(|pid| !before.contains(pid))).then_some(())
    })
    .await;
    flow.flowctl(&["tasks", "mark", "slow", "slow", "failed", "--run", &run]).expect(0);
    is_dead().await;
    assert_eq!(flow.finished("slow", &run).await, "failed");
    assert_eq!(flow.api().task("slow", &run, "after").await["state"], "upstream_failed");
    flow.stop_and_audit().await;
}
