//! Script files and queries that are templates: values stay values, in shell code and in SQL.

use flow_testbed::{MariaDb, shared_mariadb, shared_postgres};
use flow_tests::Standalone;
use serde_json::{Value, json};

const HOSTILE: [&str; 4] =
    ["'; drop table \"canary\"; --", "$(id) `id` \"$HOME\"", "\\' or 1=1 -- \"", "ö\n:name ?1 $1"];

const DAG: &str = r#"
[tasks.fill.sql]
@WHERE@
file = "queries/fill.sql"

[tasks.read]
depends_on = ["fill"]
[tasks.read.sql]
@WHERE@
file = "queries/read.sql"
parameters = { least = 1 }

[tasks.inline]
depends_on = ["fill"]
[tasks.inline.sql]
@WHERE@
query = """
select name as n from {{ conf.table | identifier }}
where name in ({% for name in conf.names %}{{ name }}{% if not loop.last %}, {% endif %}{% endfor %})
{% if conf.nothing is not none %}and 1 = 0{% endif %}
order by {{ "id" | identifier }}
"""

[tasks.shell.bash]
script = "scripts/each.sh"
args = ["last"]

[tasks.plain.bash]
script = "scripts/plain.sh"

[tasks.literal.bash]
script = "scripts/literal.sh"
template = false
"#;

const FILL: &str = "
-- for {{ conf.table }}
create table canary (id integer);
create table {{ conf.table | identifier }} (id integer, name varchar(99), note varchar(99));
{% for name in conf.names %}
insert into {{ conf.table | identifier }} values ({{ loop.index }}, {{ name }}, 'it''s {{ name }}!');
{% endfor %}
";

