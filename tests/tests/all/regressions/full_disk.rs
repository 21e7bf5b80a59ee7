//! A disk that is full for a while.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flow_tests::{Standalone, eventually_within};
use reqwest::Method;

/// A small file system, which is gone with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Only root may mount one.
    fn mount(at: &Path) -> Option<SmallDisk> {
        std::fs::create_dir(at).expect("a folder can be made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(at).output().ok()?;
        mounted.status.success().then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still has files open there goes with the test.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_passes() {
    let flow = Standalone::new().env("FLOW__DATABASE__URL", "sqlite:small/flow.db");
    let Some(_disk) = SmallDisk::mount(&flow.path("small")) else {
        return println!("not tried: only root may mount a small file system");
    };
    let mut flow = flow;
    flow.write_dag("a", "[tasks.a]\nbash = \"true\"\n");
    flow.start().await;
    flow.flowctl(&["trigger", "a", "--wait"]).expect(0);
    let fill = flow.path("small/fill");
    fill_up(&fill);
    let refused = flow.flowctl(&["trigger", "a"]);
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    let readiness = async || flow.api().ask(Method::GET, "/readyz", None).await.ok().map(|(status, _)| status);
    eventually_within(Duration::from_secs(30), "it says that it is not ready", async || {
        (readiness().await? == 503).then_some(())
    })
    .await;
    let log = std::fs::read_to_string(flow.path("log")).unwrap();
    assert!(log.contains("database or disk is full"), "{log}");
    // It goes on by itself.
    std::fs::remove_file(fill).unwrap();
    eventually_within(Duration::from_secs(60), "it is ready again", async || (readiness().await? == 200).then_some(()))
        .await;
    flow.flowctl(&["trigger", "a", "--wait"]).expect(0);
    flow.stop_and_audit().await;
}

/// Writes until there is no more room.
fn fill_up(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("a file can be made");
    while file.write_all(&[0; 1_024]).is_ok() {}
    while file.write_all(&[0; 1]).is_ok() {}
}
