use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use flow_web::WebOptions;
use serde_json::json;
use tower::ServiceExt;

use crate::fixture::{Site, on_both_databases};

async fn nothing_is_shown_without_a_valid_token(site: Site) {
    for path in ["/api/v2/dags", "/api/v2/version", "/api/flow/events", "/api/nothing"] {
        let refused = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        assert!(refused.json()["hint"].as_str().unwrap().contains("flowctl tokens create"));
    }
    for path in ["/", "/dags/sales", "/pools"] {
        let refused = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(refused.text.contains("flowctl login"), "{}", refused.text);
    }
    for value in ["Bearer wrong", "Basic abc", "Bearer", "nonsense"] {
        let request = Request::get("/api/v2/dags").header(header::AUTHORIZATION, value);
        assert_eq!(site.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
    }
    site.store.revoke_tokens("tester", None).await.unwrap();
    assert_eq!(site.ask("GET", "/api/v2/dags", None).await.status, StatusCode::UNAUTHORIZED);
}

async fn a_login_link_works_once(site: Site) {
    let now = site.store.now();
    let link = site.store.create_login_link(now, now + Duration::from_secs(600)).await.unwrap();
    let look = |method: &'static str| {
        let request = Request::builder().method(method).uri(format!("/login?link={link}"));
        site.send(request.body(Body::empty()).unwrap())
    };
    let press = || {
        let request = Request::post("/login").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        site.send(request.body(Body::from(format!("link={link}"))).unwrap())
    };
    let as_token = Request::get("/api/v2/dags").header(header::AUTHORIZATION, format!("Bearer {link}"));
    let refused = site.send(as_token.body(Body::empty()).unwrap()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "a link is no token");

    // Previews of mail programs and scanners only look.
    for method in ["HEAD", "GET", "HEAD", "GET"] {
        let seen = look(method).await;
        assert_eq!(seen.status, StatusCode::OK, "{method}");
        assert!(!seen.headers.contains_key("set-cookie"), "{method}");
        assert_eq!(seen.headers["referrer-policy"], "same-origin");
        if method == "GET" {
            let form = format!(
                "<form method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"link\" value=\"{link}\">"
            );
            assert!(seen.text.contains(&form) && seen.text.contains("<button"), "{}", seen.text);
        }
    }
    // A page elsewhere cannot log somebody in as somebody else.
    let foreign = Request::post("/login").header("sec-fetch-site", "cross-site");
    let foreign = foreign.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let foreign = site.send(foreign.body(Body::from(format!("link={link}"))).unwrap()).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);

    let first = press().await;
    assert_eq!(first.status, StatusCode::SEE_OTHER);
    assert_eq!(first.headers["location"], "/");
    let cookie = first.headers["set-cookie"].to_str().unwrap();
    for part in ["flow_session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert_eq!(press().await.status, StatusCode::UNAUTHORIZED, "once only");

    let session = cookie.split(';').next().unwrap();
    let page = site.send(Request::get("/").header(header::COOKIE, session).body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::OK);
    let out = Request::post("/logout").header(header::COOKIE, session).header("sec-fetch-site", "same-origin");
    assert_eq!(site.send(out.body(Body::empty()).unwrap()).await.status, StatusCode::SEE_OTHER);
    let page = site.send(Request::get("/").header(header::COOKIE, session).body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "the session is gone");
}

async fn other_sites_cannot_change_anything(site: Site) {
    let cookie = format!("flow_session={}", site.token);
    let attempt = |headers: &[(&str, &str)]| {
        let mut request =
            Request::patch("/api/v2/dags/sales").header(header::COOKIE, &cookie).header(header::HOST, "flow.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        site.send(request.body(Body::from(json!({ "is_paused": true }).to_string())).unwrap())
    };
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
    ] {
        assert_eq!(attempt(headers).await.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    for headers in [&[("sec-fetch-site", "same-origin")][..], &[("origin", "http://flow.example")]] {
        assert_eq!(attempt(headers).await.status, StatusCode::OK, "{headers:?}");
    }
}

async fn browsers_are_told_to_be_strict(site: Site) {
    for path in ["/", "/api/v2/dags", "/nothing", "/livez"] {
        let answer = site.ask("GET", path, None).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

async fn a_loopback_server_answers_for_its_own_host_only(site: Site) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let state = site.state(WebOptions::default());
    let server = tokio::spawn(flow_web::serve(listener, state, shutdown.clone()));
    let ask = |host: &'static str, path: &'static str, token: String| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let text = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        connection.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask("localhost:1", "/livez", String::new()).await.starts_with("HTTP/1.1 200"));
    assert!(ask("evil.example", "/livez", String::new()).await.starts_with("HTTP/1.1 421"));

    // An open stream does not hold up the end.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let text =
        format!("GET /api/flow/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", site.token);
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), server).await.expect("the server ends").unwrap().unwrap();
}

/// A proxy that shows the pages under another name, and says so in `Host` or does not.
async fn a_public_origin_is_one_of_ours(site: Site) {
    let options =
        WebOptions { public_origin: Some("https://flow.example.org".parse().unwrap()), ..WebOptions::default() };
    let router = flow_web::router(site.state(options));
    let attempt = |origin: &'static str, fetch_site: Option<&'static str>| {
        let mut request = Request::post("/dags/sales/pause")
            .header(header::COOKIE, format!("flow_session={}", site.token))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::HOST, "127.0.0.1:8080")
            .header(header::ORIGIN, origin);
        if let Some(site) = fetch_site {
            request = request.header("sec-fetch-site", site);
        }
        let sent = router.clone().oneshot(request.body(Body::from("paused=true&back=/")).unwrap());
        async move { sent.await.unwrap().status() }
    };
    assert_eq!(attempt("https://flow.example.org", None).await, StatusCode::SEE_OTHER);
    assert_eq!(attempt("https://flow.example.org", Some("same-site")).await, StatusCode::SEE_OTHER);
    for origin in ["http://flow.example.org", "https://flow.example.org.evil.example", "https://evil.example", "null"] {
        assert_eq!(attempt(origin, None).await, StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(attempt(origin, Some("cross-site")).await, StatusCode::FORBIDDEN, "{origin}");
    }
}

on_both_databases!(
    a_public_origin_is_one_of_ours,
    nothing_is_shown_without_a_valid_token,
    a_login_link_works_once,
    other_sites_cannot_change_anything,
    browsers_are_told_to_be_strict,
    a_loopback_server_answers_for_its_own_host_only,
);
