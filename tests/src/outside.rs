//! What DAGs meet outside of Flow: a web server that is content with every request, and a mail server that takes every mail.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the web server answers; `state` is what the sensors of the examples look for.
const ANSWER: &str = r#"{"state":"done","rows":[1,2,3]}"#;

/// Both servers; they run until the program ends.
#[derive(Debug)]
pub struct Outside {
    http_port: u16,
    smtp_port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    /// Starts them on free ports.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Outside> {
        let http = TcpListener::bind("127.0.0.1:0").await?;
        let smtp = TcpListener::bind("127.0.0.1:0").await?;
        let outside = Outside {
            http_port: http.local_addr()?.port(),
            smtp_port: smtp.local_addr()?.port(),
            requests: Arc::default(),
            mails: Arc::default(),
        };
        let (requests, mails) = (Arc::clone(&outside.requests), Arc::clone(&outside.mails));
        // A client that goes away in the middle is none of our business.
        tokio::spawn(async move {
            while let Ok((stream, _)) = http.accept().await {
                tokio::spawn(answer_requests(stream, Arc::clone(&requests)));
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = smtp.accept().await {
                tokio::spawn(take_mail(stream, Arc::clone(&mails)));
            }
        });
        Ok(outside)
    }

    /// Where the web server is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// The port of the mail server, which speaks no TLS.
    pub fn smtp_port(&self) -> u16 {
        self.smtp_port
    }

    /// Requests so far: method and path, then the body.
    ///
    /// # Panics
    /// A server broke down.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the server is well").clone()
    }

    /// Mails so far.
    ///
    /// # Panics
    /// A server broke down.
    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().expect("the server is well").clone()
    }
}

async fn answer_requests(stream: TcpStream, requests: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if first.is_empty() {
                first = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
            } else if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = told.trim().parse().unwrap_or_default();
            } else if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let told = format!("{first}\n{}", String::from_utf8_lossy(&body));
        requests.lock().expect("the server is well").push(told);
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", ANSWER.len());
        stream.write_all(format!("{head}{ANSWER}").as_bytes()).await?;
    }
}

async fn take_mail(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 outside ESMTP\r\n").await?;
    let mut mail: Option<String> = None;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match &mut mail {
            Some(text) if line == ".\r\n" => {
                mails.lock().expect("the server is well").push(std::mem::take(text));
                mail = None;
                b"250 taken\r\n"
            }
            Some(text) => {
                text.push_str(&line);
                continue;
            }
            None if line.starts_with("DATA") => {
                mail = Some(String::new());
                b"354 go on\r\n"
            }
            None if line.starts_with("QUIT") => b"221 bye\r\n",
            None => b"250 fine\r\n",
        };
        stream.write_all(reply).await?;
    }
}
