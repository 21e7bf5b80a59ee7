//! Tasks that try to get at the engine's secrets: as the user of the engine, as root, and as another user.

use std::os::unix::fs::PermissionsExt;

use flow_tests::Standalone;
use serde_json::json;

/// Stands in every variable that the engine is given.
const CANARY: &str = "canary-5f1c07";

/// `nobody` and its group, as on every Linux.
const NOBODY: u32 = 65_534;

/// Looks at every process from itself up to the engine, one line for each try: `environ 0` (read, without the canary),
/// `environ 1` (found), or `environ denied`.
const LOOK_UP: &str = r#"
pid=$PPID
while [ "$pid" -gt 1 ] && tr '\0' ' ' < "/proc/$pid/cmdline" | grep -q flowctl; do
    if [ -r "/proc/$pid/environ" ] && cat "/proc/$pid/environ" > environ 2> /dev/null; then
        echo "environ $(grep -c canary-5f1c07 environ)"
    else
        echo "environ denied"
    fi
    if head -c 1 "/proc/$pid/mem" 2>&1 | grep -q 'Permission denied'; then echo "mem denied"; else echo "mem open"; fi
    if ls "/proc/$pid/fd/" > /dev/null 2>&1; then echo "fd open"; else echo "fd denied"; fi
    pid=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 2)
done
"#;

/// An installation whose folder everybody may enter, with a DAG of one task.
fn installation(code: &str) -> Standalone {
    let flow = Standalone::new()
        .env("FLOW_VAR_GREETING", CANARY)
        .env("FLOW_CONN_SHOP", &format!("http://u:{CANARY}@shop.example"))
        .env("AIRFLOW_VAR_OLD", CANARY)
        .env("DATABASE_URL", &format!("postgres://u:{CANARY}@db.example/x"))
        .env("VAULT_TOKEN", CANARY)
        .env("FLOW__CLIENT__TOKEN", CANARY);
    std::fs::set_permissions(flow.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    flow.write_dag("curious", &format!("[tasks.look]\nretries = 0\noutput = \"text\"\nbash = '''\n{code}\n'''\n"));
    flow
}

/// Runs the task to its end: its state, and what it printed.
async fn run(flow: &Standalone) -> (String, Vec<String>) {
    let run = flow.trigger("curious");
    let state = flow.finished("curious", &run).await;
    (state, flow.api().log("curious", &run, "look", 1).await.unwrap_or_default())
}

fn count(lines: &[String], line: &str) -> usize {
    lines.iter().filter(|said| said.as_str() == line).count()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_no_ancestor_holds_a_secret() {
    let code = format!(
        "{LOOK_UP}\n[ {{{{ var.value.greeting }}}} = \"$(printf canary-; printf 5f1c07)\" ] && echo handed over"
    );
    let mut flow = installation(&code);
    flow.start().await;
    let (state, lines) = run(&flow).await;
    assert_eq!(state, "success", "{lines:#?}");
    assert_eq!(count(&lines, "environ 1"), 0, "{lines:#?}");
    // Warden and engine.
    assert_eq!(count(&lines, "environ 0") + count(&lines, "environ denied"), 2, "{lines:#?}");
    assert_eq!(count(&lines, "handed over"), 1, "the engine itself has what it was given: {lines:#?}");
    for (name, mode) in
        [("state", 0o700), ("state/flow.db", 0o600), ("state/secrets.key", 0o600), ("state/standalone.json", 0o600)]
    {
        let metadata = std::fs::metadata(flow.path(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_the_engines_own_user_cannot_look_into_it() {
    if !is_root() {
        println!("only root can start the engine as another user");
        return;
    }
    let mut flow = installation(&format!("id -u; {LOOK_UP}\numask; grep -c x \"$FLOW_XCOM_FILE\" || true"))
        .configured(|program| program.run_by(NOBODY, NOBODY));
    for name in [".", "dags"] {
        std::os::unix::fs::chown(flow.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    flow.start().await;
    let (state, lines) = run(&flow).await;
    assert_eq!(state, "success", "{lines:#?}");
    for (line, times) in [("65534", 1), ("environ denied", 2), ("mem denied", 2), ("fd denied", 2)] {
        assert_eq!(count(&lines, line), times, "{line}: {lines:#?}");
    }
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_another_user_see_nothing_of_the_engine() {
    if !is_root() {
        println!("only root can run tasks as another user");
        return;
    }
    let tries = r#"
id -un; echo "home $HOME user $USER"
for name in secrets.key standalone.json flow.db locks/standalone-0.lock; do
    if cat "@FOLDER@/state/$name" > /dev/null 2>&1; then echo "file open"; else echo "file denied"; fi
done
if ls "@FOLDER@/state" > /dev/null 2>&1; then echo "folder open"; else echo "folder denied"; fi
if ls "$PWD/.." > /dev/null 2>&1; then echo "others open"; else echo "others denied"; fi
flowctl xcom push rows 3
echo kept > "$FLOW_ARTIFACTS/report.txt"
ln "$FLOW_ARTIFACTS/report.txt" "$FLOW_ARTIFACTS/second.txt"
ln -s @FOLDER@/state/secrets.key "$FLOW_ARTIFACTS/stolen.txt"
touch made; stat -c 'mode %a' made
"#;
    let mut flow = installation(&format!("{LOOK_UP}{tries}")).env("FLOW__WORKER__RUN_AS", "nobody");
    let steal = "[tasks.steal]\nretries = 0\nbash = 'ln -s @FOLDER@/state/secrets.key \"$FLOW_XCOM_FILE\"'\n";
    flow.write_dag("thief", steal);
    flow.start().await;
    let (state, lines) = run(&flow).await;
    assert_eq!(state, "success", "{lines:#?}");
    for (line, times) in [
        ("environ denied", 2),
        ("mem denied", 2),
        ("fd denied", 2),
        ("nobody", 1),
        ("home /nonexistent user nobody", 1),
        ("file denied", 4),
        ("folder denied", 1),
        ("others denied", 1),
        ("mode 644", 1),
    ] {
        assert_eq!(count(&lines, line), times, "{line}: {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("kept 2 artifacts")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("stolen.txt") && line.contains("symbolic link")), "{lines:#?}");
    let run = flow.trigger("thief");
    assert_eq!(flow.finished("thief", &run).await, "failed");
    let said = flow.api().log("thief", &run, "steal", 1).await.unwrap().join("\n");
    assert!(said.contains("cannot read the XCom file"), "{said}");
    let xcoms = flow.flowctl(&["xcoms", "list", "curious", "-o", "json"]).expect(0).stdout;
    let xcoms: serde_json::Value = serde_json::from_str(&xcoms).unwrap();
    assert!(xcoms.as_array().unwrap().iter().any(|xcom| xcom["key"] == json!("rows")), "{xcoms}");
    flow.stop_and_audit().await;
}

#[test]
fn another_user_needs_root_and_a_name() {
    let flow = Standalone::new();
    for (user, why) in [("no-such-user", "there is no user `no-such-user`"), ("root", "is root")] {
        let refused = flow.flowctl(&[
            "standalone",
            "--state",
            "other",
            "--bind",
            "127.0.0.1:0",
            "--set",
            &format!("worker.run_as={user}"),
        ]);
        if is_root() {
            assert!(refused.code == 2 && refused.stderr.contains(why), "{}", refused.stderr);
        } else {
            assert!(refused.code == 2 && refused.stderr.contains("runs as root"), "{}", refused.stderr);
        }
    }
}
