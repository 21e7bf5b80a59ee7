//! A small HTTP server that sensors ask: it counts, and answers `waiting` until it is told to answer `done`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The server; it runs until the program ends.
pub(crate) struct Server {
    port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    is_done: AtomicBool,
}

impl Server {
    /// Starts on a free port.
    pub(crate) async fn start() -> Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = Server { port: listener.local_addr()?.port(), counts: Arc::default() };
        let counts = Arc::clone(&server.counts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counts = Arc::clone(&counts);
                tokio::spawn(async move {
                    let open = counts.open.fetch_add(1, Ordering::SeqCst) + 1;
                    counts.most_open.fetch_max(open, Ordering::SeqCst);
                    // A client that goes away is none of our business.
                    let _ = answer(stream, &counts).await;
                    counts.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/job", self.port)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// The most connections that were open at once.
    pub(crate) fn connections_at_once(&self) -> usize {
        self.counts.most_open.load(Ordering::SeqCst)
    }

    /// From now on the answer is what the sensors wait for.
    pub(crate) fn say_done(&self) {
        self.counts.is_done.store(true, Ordering::SeqCst);
    }
}

/// Requests without a body, one after the other on one connection.
async fn answer(mut stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    let (mut buffer, mut filled) = (vec![0; 16 * 1024], 0);
    loop {
        let length = stream.read(&mut buffer[filled..]).await?;
        if length == 0 {
            return Ok(());
        }
        filled += length;
        while let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            buffer.copy_within(end + 4..filled, 0);
            filled -= end + 4;
            counts.requests.fetch_add(1, Ordering::SeqCst);
            let state = if counts.is_done.load(Ordering::SeqCst) { "done" } else { "waiting" };
            let body = format!("{{\"state\":\"{state}\"}}");
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
        }
    }
}
