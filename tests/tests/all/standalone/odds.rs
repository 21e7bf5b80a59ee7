//! What people meet who write files on another system, and who ask about what has not gone well.

use flow_tests::{Standalone, eventually};

const CRLF: &str = "[tasks.a]\r\nbash = \"\"\"\r\nset -e\r\nif true; then\r\n  echo yes\r\nfi\r\n\"\"\"\r\n[tasks.b]\r\nbash = { script = 'b.sh' }\r\n";
const JSON: &str = r#"
[params]
name = 'world'
[tasks.a]
bash = "printf '\\xef\\xbb\\xbf{\"a\": 1}'"
output = "json"
[tasks.b]
depends_on = ["a"]
bash = "test {{ xcom.a.a }} = 1; echo {{ params.name }}"
"#;
const MAPPED: &str = "
[tasks.each]
expand = { n = [1, 2] }
bash = 'echo number {{ n }}; test {{ n }} = 1'
[tasks.after]
depends_on = ['each']
bash = 'true'
";

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_systems_and_questions_after_failures() {
    let mut flow = Standalone::new();
    flow.write_dag("crlf", CRLF);
    std::fs::write(flow.path("dags/b.sh"), "set -e\r\nif true; then\r\n  echo too\r\nfi\r\n").unwrap();
    flow.write_dag("json", JSON);
    flow.write_dag("mapped", MAPPED);
    std::fs::write(flow.path("dags/LOUD.TOML"), "[tasks.a]\nnoop = true\n").unwrap();
    flow.start().await;
    eventually("the files are published", async || {
        let listed = flow.flowctl(&["dags", "list"]).stdout;
        ["crlf", "json", "mapped", "LOUD"].iter().all(|dag| listed.contains(dag)).then_some(())
    })
    .await;

    flow.flowctl(&["trigger", "crlf", "--wait"]).expect(0);
    std::fs::write(flow.path("conf.json"), "\u{feff}{\"name\": \"Ada\"}").unwrap();
    flow.flowctl(&["trigger", "json", "--wait", "--conf", "@conf.json"]).expect(0);
    assert_eq!(flow.flowctl(&["tasks", "logs", "json", "b"]).expect(0).stdout.trim(), "Ada");
    for (kind, text) in [("json", "{\"v\": \"1\"}"), ("env", "v=1\r\n"), ("yaml", "v: '1'\r\n")] {
        let file = format!("import.{kind}");
        std::fs::write(flow.path(&file), format!("\u{feff}{text}")).unwrap();
        flow.flowctl(&["variables", "import", &file, "--action-on-existing-key", "overwrite"]).expect(0);
        assert_eq!(flow.flowctl(&["variables", "get", "v"]).expect(0).stdout.trim(), "1", "{kind}");
    }

    let failed = flow.flowctl(&["trigger", "mapped", "--wait"]).expect(1);
    assert!(failed.stderr.contains("failed: each [1]: exit code 1"), "{}", failed.stderr);
    let several = flow.flowctl(&["tasks", "logs", "mapped", "each"]).expect(2);
    assert!(several.stderr.contains("[0] success") && several.stderr.contains("--map-index 0"), "{}", several.stderr);
    let one = flow.flowctl(&["tasks", "logs", "mapped", "each", "--map-index", "1"]).expect(0);
    assert!(one.stdout.contains("number 2"), "{}", one.stdout);
    let never = flow.flowctl(&["tasks", "logs", "mapped", "after"]);
    assert!(never.stderr.contains("has not started in this run: it is upstream_failed"), "{}", never.stderr);

    flow.write_dag("never", "[tasks.a]\nbsh = 'true'\n");
    flow.write_dag("mapped", "[tasks.each]\nbsh = 'true'\n");
    eventually("the broken files are seen", async || {
        let never = flow.flowctl(&["dags", "show", "never"]);
        let mapped = flow.flowctl(&["dags", "show", "mapped"]);
        let both = never.code == 3 && never.stderr.contains("bsh") && mapped.stderr.contains("last good version");
        (both && mapped.code == 0).then_some(())
    })
    .await;
    flow.stop_and_audit().await;
}
