//! NUL, lone surrogates and bytes that are no text are refused with 422 at every route, in every place of a request, on
//! both databases. The routes are those that the router has, so none can be forgotten.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;

use crate::fixture::{Site, on_both_databases, sales};

/// Every path of the router with the methods that it takes.
async fn routes(site: &Site) -> BTreeMap<String, Vec<String>> {
    // axum tells its paths only here.
    let told = format!("{:?}", site.router);
    let paths = told.split("RouteId(").filter_map(|part| {
        let path = part.split_once("): \"")?.1.split_once('"')?.0;
        path.starts_with('/').then(|| path.to_owned())
    });
    let mut routes = BTreeMap::new();
    for path in paths {
        let request = Request::builder()
            .method("PURGE")
            .uri(filled(&path, "x"))
            .header(header::AUTHORIZATION, format!("Bearer {}", site.token));
        let answer = site.send(request.body(Body::empty()).unwrap()).await;
        if let Some(allow) = answer.headers.get(header::ALLOW) {
            routes.insert(path, allow.to_str().unwrap().split(',').map(str::to_owned).collect());
        }
    }
    assert!(routes.len() > 50, "{routes:#?}");
    assert!(routes.contains_key("/hooks/{name}") && routes.contains_key("/dags/{dag_id}/trigger"), "{routes:#?}");
    routes
}

/// A path with a text in place of each of its variables.
fn filled(path: &str, text: &str) -> String {
    let mut filled = String::new();
    for (at, part) in path.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, rest)) if at > 0 => filled.push_str(&format!("{text}{rest}")),
            _ => filled.push_str(part),
        }
    }
    filled
}

/// What no text can hold, percent-encoded.
const ENCODED: [&str; 6] = ["%00", "a%00b", "%ff", "%ED%A0%80", "%ED%B0%80x", "%C3"];

/// Bodies of JSON that hold such a text, at any depth.
fn bodies() -> Vec<Vec<u8>> {
    let texts = [r"\u0000", r"a\u0000b", r"\ud800", r"\udfff", r"\ud800\u0041", r"\\\u0000", "\0"];
    let mut bodies: Vec<Vec<u8>> = vec![b"\"\xff\"".to_vec(), b"{\"a\": \"\xed\xa0\x80\"}".to_vec()];
    for text in texts {
        for around in
            ["{\"dag_run_id\": \"@\"}", "{\"@\": 1}", "{\"conf\": {\"a\": [{\"b\": \"@\"}]}}", "[\"@\"]", "\"@\""]
        {
            bodies.push(around.replace('@', text).into_bytes());
        }
    }
    bodies
}

async fn send(site: &Site, method: &str, uri: String, content_type: &str, body: Vec<u8>) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(&uri)
        .header(header::AUTHORIZATION, format!("Bearer {}", site.token))
        .header(header::CONTENT_TYPE, content_type);
    let answer = site.send(request.body(Body::from(body)).unwrap()).await;
    (answer.status, answer.text)
}

async fn every_route_refuses_what_is_no_text(site: Site) {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    for (path, methods) in routes(&site).await {
        for method in &methods {
            for bad in ENCODED {
                let mut uris =
                    vec![format!("{}?q={bad}", filled(&path, "x")), format!("{}?{bad}=1", filled(&path, "x"))];
                if path.contains('{') {
                    uris.push(filled(&path, bad));
                }
                for uri in uris {
                    let (status, text) = send(&site, method, uri.clone(), JSON, Vec::new()).await;
                    let is_public = path == "/livez" || path == "/readyz" || path.starts_with("/assets/");
                    assert!(status == StatusCode::UNPROCESSABLE_ENTITY || is_public, "{method} {uri}: {status} {text}");
                }
            }
            if matches!(method.as_str(), "GET" | "HEAD") {
                continue;
            }
            let is_page = !path.starts_with("/api/") && !path.starts_with("/hooks/");
            let forms =
                ENCODED.into_iter().flat_map(|bad| [format!("a={bad}"), format!("{bad}=1"), format!("a=1&b={bad}")]);
            let forms = forms.map(|form| (FORM, form.into_bytes()));
            let bodies = bodies().into_iter().map(|body| (JSON, body)).filter(|_| !is_page);
            for (content_type, body) in forms.chain(bodies) {
                let uri = filled(&path, "x");
                let shown = String::from_utf8_lossy(&body).into_owned();
                let (status, text) = send(&site, method, uri.clone(), content_type, body).await;
                assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{method} {uri} {shown:?}: {text}");
            }
        }
    }
}

