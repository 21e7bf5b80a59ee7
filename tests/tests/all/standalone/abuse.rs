//! Triggers that break down, hang or flood: the others do not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flow_tests::{Standalone, eventually_within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than there can be looks at once.
const FLOOD: usize = 600;
const PATIENCE: Duration = Duration::from_secs(90);

fn dag(port: u16) -> String {
    let numbers: Vec<String> = (0..FLOOD).map(|number| number.to_string()).collect();
    format!(
        "
max_active_tasks = 1000
[tasks.breaks_down]
file_sensor = {{ filepath = '/breaks/down', poke_interval = '100ms' }}
[tasks.hangs]
file_sensor = {{ filepath = '/never/comes/back', poke_interval = '100ms' }}
[tasks.flood]
expand = {{ number = [{}] }}
http_sensor = {{ url = 'http://127.0.0.1:{port}/{{{{ number }}}}', request_timeout = '10m' }}
[tasks.file]
file_sensor = {{ filepath = '@FOLDER@/there', poke_interval = '100ms' }}
[tasks.other_host]
http_sensor = {{ url = 'http://localhost:{port}/at_once', poke_interval = '100ms', response_check = {{ equals = 'yes' }} }}
[tasks.timer]
depends_on = ['file']
sleep = {{ duration = '100ms', deferrable = true }}
[tasks.run_of_another]
external_task_sensor = {{ external_dag_id = 'nobody', poke_interval = '100ms', check_existence = true }}
",
        numbers.join(", ")
    )
}

/// A server that answers one address, and never ends its other answers. Counts those.
async fn trickling() -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (trickles, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, open) = (Arc::clone(&trickles), Arc::clone(&is_open));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&counted), Arc::clone(&open)));
        }
    });
    (port, trickles, is_open)
}

async fn answer(mut stream: TcpStream, trickles: Arc<AtomicUsize>, is_open: Arc<AtomicUsize>) {
    let mut request = [0; 4096];
    while let Ok(1..) = stream.read(&mut request).await {
        if request.starts_with(b"GET /at_once") {
            let body = if is_open.load(Ordering::SeqCst) > 0 { "yes" } else { "no" };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        } else {
            trickles.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_break_down_hang_or_flood_harm_no_other() {
    let (port, trickles, is_open) = trickling().await;
    let mut flow = Standalone::new().env("FLOW_LOOK_FAULT", "panic=/breaks/down,hang=/never/comes/back");
    flow.write_dag("abuse", &dag(port));
    flow.start().await;
    flow.wait_for_dag("abuse").await;
    let run = flow.trigger("abuse");
    eventually_within(PATIENCE, "more wait than there can be looks at once", async || {
        let listed = flow.flowctl(&["tasks", "list", "abuse", "--run", &run]).expect(0).stdout;
        (listed.matches(" deferred ").count() > FLOOD).then_some(())
    })
    .await;
    eventually_within(PATIENCE, "the host is asked as often as it may be", async || {
        (trickles.load(Ordering::SeqCst) == 16).then_some(())
    })
    .await;
    // Each kind of look still goes on.
    is_open.store(1, Ordering::SeqCst);
    std::fs::write(flow.path("there"), "").unwrap();
    for task in ["file", "timer", "other_host"] {
        flow.task_is("abuse", &run, task, "success").await;
    }
    flow.task_is("abuse", &run, "run_of_another", "failed").await;
    let broken = flow.api().task("abuse", &run, "breaks_down").await;
    assert_eq!((&broken["state"], &broken["try_number"]), (&"failed".into(), &1.into()), "{broken}");
    assert_eq!(flow.api().task("abuse", &run, "hangs").await["state"], "deferred");
    assert_eq!(trickles.load(Ordering::SeqCst), 16, "no more than its share at once");
    // A person ends it all.
    flow.flowctl(&["runs", "cancel", "abuse", &run]).expect(0);
    assert_eq!(flow.finished("abuse", &run).await, "failed");
    flow.stop_and_audit().await;
}
