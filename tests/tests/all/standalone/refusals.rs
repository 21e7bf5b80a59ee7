//! What a standalone does not start with.

use flow_tests::Standalone;

#[tokio::test(flavor = "multi_thread")]
async fn one_state_folder_holds_one_standalone_and_a_port_one_listener() {
    let mut flow = Standalone::with(&[]).await;
    let second = flow.flowctl(&["standalone", "--bind", "127.0.0.1:0", "--state", "state"]).expect(1);
    assert!(second.stderr.contains("already runs") && second.stderr.contains("hint:"), "{}", second.stderr);
    let bind = flow.api().url().trim_start_matches("http://").to_owned();
    let busy = flow.flowctl(&["standalone", "--bind", &bind, "--state", "other"]).expect(1);
    assert!(busy.stderr.contains(&bind) && busy.stderr.contains("hint:"), "{}", busy.stderr);
    flow.flowctl(&["dags", "list"]).expect(0);
    flow.stop_and_audit().await;
}

#[test]
fn configuration_that_cannot_be_meant() {
    let flow = Standalone::new();
    let start = |more: &[&str]| {
        let mut args = vec!["standalone", "--bind", "127.0.0.1:0"];
        args.extend(more);
        flow.flowctl(&args).expect(2).stderr
    };
    let text = start(&["--set", "worker.concurency=3"]);
    assert!(text.contains("did you mean `worker.concurrency`?"), "{text}");
    let text = start(&["--set", "lease.heartbeat=20s"]);
    assert!(text.contains("lease.duration"), "{text}");
    let text = start(&["--set", "worker.concurrency=many"]);
    assert!(text.contains("whole number"), "{text}");

    std::fs::write(flow.path("flow.toml"), "[worker]\nconcurency = 3\n").unwrap();
    let text = start(&[]);
    assert!(text.contains("flow.toml") && text.contains("worker.concurrency"), "{text}");
    std::fs::remove_file(flow.path("flow.toml")).unwrap();

    let done = flow.program().clone().env("FLOW__WROKER__CONCURRENCY", "3").run(&["config", "show"]).expect(2);
    assert!(done.stderr.contains("FLOW__WROKER__CONCURRENCY"), "{}", done.stderr);
    flow.flowctl(&["db", "migrate"]).expect(0);
    let done = flow.flowctl(&["scheduler"]).expect(2);
    assert!(done.stderr.contains("queue.url"), "{}", done.stderr);
}
