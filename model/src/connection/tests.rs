use proptest::prelude::*;
use serde_json::json;

use super::*;

fn shown(connection: &Connection) -> Value {
    connection.to_json()
}

#[test]
fn airflows_uris_are_read() {
    let read = |uri| shown(&Connection::from_uri("c", uri).unwrap());
    assert_eq!(
        read("postgresql://ada:s%40fe@db.example:5432/sales?sslmode=require&application_name=a+b"),
        json!({
            "conn_id": "c", "conn_type": "postgres", "host": "db.example", "port": 5432, "login": "ada",
            "password": "s@fe", "schema": "sales", "extra": { "sslmode": "require", "application_name": "a b" },
        })
    );
    assert_eq!(read("google-cloud-platform://?__extra__=%7B%22project%22%3A%207%7D")["extra"], json!({ "project": 7 }));
    assert_eq!(read("sqlite:///%2Fdata%2Fa.db")["schema"], json!("/data/a.db"));
    let http = read("http://https%3A%2F%2Fapi.example%2Fv1/");
    assert_eq!((&http["host"], &http["port"]), (&json!("https://api.example/v1"), &Value::Null));
    assert_eq!(read("redis://:word@[::1]:6379/0")["host"], json!("[::1]"));
}

#[test]
fn what_cannot_be_read_is_named_and_never_quoted() {
    let error = |text| Connection::from_text("c", text).unwrap_err().to_string();
    assert_eq!(error("hunter2"), "it is neither JSON nor `type://login:password@host:port/schema`");
    assert_eq!(error("db://u:p@h:hunter2/x"), "its port is no number from 0 to 65535");
    assert_eq!(error("{\"conn_type\": \"x\", \"passwort\": \"hunter2\"}"), "`passwort` is no field of a connection");
    assert_eq!(error("{\"host\": \"x\"}"), "it has no `conn_type`");
    assert_eq!(error("{hunter2"), "it begins with `{` and is no JSON");
    assert_eq!(error("{\"conn_type\": \"x\", \"extra\": \"hunter2\"}"), "its `extra` is not the text of a JSON object");
}

#[test]
fn secrets_are_the_password_and_sensitive_extras() {
    let connection = Connection::from_text(
        "c",
        r#"{"conn_type": "http", "password": "one1", "extra": {"Api-Key": "two2", "region": "eu", "auth": {"token": ["three3"]}}}"#,
    )
    .unwrap();
    let secrets: Vec<String> = connection.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
    assert_eq!(secrets, ["one1", "two2", "three3"]);
    assert_eq!(connection.extra_shown(), json!({ "Api-Key": "***", "region": "eu", "auth": { "token": "***" } }));
    let debug = format!("{connection:?} {:?}", connection.password);
    assert_eq!(debug, "Connection(c, http) Some(***)");
    let headers =
        json!({ "conn_type": "http", "extra": { "headers": { "X-Key": "abc-def", "Accept": "x" }, "token": 1234567 } });
    let connection = Connection::from_json("c", &headers).unwrap();
    assert_eq!(connection.extra_shown(), json!({ "headers": { "X-Key": "***", "Accept": "***" }, "token": "***" }));
    let secrets: Vec<String> = connection.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
    assert_eq!(secrets, ["abc-def", "x", "1234567"]);
}

#[test]
fn uris_are_written_as_they_are_read() {
    let written = |host: &str| {
        let mut connection = Connection::new("c", "postgres");
        connection.host = Some(host.to_owned());
        connection.login = Some("a-b.c_d~e".to_owned());
        connection.to_uri().expose().to_owned()
    };
    assert_eq!(written("db-1.example.com"), "postgres://a-b.c_d~e@db-1.example.com");
    assert_eq!(written("[::1]"), "postgres://a-b.c_d~e@[::1]");
    assert_eq!(written("2001:db8::1"), "postgres://a-b.c_d~e@[2001:db8::1]");
    assert_eq!(written("/var/run/a b"), "postgres://a-b.c_d~e@%2Fvar%2Frun%2Fa%20b");
    assert_eq!(written("x:1@y"), "postgres://a-b.c_d~e@x%3A1%40y");
}

/// Nothing that a connection is read from can bring a NUL into it.
#[test]
fn nul_is_refused_wherever_it_stands() {
    for text in [
        "http://ho%00st",
        "http://lo%00gin@host",
        "http://a:pass%00word@host",
        "http://host/sche%00ma",
        "http://host/?key=%00",
        "http://host/?k%00=1",
        "http://host/?__extra__=%7B%22a%22%3A%20%5B%22%5Cu0000%22%5D%7D",
        r#"{"conn_type": "http", "host": "\u0000"}"#,
        r#"{"conn_type": "ht\u0000tp"}"#,
        r#"{"conn_type": "http", "password": "\u0000"}"#,
        r#"{"conn_type": "http", "extra": {"a": {"\u0000": 1}}}"#,
        r#"{"conn_type": "http", "extra": "{\"a\": \"\\u0000\"}"}"#,
    ] {
        let error = Connection::from_text("c", text).unwrap_err().to_string();
        assert!(error.contains("NUL character"), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn a_written_uri_reads_back(
        host in "[ -~é]{0,12}", login in "[ -~é]{1,12}", password in "[ -~é]{1,12}", schema in "[ -~é]{0,12}",
        port in proptest::option::of(any::<u16>()), key in "[a-z]{1,8}", value in "[ -~é]{0,12}", number in any::<bool>(),
    ) {
        let mut connection = Connection::new("c", "some_type");
        connection.host = Some(host).filter(|host| !host.is_empty());
        connection.port = port;
        connection.login = Some(login);
        connection.password = Some(SecretText::new(password));
        connection.schema = Some(schema).filter(|schema| !schema.is_empty());
        connection.extra.insert(key, if number { json!(1) } else { json!(value) });
        let back = Connection::from_uri("c", connection.to_uri().expose()).unwrap();
        prop_assert_eq!(back.to_json(), connection.to_json());
        let back = Connection::from_json("c", &connection.to_json()).unwrap();
        prop_assert_eq!(back.to_json(), connection.to_json());
    }
}
