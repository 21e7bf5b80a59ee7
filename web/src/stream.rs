//! Answers that go on while something happens: lines of JSON, and the pulse that pages listen to.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flow_queue::{Bell, Listener};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::auth::Session;
use crate::error::WebResult;
use crate::state::App;

/// Lines that may wait for a slow reader.
const LINES_WAITING_MAX: usize = 64;

/// Rings that come close together count as one.
const GATHER: Duration = Duration::from_millis(5);

/// Pages are told about changes at most this often.
const PULSE: Duration = Duration::from_millis(250);

/// The reader has gone.
pub(crate) struct Gone;

/// Where lines are written to.
pub(crate) struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// Writes one value as a line.
    pub(crate) async fn send(&self, value: &Value) -> Result<(), Gone> {
        self.0.send(Bytes::from(format!("{value}\n"))).await.map_err(|_| Gone)
    }
}

/// Answers with the lines that `produce` writes. It ends when `produce` does, when the reader goes away or is logged
/// out, or when the process shuts down.
///
/// # Errors
/// The principal follows as many streams as it may.
pub(crate) fn ndjson<Produce, Run>(app: &App, session: Session, produce: Produce) -> WebResult<Response>
where
    Produce: FnOnce(Lines) -> Run,
    Run: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let share = session.open_stream(app)?;
    let (sender, receiver) = mpsc::channel(LINES_WAITING_MAX);
    let reader_gone = sender.clone();
    let app = app.clone();
    let run = produce(Lines(sender));
    tokio::spawn(async move {
        let _counted = share;
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = reader_gone.closed() => {}
            () = session.ended(&app) => {}
            _ = run => {}
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver).map(Ok::<_, Infallible>));
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson"), (header::HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, body).into_response())
}

/// Returns when the bell rang, but after `floor` at the latest: the bell only makes it sooner.
pub(crate) async fn wait(listener: &mut Listener, floor: Duration) {
    if tokio::time::timeout(floor, listener.rang()).await.is_ok() {
        tokio::time::sleep(GATHER).await;
    }
}

/// `event: change` when something visible has changed.
///
/// # Errors
/// The principal follows as many streams as it may.
pub(crate) fn changes(app: &App, session: Session) -> WebResult<Response> {
    let share = session.open_stream(app)?;
    let (sender, receiver) = mpsc::channel::<Event>(1);
    let mut listener = app.queue.listen(Bell::Runs);
    let app = app.clone();
    let reader_gone = sender.clone();
    let pulse = async move {
        loop {
            listener.rang().await;
            if sender.send(Event::default().event("change").data("1")).await.is_err() {
                return;
            }
            tokio::time::sleep(PULSE).await;
        }
    };
    tokio::spawn(async move {
        let _counted = share;
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = reader_gone.closed() => {}
            () = session.ended(&app) => {}
            () = pulse => {}
        }
    });
    let stream = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    Ok(response)
}
