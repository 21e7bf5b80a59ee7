//! The edge over real sockets: what holds connections open without saying anything, or asks for too much at once.

use std::net::SocketAddr;
use std::time::Duration;

use flow_web::{Limits, WebOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fixture::{Site, on_both_databases};

/// A server that is stopped at the end.
struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(site: &Site, limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let state = site.state(WebOptions { limits, ..WebOptions::default() });
        let serving = tokio::spawn(flow_web::serve(listener, state, shutdown.clone()));
        Server { address, shutdown, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a text and reads until the server closes the connection.
    async fn say(&self, text: &str) -> String {
        let mut connection = self.connect().await;
        let _ = connection.write_all(text.as_bytes()).await;
        rest(&mut connection).await
    }

    async fn get(&self, path: &str, token: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n");
        self.say(&format!("{head}Connection: close\r\n\r\n")).await
    }

    /// Opens a stream and waits for the head of its answer.
    async fn stream(&self, token: &str) -> (TcpStream, String) {
        let mut connection = self.connect().await;
        let text = format!("GET /api/flow/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
        connection.write_all(text.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        connection.read_exact(&mut head).await.unwrap();
        (connection, String::from_utf8_lossy(&head).into_owned())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.serving).await.expect("the server ends").unwrap().unwrap();
    }
}

/// What still comes until the connection is closed, however that happens.
async fn rest(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), connection.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn half_a_request_is_given_up(site: Site) {
    let limits = Limits { header_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(&site, limits).await;
    for half in ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b"] {
        let mut connection = server.connect().await;
        connection.write_all(half.as_bytes()).await.unwrap();
        let answer = rest(&mut connection).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408") || answer.starts_with("HTTP/1.1 400"),
            "{half:?}: {answer}"
        );
    }
    // A drop now and then does not help.
    let mut slow = server.connect().await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let dripping = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            if slow.write_all(b"X-A: b\r\n").await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), dripping).await.expect("the slow one is cut off");
    // A connection on which nothing more is asked is closed, too.
    let mut kept = server.connect().await;
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(rest(&mut kept).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

async fn strangers_hold_up_nobody(site: Site) {
    let limits = Limits { header_timeout: Duration::from_secs(60), connections: 20, ..Limits::default() };
    let server = Server::start(&site, limits).await;
    let (mut stream, head) = server.stream(&site.token).await;
    assert_eq!(head, "HTTP/1.1 200");
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut connection = server.connect().await;
        connection
            .write_all(b"POST /hooks/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
            .await
            .unwrap();
        held.push(connection);
    }
    let answer = server.get("/api/v2/version", &site.token).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The one who is logged in kept the stream.
    let mut buffer = [0; 1];
    let more =
        tokio::time::timeout(Duration::from_millis(50), async { while stream.read(&mut buffer).await.unwrap() > 0 {} });
    assert!(more.await.is_err(), "the stream was closed");
    // Of the strangers, no more are left than there is room for.
    let mut open = 0;
    for connection in &mut held {
        let mut buffer = [0; 64];
        let read = tokio::time::timeout(Duration::from_millis(5), connection.read(&mut buffer)).await;
        open += usize::from(read.is_err());
    }
    assert!(open < 20, "{open}");
    drop(held);
    server.stop().await;
}

async fn streams_of_one_principal_are_counted(site: Site) {
    let server = Server::start(&site, Limits { streams_per_principal: 2, ..Limits::default() }).await;
    let (first, head) = server.stream(&site.token).await;
    assert_eq!(head, "HTTP/1.1 200");
    let (second, _) = server.stream(&site.token).await;
    let refused = server.get("/api/flow/events", &site.token).await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("streams_per_principal_max"), "{refused}");
    // Others have their own.
    let other = site.store.create_token(site.store.now(), "other", None).await.unwrap();
    assert_eq!(server.stream(&other).await.1, "HTTP/1.1 200");
    drop(first);
    // The server notices at its next sign of life at the latest, which a change brings about.
    let again = async {
        while server.get("/api/v2/version", &site.token).await.is_empty()
            || server.stream(&site.token).await.1 != "HTTP/1.1 200"
        {
            site.queue.ring(flow_queue::Bell::Runs).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("a place becomes free");
    drop(second);
    server.stop().await;
}

async fn requests_of_one_principal_are_counted(site: Site) {
    let server = Server::start(&site, Limits { requests_per_principal: 2, ..Limits::default() }).await;
    // Requests whose bodies do not come are under way.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = server.connect().await;
        let head = format!(
            "PATCH /api/v2/dags/sales HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 100\r\n\r\n{{",
            site.token
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        held.push(connection);
    }
    let refused = async {
        loop {
            let answer = server.get("/api/v2/version", &site.token).await;
            if answer.starts_with("HTTP/1.1 429") {
                return answer;
            }
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await.expect("two are under way");
    assert!(refused.contains("retry-after: 1") && refused.contains("requests_per_principal_max"), "{refused}");
    let other = site.store.create_token(site.store.now(), "other", None).await.unwrap();
    assert!(server.get("/api/v2/version", &other).await.starts_with("HTTP/1.1 200"));
    drop(held);
    let free = async { while !server.get("/api/v2/version", &site.token).await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("they are given up");
    server.stop().await;
}

/// Somebody who is logged in, asks for much and does not read it, or a few bytes at a time, is cut off; a reader who is only
/// slow gets everything.
async fn who_does_not_read_is_cut_off(site: Site) {
    // One piece: a page of a log ends after the piece that fills it.
    const SIZE: usize = 7_200_000;
    site.trigger("one").await;
    site.tick().await;
    let list = site.claim().await.remove("list").unwrap();
    site.log(&list, 0, &"x".repeat(SIZE)).await;
    // One connection at a time: another is served when the server has given up this one.
    let limits = Limits { send_timeout: Duration::from_millis(500), connections: 1, ..Limits::default() };
    let server = Server::start(&site, limits).await;
    let log = "/api/v2/dags/sales/dagRuns/one/taskInstances/list/logs/1";
    let follow = "/api/flow/dags/sales/dagRuns/one/taskInstances/list/logs/1/follow";
    let ask = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{more}\r\n", site.token)
    };
    for (path, reads) in [(log, false), (log, true), (follow, false), (follow, true)] {
        let mut connection = server.connect().await;
        connection.write_all(ask(path, "").as_bytes()).await.unwrap();
        let mut head = [0; 12];
        connection.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        let given_up = async {
            while !server.get("/livez", "").await.starts_with("HTTP/1.1 200") {
                if reads {
                    connection.read_exact(&mut head[..1]).await.unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), given_up).await.expect("the server gives up");
        let got = rest(&mut connection).await.len();
        assert!(got < SIZE, "{path} {reads}: it got everything: {got}");
    }
    // Slower than the server sends, and fast enough.
    let mut connection = server.connect().await;
    connection.write_all(ask(log, "Connection: close\r\n").as_bytes()).await.unwrap();
    let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        ticks.tick().await;
        match connection.read(&mut buffer).await.unwrap() {
            0 => break,
            read => got += read,
        }
    }
    assert!(got > SIZE, "{got}");
    server.stop().await;
}

async fn a_request_names_one_host(site: Site) {
    let server = Server::start(&site, Limits::default()).await;
    for (head, expected) in [
        ("GET /livez HTTP/1.1\r\nHost: localhost", "200"),
        ("GET /livez HTTP/1.1\r\nHost: 127.0.0.1:8080", "200"),
        ("GET http://localhost/livez HTTP/1.1\r\nHost: localhost", "200"),
        ("GET /livez HTTP/1.1", "400"),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost", "400"),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", "400"),
        ("GET /livez HTTP/1.1\r\nHost: evil.example\r\nHost: localhost", "400"),
        ("GET http://localhost/livez HTTP/1.1\r\nHost: a\r\nHost: b", "400"),
        ("GET /livez HTTP/1.1\r\nHost: localhost:8080:evil", "400"),
        ("GET /livez HTTP/1.1\r\nHost: [::1]evil.example", "400"),
        ("GET /livez HTTP/1.1\r\nHost: user@localhost", "400"),
        ("GET /livez HTTP/1.1\r\nHost: localhost, evil.example", "400"),
        ("GET /livez HTTP/1.1\r\nHost: evil.example", "421"),
        ("GET http://evil.example/livez HTTP/1.1\r\nHost: localhost", "421"),
        ("GET /livez HTTP/1.1\r\nHost:", "421"),
        ("GET /livez HTTP/1.0", "421"),
    ] {
        let answer = server.say(&format!("{head}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{head}: {answer}");
    }
    server.stop().await;
}

on_both_databases!(
    half_a_request_is_given_up,
    strangers_hold_up_nobody,
    streams_of_one_principal_are_counted,
    requests_of_one_principal_are_counted,
    who_does_not_read_is_cut_off,
    a_request_names_one_host,
);
