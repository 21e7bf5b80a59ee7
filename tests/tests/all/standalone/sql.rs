//! SQL tasks and sensors: from the DAG file to the rows, and to what is said about them.

use flow_tests::Standalone;
use serde_json::json;

const DAG: &str = r#"
[params.who]
type = "string"
default = "ada"

[tasks.fill.sql]
connection = "books"
file = "fill.sql"
parameters = { who = "{{ params.who }}", amount = 7 }

[tasks.rows]
depends_on = ["fill"]
[tasks.rows.sql]
connection = "books"
query = "select who, amount, null as missing from orders where who = :who order by amount"
parameters = { who = "{{ params.who }}" }

[tasks.count]
depends_on = ["rows"]
[tasks.count.sql]
connection = "books"
query = "update orders set amount = amount + :by"
parameters = { by = "{{ xcom.rows[0].amount }}" }
fetch = "count"

[tasks.too_many]
depends_on = ["fill"]
[tasks.too_many.sql]
connection = "books"
query = "select 1 union all select 2"
max_rows = 1

[tasks.unknown.sql]
connection = "boooks"
query = "select 1"

[tasks.wrong]
depends_on = ["fill"]
[tasks.wrong.sql]
connection = "books"
query = "insert into orders values ('x', 1);\nselect nope from orders"

[tasks.unsaid]
depends_on = ["fill"]
[tasks.unsaid.sql]
connection = "books"
query = "select :nmae # :name, a comment where connections lead to MySQL"
parameters = { nmae = 1 }
"#;

const FILL: &str = "create table if not exists orders (who text, amount integer);
-- A comment; with what is no end of a statement.
insert into orders values (:who, :amount);
insert into orders values ('somebody; else', 1);
";

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_and_rows_become_xcoms() {
    let mut flow = Standalone::new();
    std::fs::write(flow.path("dags/fill.sql"), FILL).unwrap();
    flow.write_dag("books", DAG);
    flow.start().await;
    let host = flow.path("books.db").display().to_string();
    flow.flowctl(&["connections", "set", "books", "--conn-type", "sqlite", "--host", &host]).expect(0);
    let hostile = "x'); drop table orders; --\u{1f600}\"\\";
    let run = flow.flowctl(&["trigger", "books", "-p", &format!("who={hostile}")]).expect(0).stdout.trim().to_owned();
    assert_eq!(flow.finished("books", &run).await, "failed");
    let log = |task: &str| flow.flowctl(&["tasks", "logs", "books", task, "--run", &run]).expect(0).stdout;
    let fill = log("fill");
    assert!(fill.contains("statement 2 of 3: insert into orders values (:who, :amount)"), "{fill}");
    assert!(fill.contains("1 row affected in "), "{fill}");
    let rows = flow.api().xcom("books", &run, "rows", "return_value").await;
    assert_eq!(rows, json!([{ "who": hostile, "amount": 7, "missing": null }]));
    assert_eq!(flow.api().xcom("books", &run, "rows", "row_count").await, 1);
    assert_eq!(flow.api().xcom("books", &run, "count", "return_value").await, 2);
    for (task, why) in [
        ("too_many", "the query returns more than 1 rows\nhint: let it return fewer, raise `max_rows`"),
        ("unknown", "connection `boooks` does not exist\nhint: set it with `flowctl connections set boooks"),
        ("wrong", "statement 2 of 2 (from line 2) failed: no such column: nope"),
        (
            "unsaid",
            "the query names the parameter `:name`, which is not given (line 1, column 16)\nhint: did you mean `:nmae`?",
        ),
    ] {
        let text = log(task);
        assert!(why.lines().all(|line| text.contains(line)), "{task}: {text}");
    }
    // What failed has left nothing behind.
    let left = sqlite(&host, "select count(*) from orders where who = 'x'");
    assert_eq!(left.trim(), "0");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_waits_for_a_row() {
    let dag = r#"
[tasks.wait.sql_sensor]
connection = "books"
query = "select amount, who from orders where who = :who"
parameters = { who = "{{ conf.who }}" }
poke_interval = "1s"

[tasks.never.sql_sensor]
connection = "nowhere"
query = "select 1"

[tasks.broken.sql_sensor]
connection = "books"
query = "select nope"
poke_interval = "1s"
"#;
    let mut flow = Standalone::with(&[("waits", dag)]).await;
    let host = flow.path("books.db").display().to_string();
    sqlite(&host, "create table orders (who text, amount integer)");
    sqlite(&host, "insert into orders values ('ada', 0)");
    flow.flowctl(&["connections", "set", "books", "--conn-type", "sqlite", "--host", &host]).expect(0);
    let run = flow.flowctl(&["trigger", "waits", "--conf", r#"{"who": "ada"}"#]).expect(0).stdout.trim().to_owned();
    flow.task_is("waits", &run, "never", "failed").await;
    flow.task_is("waits", &run, "broken", "failed").await;
    flow.task_is("waits", &run, "wait", "deferred").await;
    sqlite(&host, "update orders set amount = 42");
    flow.task_is("waits", &run, "wait", "success").await;
    let row = flow.api().xcom("waits", &run, "wait", "return_value").await;
    assert_eq!(row, json!({ "amount": 42, "who": "ada" }));
    flow.stop_and_audit().await;
}

/// What SQLite's own tool says.
fn sqlite(path: &str, sql: &str) -> String {
    let code = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nfor row in c.execute(sys.argv[2]): print(*row)\nc.commit()";
    let output = std::process::Command::new("python3").args(["-c", code, path, sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
