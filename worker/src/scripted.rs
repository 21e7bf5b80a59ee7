//! HTTP servers for tests that say exactly what they are told to, cut where they are told to: real sockets, real requests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    /// Method and path, without version and query.
    pub fn what(&self) -> String {
        format!("{} {}", self.method, self.target.split('?').next().unwrap())
    }

    /// A value of the query, decoded.
    pub fn query(&self, key: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://test{}", self.target)).unwrap();
        url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    }

    pub fn header(&self, key: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What comes next in an answer.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Bytes of the body, as one chunk of the transfer.
    Chunk(Vec<u8>),
    /// Nothing until then.
    Until(CancellationToken),
    /// The connection breaks.
    Break,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub steps: Vec<Step>,
}

impl Answer {
    pub fn empty(status: u16) -> Self {
        Answer { status, headers: Vec::new(), steps: Vec::new() }
    }

    pub fn bytes(status: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Answer { steps: vec![Step::Chunk(bytes.into())], ..Answer::empty(status) }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Answer::bytes(status, body.to_string())
    }

    /// Bytes in chunks of these sizes, again and again.
    pub fn cut(bytes: &[u8], sizes: &[usize]) -> Self {
        let (mut steps, mut rest) = (Vec::new(), bytes);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, others) = rest.split_at((*size).min(rest.len()));
            steps.push(Step::Chunk(chunk.to_vec()));
            rest = others;
        }
        Answer { steps, ..Answer::empty(200) }
    }

    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The answer, but not before then.
    pub fn after(mut self, token: &CancellationToken) -> Self {
        self.steps.insert(0, Step::Until(token.clone()));
        self
    }
}

/// Everything that was asked, in order.
pub(crate) type Heard = Arc<Mutex<Vec<Asked>>>;

type Handler = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// Listens on a Unix socket until the test ends.
pub(crate) fn on_socket(path: PathBuf, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Heard {
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let (heard, handler) = (Heard::default(), Arc::new(answer) as Handler);
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&handler), Arc::clone(&kept)));
        }
    });
    heard
}

/// Listens on a port of this machine until the test ends.
pub(crate) async fn on_port(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (u16, Heard) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, handler) = (Heard::default(), Arc::new(answer) as Handler);
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&handler), Arc::clone(&kept)));
        }
    });
    (port, heard)
}

async fn serve(stream: impl AsyncRead + AsyncWrite, handler: Handler, heard: Heard) {
    let (reader, mut writer) = tokio::io::split(stream);
    tokio::pin!(reader);
    let mut reader = BufReader::new(reader);
    while let Some(asked) = read(&mut reader).await {
        heard.lock().unwrap().push(asked.clone());
        let answer = handler(&asked);
        if write(&mut writer, answer).await.is_none() {
            return;
        }
    }
}

async fn read(from: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let mut start = lines[0].split(' ');
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect();
    let mut asked =
        Asked { method: start.next()?.to_owned(), target: start.next()?.to_owned(), headers, body: Vec::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    asked.body = vec![0; length];
    from.read_exact(&mut asked.body).await.ok()?;
    Some(asked)
}

async fn write(to: &mut (impl AsyncWrite + Unpin), answer: Answer) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    let has_body = !matches!(answer.status, 204 | 304);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(if has_body { "transfer-encoding: chunked\r\n\r\n" } else { "\r\n" });
    to.write_all(head.as_bytes()).await.ok()?;
    to.flush().await.ok()?;
    for step in answer.steps {
        match step {
            Step::Chunk(bytes) => {
                to.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await.ok()?;
                to.write_all(&bytes).await.ok()?;
                to.write_all(b"\r\n").await.ok()?;
                to.flush().await.ok()?;
                // So that it is read as it was cut.
                tokio::task::yield_now().await;
            }
            Step::Until(token) => token.cancelled().await,
            Step::Break => return None,
        }
    }
    if has_body {
        to.write_all(b"0\r\n\r\n").await.ok()?;
        to.flush().await.ok()?;
    }
    Some(())
}
