//! Variables, connections and XComs from files: those that Airflow writes, those that people keep, and broken ones.

use flow_tests::Standalone;
use serde_json::{Value, json};

/// `airflow variables export`.
const VARIABLES: &str = r#"{
    "region": "eu-north",
    "limits": { "rows": 1000, "names": ["a", "b"] },
    "described": { "value": "x y", "description": "what it is for" },
    "number": 7
}"#;

/// `airflow connections export conns.yaml`.
const CONNECTIONS_YAML: &str = r#"
warehouse:
  conn_type: postgres
  description: the big one
  extra: '{"sslmode": "require"}'
  host: db.example
  login: ada
  password: s@fe/word
  port: 5432
  schema: sales
api: http://user:p%40ss@api.example:8080/https
"#;

/// `airflow connections export conns.env`, and what people have in the environment of Airflow.
const CONNECTIONS_ENV: &str = "# mine\nold_db=mysql://ada:w%23rd@old.example:3306/shop\nAIRFLOW_CONN_MAIL={\"conn_type\": \"smtp\", \"host\": \"mail.example\", \"port\": 25}\n";

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_airflow_are_understood() {
    let mut flow = Standalone::with(&[(
        "reader",
        "[tasks.read]\nbash = 'echo {{ var.json.limits.rows }} {{ conn.api.host }} {{ conn.old_db.schema }}'\n",
    )])
    .await;
    let write = |name: &str, text: &str| std::fs::write(flow.path(name), text).unwrap();
    write("variables.json", VARIABLES);
    write("connections.yaml", CONNECTIONS_YAML);
    write("connections.env", CONNECTIONS_ENV);
    let told = flow.flowctl(&["variables", "import", "variables.json"]).expect(0);
    assert_eq!(told.stderr, "4 variables set\n");
    flow.flowctl(&["connections", "import", "connections.yaml"]).expect(0);
    flow.flowctl(&["connections", "import", "connections.env"]).expect(0);

    let variables = value(&flow.flowctl(&["variables", "export"]).expect(0).stdout);
    assert_eq!(variables["limits"]["value"], "{\"rows\":1000,\"names\":[\"a\",\"b\"]}");
    assert_eq!(variables["described"], json!({ "value": "x y", "description": "what it is for" }));
    assert_eq!(variables["number"]["value"], "7");
    let exported = flow.flowctl(&["connections", "export"]).expect(0).stdout;
    let connections = value(&exported);
    assert_eq!(connections["warehouse"]["password"], "s@fe/word");
    assert_eq!(connections["warehouse"]["extra"], json!({ "sslmode": "require" }));
    assert_eq!(connections["warehouse"]["description"], "the big one");
    assert_eq!((&connections["api"]["password"], &connections["api"]["port"]), (&json!("p@ss"), &json!(8080)));
    assert_eq!(
        (&connections["old_db"]["password"], &connections["old_db"]["schema"]),
        (&json!("w#rd"), &json!("shop"))
    );
    assert_eq!(connections["mail"]["host"], "mail.example");

    // What was exported comes back as it was.
    write("again", &exported);
    flow.flowctl(&["connections", "import", "again"]).expect(0);
    assert_eq!(value(&flow.flowctl(&["connections", "export"]).expect(0).stdout), connections);
    let run = flow.trigger("reader");
    assert_eq!(flow.finished("reader", &run).await, "success");
    assert_eq!(flow.api().xcom("reader", &run, "read", "return_value").await, "1000 api.example shop");
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_overwritten_kept_or_refused() {
    let mut flow = Standalone::with(&[("leaves", "[tasks.a]\nbash = 'echo old'\n")]).await;
    let write = |name: &str, text: &str| std::fs::write(flow.path(name), text).unwrap();
    flow.flowctl(&["variables", "set", "region", "old"]).expect(0);
    write("v.json", r#"{"region": "new", "zone": "a"}"#);
    let import = |what: &str, file: &str, action: &str| {
        flow.flowctl(&[what, "import", file, "--action-on-existing-key", action])
    };
    let get = |key: &str| flow.flowctl(&["variables", "get", key]);
    let refused = import("variables", "v.json", "fail").expect(1).stderr;
    assert!(refused.contains("1 of the variables exist already, so nothing was set: `region`"), "{refused}");
    assert!(refused.contains("hint: `--action-on-existing-key skip`"), "{refused}");
    get("zone").expect(3);
    assert_eq!(import("variables", "v.json", "skip").expect(0).stderr, "1 variables set, 1 left as they were\n");
    assert_eq!((get("region").stdout, get("zone").stdout), ("old\n".to_owned(), "a\n".to_owned()));
    import("variables", "v.json", "overwrite").expect(0);
    assert_eq!(get("region").stdout, "new\n");

    // All of a connection is replaced: what the file does not have is gone.
    flow.flowctl(&["connections", "set", "db", "--uri", "postgres://ada:word@h/s?a=b"]).expect(0);
    write("c.json", r#"{"db": {"conn_type": "mysql", "host": "h2"}}"#);
    import("connections", "c.json", "fail").expect(1);
    import("connections", "c.json", "overwrite").expect(0);
    let exported = value(&flow.flowctl(&["connections", "export"]).expect(0).stdout);
    let db = &exported["db"];
    assert_eq!((&db["conn_type"], &db["host"]), (&json!("mysql"), &json!("h2")));
    assert_eq!((&db["password"], &db["login"], &db["extra"]), (&Value::Null, &Value::Null, &json!({})));

    let run = flow.trigger("leaves");
    assert_eq!(flow.finished("leaves", &run).await, "success");
    flow.flowctl(&["xcoms", "set", "leaves", "a", "note", r#"{"é": [1, null]}"#]).expect(0);
    let exported = flow.flowctl(&["xcoms", "export", "leaves"]).expect(0).stdout;
    flow.flowctl(&["xcoms", "set", "leaves", "a", "note", "changed"]).expect(0);
    write("x.json", &exported);
    let refused = flow.flowctl(&["xcoms", "import", "leaves", "x.json", "-a", "fail"]).expect(1).stderr;
    assert!(refused.contains("`a.note`"), "{refused}");
    flow.flowctl(&["xcoms", "import", "leaves", "x.json", "-a", "skip"]).expect(0);
    assert_eq!(flow.flowctl(&["xcoms", "get", "leaves", "a", "note"]).expect(0).stdout, "changed\n");
    flow.flowctl(&["xcoms", "import", "leaves", "x.json"]).expect(0);
    let note = flow.flowctl(&["xcoms", "get", "leaves", "a", "note", "-o", "json"]).expect(0).stdout;
    assert_eq!(value(&note), json!({ "é": [1, null] }));
    flow.stop_and_audit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_say_what_is_wrong_and_change_nothing() {
    let mut flow = Standalone::with(&[]).await;
    let refused = |what: &str, name: &str, text: &str, code: i32| {
        std::fs::write(flow.path(name), text).unwrap();
        flow.flowctl(&[what, "import", name]).expect(code).stderr
    };
    for (what, name, text, code, told) in [
        ("variables", "a.json", "{\"a\": ", 2, "`a.json` is no JSON object of variables"),
        ("variables", "a.json", "[1]", 2, "`a.json` is no JSON object of variables"),
        ("variables", "b.yaml", "- 1", 2, "`b.yaml` is no YAML mapping of variables"),
        ("variables", "c.env", "A=1\nB", 2, "look at line 2"),
        (
            "connections",
            "d.json",
            "{\"bad\": {\"host\": \"h\"}, \"good\": \"http://h\"}",
            1,
            "1 connections set\nerror: 1 of 2 connections could not be set:\n  bad: it cannot be read: it has no `conn_type`",
        ),
        (
            "connections",
            "e.json",
            "{\"bad\": 7, \"fine\": \"http://h\", \"worse\": {\"conn_type\": \"x\", \"hots\": \"h\"}, \"ugly\": \"no URI\"}",
            1,
            "3 of 4 connections could not be set:\n  bad: it is neither an object nor a URI\n",
        ),
        (
            "connections",
            "f.json",
            "{\"bad\": {\"conn_type\": \"x\", \"password\": \"***\"}}",
            1,
            "which is what is shown of one",
        ),
        ("variables", "g.json", "{\"good\": 1, \"a b\": 2}", 1, "1 of 2 variables could not be set:\n  a b: "),
    ] {
        let stderr = refused(what, name, text, code);
        assert!(stderr.contains(told) && stderr.contains("hint: "), "{name}: {stderr}");
    }
    let listed = value(&flow.flowctl(&["connections", "list", "-o", "json"]).expect(0).stdout);
    let listed: Vec<&str> = listed.as_array().unwrap().iter().filter_map(|one| one["connection_id"].as_str()).collect();
    assert_eq!(listed, ["fine", "good"], "what is good in a file is set, what is not is named");
    assert_eq!(flow.flowctl(&["variables", "get", "good"]).expect(0).stdout, "1\n");
    let missing = flow.flowctl(&["variables", "import", "nowhere.json"]).expect(1).stderr;
    assert!(missing.contains("cannot read `nowhere.json`"), "{missing}");
    flow.stop_and_audit().await;
}