const READ: &str = "
{# for authors only #}
select id, name, note from {{ conf.table | identifier }}
where id >= :least {% if conf.limit %}and id <= {{ conf.limit }}{% endif %} and coalesce({{ conf.nothing }}, '{{1,2}}') = '{{1,2}}'
  and not exists (select 1 from canary)
order by id
";

fn write(flow: &Standalone, path: &str, text: &str) {
    let path = flow.path("dags").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn files_are_rendered(mut flow: Standalone, place: &str) {
    write(&flow, "queries/fill.sql", FILL);
    write(&flow, "queries/read.sql", READ);
    let each = "{% for name in conf.names %}\nprintf '%s|' \"{{ name }}\"\n{% endfor %}\necho $1\n";
    write(&flow, "scripts/each.sh", each);
    write(&flow, "scripts/plain.sh", "list=(a b)\necho ${#list[@]} '{{.Names}}'\n");
    write(&flow, "scripts/literal.sh", "echo '{{ conf.limit }}'\n");
    let place = place.replace("@FOLDER@", &flow.path("").display().to_string());
    flow.write_dag("files", &DAG.replace("@WHERE@", &place));
    flow.start().await;
    let conf = json!({ "table": "or\"d`er]s; drop", "names": HOSTILE, "limit": 3, "nothing": null }).to_string();
    let run = flow.flowctl(&["trigger", "files", "--conf", &conf]).expect(0).stdout.trim().to_owned();
    let state = flow.finished("files", &run).await;
    let logs = flow.api().log("files", &run, "read", 1).await;
    assert_eq!(state, "success", "{logs:?} {:?}", flow.api().log("files", &run, "fill", 1).await);
    let rows = flow.api().xcom("files", &run, "read", "return_value").await;
    let row = |(id, name): (usize, &&str)| json!({ "id": id + 1, "name": name, "note": format!("it's {name}!") });
    let expected: Vec<Value> = HOSTILE.iter().enumerate().take(3).map(row).collect();
    assert_eq!(rows, Value::Array(expected));
    let rows = flow.api().xcom("files", &run, "inline", "return_value").await;
    assert_eq!(rows, Value::Array(HOSTILE.iter().map(|name| json!({ "n": name })).collect()));
    // The last line: the value before it has a line break of its own.
    assert_eq!(flow.api().xcom("files", &run, "shell", "return_value").await, ":name ?1 $1|last");
    assert_eq!(flow.api().xcom("files", &run, "plain", "return_value").await, "2 {{.Names}}");
    assert_eq!(flow.api().xcom("files", &run, "literal", "return_value").await, "{{ conf.limit }}");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_on_sqlite() {
    files_are_rendered(Standalone::new(), "sqlite = '@FOLDER@/data.db'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_on_postgres() {
    let database = shared_postgres().create_database().expect("a database");
    let flow = Standalone::new().env("FLOW_CONN_WAREHOUSE", &database);
    files_are_rendered(flow, "connection = 'warehouse'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_on_mariadb() {
    let server = shared_mariadb();
    let database = server.create_database().expect("a database");
    let (login, password, port) = (MariaDb::LOGIN, MariaDb::PASSWORD, server.port());
    let flow = Standalone::new()
        .env("FLOW_CONN_WAREHOUSE", &format!("mysql://{login}:{password}@127.0.0.1:{port}/{database}"));
    files_are_rendered(flow, "connection = 'warehouse'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_become_sql_is_refused() {
    let mut flow = Standalone::new();
    let cases = [
        ("word", "select * from t_{{ conf.x }}", "within a word"),
        ("name", "select \"{{ conf.x }}\"", "inside of `\""),
        ("list", "select '{{ conf.list }}'", "a list stands inside of a text"),
        ("joined", "select {{ conf.list | map('identifier') | join(', ') }}", "an identifier became a part of a text"),
        ("number", "select 1 as {{ conf.n | identifier }}", "`identifier` takes a name"),
    ];
    let mut dag = String::new();
    for (name, text, _) in cases {
        write(&flow, &format!("queries/{name}.sql"), text);
        dag += &format!("[tasks.{name}.sql]\nsqlite = ':memory:'\nfile = 'queries/{name}.sql'\n");
    }
    flow.write_dag("refused", &dag);
    flow.start().await;
    let conf = r#"{"x": "1; drop table t", "list": ["a"], "n": 7}"#;
    let run = flow.flowctl(&["trigger", "refused", "--conf", conf]).expect(0).stdout.trim().to_owned();
    assert_eq!(flow.finished("refused", &run).await, "failed");
    for (name, _, told) in cases {
        let log = flow.api().log("refused", &run, name, 1).await.unwrap().join("\n");
        assert!(log.contains(told), "{name}: {log}");
    }
    flow.stop_and_audit().await;
}

#[test]
fn the_check_reads_the_files() {
    let flow = Standalone::new();
    let check = |sql: &str, shell: &str, more: &str| {
        write(&flow, "queries/a.sql", sql);
        write(&flow, "scripts/a.sh", shell);
        let dag = format!(
            "[tasks.a.sql]\nsqlite = ':memory:'\nfile = 'queries/a.sql'\n[tasks.b.bash]\nscript = 'scripts/a.sh'\n{more}"
        );
        flow.write_dag("checked", &dag);
        let checked = flow.flowctl(&["dags", "check", "dags/checked.toml"]);
        (checked.code, checked.stderr)
    };
    let good = ("select '{{1,2}}'\n", "echo ${#list[@]} '{{.Names}}'\n");
    assert_eq!(check(good.0, good.1, "").0, 0);
    for (sql, place, told) in [
        ("select 1,\n  {{ dss }}", "dags/queries/a.sql:2:6", "`dss` means nothing in a template"),
        ("select {{ ds", "dags/queries/a.sql:1:8", "`{{` is never closed"),
        ("select {{ ds | identifeir }}", "dags/queries/a.sql:1:16", "did you mean `identifier`?"),
        ("select {{ ds | safe }}", "dags/queries/a.sql:1:16", "there is no `safe`"),
        ("{% macro m() %}x{% endmacro %}select {{ m() }}", "dags/queries/a.sql:1:", "would make one value of the SQL"),
        ("{% set s %}select 1{% endset %}{{ s }}", "dags/queries/a.sql:1:", "would make one value of the SQL"),
    ] {
        let (code, said) = check(sql, good.1, "");
        assert!(code != 0 && said.contains(place) && said.contains(told), "{sql}: {said}");
    }
    let (code, said) = check(good.0, "echo\necho {{ xcom.nobody }}\n", "");
    assert!(code != 0 && said.contains("dags/scripts/a.sh:2:") && said.contains("nobody"), "{said}");
    assert_eq!(check(good.0, "echo {{ xcom.nobody }}\n", "template = false").0, 0);
    let (code, said) = check(good.0, "echo ${#list[@]}\n", "template = true");
    assert!(code != 0 && said.contains("dags/scripts/a.sh:1:7") && said.contains("{% raw %}"), "{said}");
    let (code, said) = check(good.0, "echo '{{ regoin }}'\n", "");
    assert!(code == 0 && said.contains("is not rendered: it names nothing"), "{said}");
    let (code, said) = check(good.0, "echo {{ ds | safe }}\n", "");
    assert!(code == 0 && said.contains("becomes shell code"), "{said}");
}
