use axum::http::StatusCode;
use flow_secrets::Masker;
use serde_json::json;

use crate::fixture::{Site, on_both_databases};

async fn variables_are_set_and_secret_ones_never_told(site: Site) {
    let body = json!({ "key": "region", "value": "eu", "description": "where" });
    let created = site.ask("POST", "/api/v2/variables", Some(body.clone())).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(site.ask("POST", "/api/v2/variables", Some(body)).await.status, StatusCode::CONFLICT);
    let changed = site.ask("PATCH", "/api/v2/variables/region", Some(json!({ "value": { "a": [1] } }))).await.json();
    assert_eq!((&changed["value"], &changed["description"]), (&json!("{\"a\":[1]}"), &json!("where")));
    // Secret by name, and because somebody says so.
    for body in [
        json!({ "key": "billing/api_token", "value": "hunter2!" }),
        json!({ "key": "plain", "value": "hunter2!", "is_secret": true }),
    ] {
        assert_eq!(site.ask("POST", "/api/v2/variables", Some(body)).await.status, StatusCode::CREATED);
    }
    assert_eq!(site.get("/api/v2/variables/billing/api_token").await["value"], "***");
    let list = site.ask("GET", "/api/v2/variables", None).await;
    assert!(!list.text.contains("hunter2"), "{}", list.text);
    assert_eq!(list.json()["total_entries"], 3);
    let part = site.get("/api/v2/variables?variable_key_pattern=plai&limit=10").await;
    assert_eq!(part["variables"][0]["key"], "plain");
    for (path, expected) in [("/variables", "***"), ("/variables?edit=plain", "Change plain")] {
        let page = site.page(path).await;
        assert!(page.contains(expected) && !page.contains("hunter2"), "{path}: {page}");
    }
    // The form sends back what it has shown.
    let form = "key=plain&value=***&description=d&is_secret=1";
    assert_eq!(site.submit("/variables", form).await.status, StatusCode::SEE_OTHER);
    let stored = site.store.stored_variable("plain").await.unwrap().unwrap();
    let value = site.secrets.open_variable(&stored).unwrap();
    assert_eq!((value.expose(), stored.description.as_deref()), ("hunter2!", Some("d")));
    assert!(!stored.sealed.contains("hunter2"));
    // Nobody sees it by saying that it is none.
    let refused = site.ask("PATCH", "/api/v2/variables/plain", Some(json!({ "is_secret": false }))).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let refused = site.submit("/variables", "key=plain&value=***&description=d").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let masker = Masker::default();
    masker.learn(&value);
    assert!(!masker.finds(&stored.sealed));
    assert_eq!(site.ask("DELETE", "/api/v2/variables/plain", None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.ask("DELETE", "/api/v2/variables/plain", None).await.status, StatusCode::NOT_FOUND);
    for key in ["", "a b", "../x", "a//b"] {
        let refused = site.ask("POST", "/api/v2/variables", Some(json!({ "key": key, "value": "x" }))).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{key}");
    }
}

async fn connections_keep_what_is_not_sent(site: Site) {
    let body = json!({
        "connection_id": "warehouse", "conn_type": "postgres", "host": "db.example", "port": 5432, "login": "ada",
        "password": "hunter2!", "schema": "sales", "extra": "{\"sslmode\": \"require\", \"api_key\": \"hunter3!\"}",
    });
    let created = site.ask("POST", "/api/v2/connections", Some(body)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let shown = created.json();
    assert_eq!((&shown["password"], &shown["host"]), (&json!("***"), &json!("db.example")));
    assert_eq!(shown["extra"], "{\"sslmode\":\"require\",\"api_key\":\"***\"}");
    let change =
        json!({ "host": "db2.example", "password": "***", "extra": "{\"sslmode\":\"disable\",\"api_key\":\"***\"}" });
    let changed = site.ask("PATCH", "/api/v2/connections/warehouse", Some(change)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let open = async || {
        let stored = site.store.stored_connection("warehouse").await.unwrap().unwrap();
        site.secrets.open_connection(&stored).unwrap()
    };
    let connection = open().await;
    assert_eq!(connection.host.as_deref(), Some("db2.example"));
    assert_eq!(connection.password.unwrap().expose(), "hunter2!");
    assert_eq!(connection.extra["api_key"], "hunter3!");
    assert_eq!(connection.extra["sslmode"], "disable");
    let page = site.page("/connections?edit=warehouse").await;
    assert!(page.contains("db2.example:5432/sales") && !page.contains("hunter"), "{page}");
    let form =
        "connection_id=warehouse&conn_type=postgres&host=&port=&login=ada&password=***&schema=&extra=&description=";
    assert_eq!(site.submit("/connections", form).await.status, StatusCode::SEE_OTHER);
    let connection = open().await;
    assert_eq!((connection.host, connection.port, connection.extra.len()), (None, None, 0));
    assert_eq!(connection.password.unwrap().expose(), "hunter2!");
    for (change, why) in [
        (json!({ "port": "abc" }), "its `port` is no number"),
        (json!({ "hots": "x" }), "`hots` is no field of a connection"),
        (json!({ "conn_type": "" }), "it has no `conn_type`"),
    ] {
        let refused = site.ask("PATCH", "/api/v2/connections/warehouse", Some(change)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    assert_eq!(site.submit("/connections", "connection_id=warehouse&delete=1").await.status, StatusCode::SEE_OTHER);
    assert_eq!(site.ask("GET", "/api/v2/connections/warehouse", None).await.status, StatusCode::NOT_FOUND);
}

/// A field whose name says so is secret at any depth, also in JSON inside of text; what is shown can be sent back.
async fn secrets_inside_of_json_are_hidden(site: Site) {
    let value = json!({
        "db": [{ "host": "db.example", "password": "hunter2-hunter2" }],
        "service": json!({ "private_key": "hunter2-hunter2", "id": 7 }).to_string(),
    });
    let body = json!({ "key": "config", "value": value.to_string() });
    assert_eq!(site.ask("POST", "/api/v2/variables", Some(body)).await.status, StatusCode::CREATED);
    let shown = site.get("/api/v2/variables/config").await["value"].as_str().unwrap().to_owned();
    let page = site.page("/variables?edit=config").await;
    for text in [&shown, &page] {
        assert!(!text.contains("hunter2") && text.contains("db.example") && text.contains("***"), "{text}");
    }
    let stored = async || {
        let stored = site.store.stored_variable("config").await.unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(site.secrets.open_variable(&stored).unwrap().expose()).unwrap()
    };
    let changed = shown.replace("db.example", "db2.example");
    let patch = site.ask("PATCH", "/api/v2/variables/config", Some(json!({ "key": "config", "value": changed }))).await;
    assert_eq!(patch.status, StatusCode::OK, "{}", patch.text);
    let after = stored().await;
    assert_eq!(after["db"][0], json!({ "host": "db2.example", "password": "hunter2-hunter2" }));
    assert!(after["service"].as_str().unwrap().contains("hunter2-hunter2"), "{after}");
}

on_both_databases!(
    variables_are_set_and_secret_ones_never_told,
    connections_keep_what_is_not_sent,
    secrets_inside_of_json_are_hidden,
);
