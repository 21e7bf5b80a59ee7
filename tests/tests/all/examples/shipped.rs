//! The DAGs in `dags/`: each runs to success on a fresh machine.

use flow_tests::Program;

use super::{Home, copy, repository};

#[tokio::test(flavor = "multi_thread")]
async fn every_shipped_dag_succeeds_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().display().to_string();
    succeed(Home::alone(prepare, |program| configured(program, &folder)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shipped_dag_succeeds_on_servers() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().display().to_string();
    succeed(Home::on_servers(prepare, |program| configured(program, &folder)).await).await;
}

fn prepare(folder: &std::path::Path) {
    copy(&repository("dags"), &folder.join("dags"));
}

/// What they leave in `$TMPDIR` goes away with the test.
fn configured(program: Program, temporary: &str) -> Program {
    program.env("TMPDIR", temporary)
}

async fn succeed(home: Home) {
    let mut runs = Vec::new();
    for dag in home.dags() {
        let port = format!("port={}", home.api().url().rsplit_once(':').unwrap().1);
        let mut args = vec!["trigger", &dag];
        if ["check_flow", "wait_for_services"].contains(&dag.as_str()) {
            args.extend(["-p", &port]);
        }
        let run = home.flowctl(&args).expect(0).stdout.trim().to_owned();
        runs.push((dag, run));
    }
    assert!(runs.len() >= 20, "{runs:?}");
    for (dag, run) in &runs {
        let state = home.ends(dag, run).await;
        assert_eq!(state, "success", "{dag}\n{}", home.shown(dag, run));
    }
    let run_of = |dag: &str| runs.iter().find(|(name, _)| name == dag).map(|(_, run)| run.clone()).unwrap();
    let log = home.api().log("hello", &run_of("hello"), "greet", 1).await.unwrap();
    assert!(log.iter().any(|line| line.starts_with("Hello from hello, it is 20")), "{log:?}");
    let log = home.api().log("word_count", &run_of("word_count"), "show", 1).await.unwrap();
    assert!(log.iter().any(|line| line == "from fox: 9 words, longest quick"), "{log:?}");
    assert_eq!(home.api().tries("flaky", &run_of("flaky"), "unreliable").await.len(), 2);
    for (dag, task, said) in [
        ("sales_report", "report", "south: 30"),
        ("mapped_files", "summary", "lines of each file: 3 1"),
        ("mapped_group", "report", "3 customers done"),
        ("mapping", "report", "9 in all: north has 4, south has 5"),
        ("sql", "show", "Robert'); drop table orders; --: 2 orders, 42 in all"),
        ("sql", "list", "somebody else: 5"),
        ("form", "remind", "next month: A keyboard"),
        ("kubernetes_pod", "report", "the sum is not known: nobody asked a cluster"),
    ] {
        let text = home.flowctl(&["tasks", "logs", dag, task, "--run", &run_of(dag)]).expect(0);
        assert!(text.stdout.contains(said), "{}", text.stdout);
    }
    // With a Docker daemon that has the image, or without one.
    let text = home.flowctl(&["tasks", "logs", "docker", "report", "--run", &run_of("docker")]).expect(0);
    assert!(text.stdout.contains("nothing was counted") || text.stdout.contains(" words, "), "{}", text.stdout);
    for (dag, task) in [("messages", "mail"), ("messages", "chat"), ("messages", "post"), ("sql_server", "load")] {
        assert_eq!(home.api().task(dag, &run_of(dag), task).await["state"], "skipped", "{dag} {task}");
    }
    home.stop_and_audit().await;
}
