//! The DAGs that are shipped as examples.

use flow_tests::Standalone;

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shipped_dag_succeeds() {
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dags");
    let flow = Standalone::new();
    let temporary = flow.folder().display().to_string();
    let mut flow = flow.env("TMPDIR", &temporary);
    copy(&shipped, &flow.path("dags"));
    flow.start().await;
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(flow.path("dags")).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(dag) = name.strip_suffix(".toml") else { continue };
        let base_url = format!("base_url={}", flow.api().url());
        let mut args = vec!["trigger", dag];
        if dag == "check_flow" {
            args.extend(["-p", &base_url]);
        }
        let run = flow.flowctl(&args).expect(0).stdout.trim().to_owned();
        runs.push((dag.to_owned(), run));
    }
    assert!(runs.len() >= 8, "{runs:?}");
    for (dag, run) in &runs {
        let state = flow.finished(dag, run).await;
        let shown = flow.flowctl(&["runs", "show", dag, run]);
        assert_eq!(state, "success", "{dag}\n{}", shown.stdout);
    }
    let run_of = |dag: &str| runs.iter().find(|(name, _)| name == dag).map(|(_, run)| run.clone()).unwrap();
    let log = flow.api().log("hello", &run_of("hello"), "greet", 1).await.unwrap();
    assert!(log.iter().any(|line| line.starts_with("Hello from hello, it is 20")), "{log:?}");
    let log = flow.api().log("word_count", &run_of("word_count"), "show", 1).await.unwrap();
    assert!(log.iter().any(|line| line == "from fox: 9 words, longest quick"), "{log:?}");
    assert_eq!(flow.api().tries("flaky", &run_of("flaky"), "unreliable").await.len(), 2);
    let text = flow.flowctl(&["tasks", "logs", "sales_report", "report", "--run", &run_of("sales_report")]).expect(0);
    assert!(text.stdout.contains("south: 30"), "{}", text.stdout);
    let text = flow.flowctl(&["tasks", "logs", "mapped_files", "summary", "--run", &run_of("mapped_files")]).expect(0);
    assert!(text.stdout.contains("lines of each file: 3 1"), "{}", text.stdout);
    let text = flow.flowctl(&["tasks", "logs", "mapped_group", "report", "--run", &run_of("mapped_group")]).expect(0);
    assert!(text.stdout.contains("3 customers done"), "{}", text.stdout);
    let text = flow.flowctl(&["tasks", "logs", "form", "remind", "--run", &run_of("form")]).expect(0);
    assert!(text.stdout.contains("next month: A keyboard"), "{}", text.stdout);
    // With a Docker daemon that has the image, or without one.
    let text = flow.flowctl(&["tasks", "logs", "docker", "report", "--run", &run_of("docker")]).expect(0);
    assert!(text.stdout.contains("nothing was counted") || text.stdout.contains(" words, "), "{}", text.stdout);
    for (dag, task) in [("messages", "mail"), ("sql_server", "load"), ("kubernetes_pod", "compute")] {
        assert_eq!(flow.api().task(dag, &run_of(dag), task).await["state"], "skipped", "{dag}");
    }
    flow.stop_and_audit().await;
}