async fn json_inside_of_forms_is_looked_at(site: Site) {
    let mut typed = serde_json::to_value(sales()).unwrap();
    typed["dag_id"] = json!("typed");
    typed["params"] = json!({ "query": { "type": "object", "default": {} }, "any": { "default": 1 } });
    site.publish(&serde_json::from_value(typed).unwrap(), false).await;
    for (escape, why) in [("%5Cu0000", "NUL character"), ("%5Cud800", "JSON")] {
        let inside = [format!("%22{escape}%22"), format!("%5B%22{escape}%22%5D"), format!("%7B%22{escape}%22%3A1%7D")];
        for json in inside {
            let object = format!("%7B%22a%22%3A+{json}%7D");
            for (path, form) in [
                ("/dags/typed/trigger", format!("param%3Aquery={object}")),
                ("/dags/typed/trigger", format!("conf={object}")),
                ("/dags/typed/trigger", format!("conf={object}&only=conf")),
                ("/connections", format!("connection_id=odd&conn_type=http&extra={object}")),
            ] {
                let answer = site.submit(path, &form).await;
                assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {form}: {}", answer.text);
                assert!(answer.text.contains(why), "{path} {form}: {}", answer.text);
            }
        }
        // JSON inside of JSON.
        let extra = format!("{{\"a\": \"{}\"}}", escape.replace("%5C", "\\"));
        let body = json!({ "connection_id": "odd", "conn_type": "http", "extra": extra });
        let answer = site.ask("POST", "/api/v2/connections", Some(body)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    }
    let any = site.submit("/dags/typed/trigger", "param%3Aany=%22%5Cu0000%22").await;
    assert!(any.status == StatusCode::UNPROCESSABLE_ENTITY && any.text.contains("NUL character"), "{}", any.text);
    // What only looks like an escape is text like any other.
    let plain = site.submit("/variables", "key=pattern&value=%5Cu0000&description=").await;
    assert_eq!(plain.status, StatusCode::SEE_OTHER, "{}", plain.text);
    assert_eq!(site.get("/api/v2/variables/pattern").await["value"], r"\u0000");
}

async fn other_characters_go_through_everywhere(site: Site) {
    for text in ["\u{1}\u{7f}\u{9b}", "\u{202e}x\u{2066}", "\u{fffd}\u{fffe}\u{10ffff}", "😀 é \u{feff}"] {
        let body = json!({ "note": text, "conf": { "rows": 3 } });
        let run = site.ask("POST", "/api/v2/dags/sales/dagRuns", Some(body)).await;
        assert_eq!((run.status, &run.json()["note"]), (StatusCode::OK, &json!(text)), "{}", run.text);
    }
}

/// What authors and tasks write is shown with its hidden characters written out; forms send it back as it was.
async fn hidden_characters_are_shown(site: Site) {
    let note = "before\u{202e}after\u{1b}[31m\u{200b}\u{9b}end";
    let body = json!({ "dag_run_id": "one", "note": note, "conf": { "rows": 3, "text": note } });
    assert_eq!(site.ask("POST", "/api/v2/dags/sales/dagRuns", Some(body)).await.status, StatusCode::OK);
    site.tick().await;
    let list = site.claim().await.remove("list").unwrap();
    site.log(&list, 0, note).await;
    for path in ["/dags/sales/runs/one", "/dags/sales/runs/one/tasks/list"] {
        let page = site.page(path).await;
        assert!(!page.contains(flow_model::is_hidden), "{path}: {page}");
        assert!(page.contains(r"before\u{202e}after\u{1b}[31m\u{200b}\u{9b}end"), "{path}: {page}");
    }
    let value = "a\u{202e}b";
    let set = site.submit("/variables", &format!("key=odd&value={value}&description=")).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    let form = site.page("/variables?edit=odd").await;
    assert!(form.contains(&format!("{value}</textarea>")) && form.contains(r"a\u{202e}b"), "{form}");
}

on_both_databases!(
    hidden_characters_are_shown,
    every_route_refuses_what_is_no_text,
    json_inside_of_forms_is_looked_at,
    other_characters_go_through_everywhere,
);
