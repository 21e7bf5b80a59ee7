//! Against a server that speaks Vault's HTTP API (`GET /v1/<mount>/data/<path>`), over a real socket.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::*;

async fn secret(State(token): State<&'static str>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    if headers.get("x-vault-token").is_none_or(|sent| sent != token) {
        return (StatusCode::FORBIDDEN, axum::Json(json!({ "errors": ["permission denied"] }))).into_response();
    }
    let data = match path.as_str() {
        "variables/region" => json!({ "value": "eu" }),
        "variables/a b/c?d" => json!({ "value": { "rows": 1 } }),
        "variables/empty" => json!({ "other": "x" }),
        "variables/deleted" => json!(null),
        "connections/uri" => json!({ "conn_uri": "postgres://ada:hunter2!@db.example/sales" }),
        "connections/fields" => json!({ "conn_type": "http", "host": "api.example", "password": "hunter2!" }),
        "connections/wrong" => json!({ "hots": "hunter2!" }),
        _ => return (StatusCode::NOT_FOUND, axum::Json(json!({ "errors": [] }))).into_response(),
    };
    axum::Json(json!({ "data": { "data": data, "metadata": { "version": 1 } } })).into_response()
}

async fn vault(token: VaultToken) -> VaultSource {
    let router = Router::new().route("/v1/kv/data/{*path}", axum::routing::get(secret)).with_state("good");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    source(&format!("http://{address}/"), token)
}

fn source(url: &str, token: VaultToken) -> VaultSource {
    // Made once for the whole process; a second one is refused.
    let _ = rustls::crypto::ring::default_provider().install_default();
    VaultSource::new(VaultSettings {
        url: url.to_owned(),
        mount: "kv".to_owned(),
        namespace: String::new(),
        variables_path: "variables".to_owned(),
        connections_path: "connections".to_owned(),
        token,
    })
    .unwrap()
}

fn good() -> VaultToken {
    VaultToken::Text(SecretText::new("good"))
}

#[tokio::test]
async fn variables_and_connections_are_read_as_airflow_keeps_them() {
    let vault = vault(good()).await;
    let variable = async |key: &str| vault.variable(key).await.unwrap().map(|value| value.expose().to_owned());
    assert_eq!(variable("region").await.as_deref(), Some("eu"));
    assert_eq!(variable("a b/c?d").await.as_deref(), Some("{\"rows\":1}"), "a name is one step of the path");
    assert_eq!(variable("deleted").await, None);
    assert_eq!(variable("nope").await, None);
    let uri = vault.connection("uri").await.unwrap().unwrap();
    assert_eq!((uri.conn_type.as_str(), uri.password.unwrap().expose()), ("postgres", "hunter2!"));
    assert_eq!(vault.connection("fields").await.unwrap().unwrap().host.as_deref(), Some("api.example"));
    assert!(vault.connection("nope").await.unwrap().is_none());
    let error = vault.variable("empty").await.unwrap_err().to_string();
    assert!(error.contains("for `kv/data/variables/empty`: the secret has no field `value`"), "{error}");
    let error = vault.connection("wrong").await.unwrap_err().to_string();
    assert!(error.contains("`hots` is no field of a connection") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn the_token_is_read_anew_and_what_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let vault = vault(VaultToken::File(file.clone())).await;
    let error = vault.variable("region").await.unwrap_err().to_string();
    assert!(error.contains("its token in `") && error.contains("hint: set `secrets.vault_token_file`"), "{error}");
    std::fs::write(&file, "bad\n").unwrap();
    let error = vault.variable("region").await.unwrap_err().to_string();
    assert!(error.contains("it answered with status 403 Forbidden\nhint: is the token still valid"), "{error}");
    std::fs::write(&file, "good\n").unwrap();
    assert!(vault.variable("region").await.unwrap().is_some());
    let nobody = source("http://127.0.0.1:1", good());
    let error = nobody.variable("region").await.unwrap_err().to_string();
    assert!(error.contains("cannot ask Vault at http://127.0.0.1:1") && error.contains("refused"), "{error}");
}
