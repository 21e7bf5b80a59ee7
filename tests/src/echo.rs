//! An HTTP server that says what it was told, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

/// A request as it came over the wire. What is not UTF-8 is replaced.
#[derive(Debug, Clone)]
pub struct RawRequest {
    /// The first line and the headers.
    pub head: String,
    /// What came after them.
    pub body: String,
}

/// The server. It answers each request with `{"head": ..., "body": ...}`, and keeps what it was told.
#[derive(Debug)]
pub struct HttpEcho {
    port: u16,
    requests: Arc<Mutex<Vec<RawRequest>>>,
}

impl HttpEcho {
    /// Starts it on a free port of this machine. It ends with the program.
    ///
    /// # Panics
    /// There is no port.
    pub fn start() -> HttpEcho {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept));
            }
        });
        HttpEcho { port, requests }
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was told so far.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<RawRequest>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let answer = json!({ "head": head, "body": body }).to_string();
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(RawRequest { head, body });
        let length = answer.len();
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}")
            .ok()?;
    }
}
