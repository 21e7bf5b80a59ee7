//! Sensors: they wait without a worker slot, and end as they should.

use std::time::Duration;

use flow_tests::{Standalone, eventually_within};

const SENSORS: &str = "
[tasks.file]
file_sensor = { filepath = '{{ params.folder }}/*.csv', poke_interval = '100ms', min_size = 2 }
[tasks.read]
depends_on = ['file']
bash = 'cat {{ xcom.file | first }}'
[tasks.timer]
sleep = { duration = '300ms', deferrable = true }
[tasks.past]
date_time_sensor = '2020-01-01T00:00:00Z'
[tasks.never]
file_sensor = { filepath = '/nonexistent/x', poke_interval = '100ms', timeout = '500ms' }
retries = 3
[tasks.never_mind]
file_sensor = { filepath = '/nonexistent/x', poke_interval = '100ms', timeout = '500ms', soft_fail = true }
[tasks.script]
command_sensor = { command = 'test -e {{ params.folder }}/a.csv', poke_interval = '100ms' }
[params]
folder = ''
";

#[tokio::test(flavor = "multi_thread")]
async fn sensors_wait_without_a_slot() {
    let mut flow = Standalone::with(&[("sensors", SENSORS)]).await;
    let folder = flow.path("in");
    std::fs::create_dir_all(&folder).unwrap();
    let param = format!("folder={}", folder.display());
    let run = flow.flowctl(&["trigger", "sensors", "-p", &param]).expect(0).stdout.trim().to_owned();
    eventually_within(Duration::from_secs(20), "the file sensor is deferred, the script was run", async || {
        let file = flow.api().task("sensors", &run, "file").await;
        let script = flow.api().task("sensors", &run, "script").await;
        (file["state"] == "deferred" && script["state"] == "up_for_reschedule").then_some(())
    })
    .await;
    let told = eventually_within(Duration::from_secs(20), "a look is noted", async || {
        let told = flow.flowctl(&["tasks", "explain", "sensors", "file", "--run", &run]).expect(0).stdout;
        told.contains("was looked at").then_some(told)
    })
    .await;
    assert!(told.contains("waits for the file") && told.contains("there is no"), "{told}");
    // Still being written: too small to count.
    std::fs::write(folder.join("a.csv"), "1").unwrap();
    eventually_within(Duration::from_secs(20), "the script sees the file", async || {
        let script = flow.api().task("sensors", &run, "script").await;
        (script["state"] == "success").then_some(())
    })
    .await;
    assert_eq!(flow.api().task("sensors", &run, "file").await["state"], "deferred");
    std::fs::write(folder.join("a.csv"), "12 rows\n").unwrap();
    assert_eq!(flow.finished("sensors", &run).await, "failed");
    for (task, state) in [
        ("file", "success"),
        ("read", "success"),
        ("timer", "success"),
        ("past", "success"),
        ("never", "failed"),
        ("never_mind", "skipped"),
        ("script", "success"),
    ] {
        let shown = flow.api().task("sensors", &run, task).await;
        assert_eq!((&shown["state"], &shown["try_number"]), (&state.into(), &1.into()), "{shown}");
    }
    let log = flow.api().log("sensors", &run, "read", 1).await.unwrap();
    assert!(log.iter().any(|line| line == "12 rows"), "{log:?}");
    let log = flow.api().log("sensors", &run, "file", 1).await.unwrap();
    assert!(log.iter().any(|line| line.contains("waits for the file")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("is there")), "{log:?}");
    flow.stop_and_audit().await;
}
