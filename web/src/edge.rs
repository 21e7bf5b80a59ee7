//! The outermost part of a server: it takes connections in, so many at once, and lets each say in good time what it wants.

mod connections;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::options::Limits;
use crate::peer::Peer;
pub(crate) use connections::Activity;
use connections::{Connections, Place};

/// What the system may hold of an answer that its reader has not taken. Linux doubles it, for its own bookkeeping.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// How long to wait when the system has no descriptor for another connection.
const WAIT_FOR_DESCRIPTORS: Duration = Duration::from_secs(1);

/// Serves until `shutdown`; then it takes no new connection, and returns when the requests under way are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let connections = Arc::new(Connections::new(limits.connections));
    let open = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    after_failure(error).await?;
                    continue;
                }
            },
        };
        let Some(place) = Connections::admit(&connections) else {
            metrics::counter!("flow_http_connections_refused_total").increment(1);
            continue;
        };
        open.spawn(converse(stream, peer, place, router.clone(), limits, shutdown.clone()));
    }
    open.close();
    open.wait().await;
    Ok(())
}

/// What one connection could not do is no reason to stop; a lack of descriptors ends when others are closed.
async fn after_failure(error: io::Error) -> io::Result<()> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return Ok(());
    }
    if error.raw_os_error().is_none() {
        return Err(error);
    }
    tracing::error!(error = &error as &dyn std::error::Error, "could not take in a connection");
    tokio::time::sleep(WAIT_FOR_DESCRIPTORS).await;
    Ok(())
}

/// One connection from its first request to its last.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let stream = match prepared(stream, limits.send_timeout) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection could not be set up");
            return;
        }
    };
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let activity = place.request();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        request.extensions_mut().insert(activity.clone());
        let answered = router.clone().oneshot(request);
        async move { answered.await.map(|response| response.map(|body| Held { body, _activity: activity })) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
                }
                return;
            }
            () = place.must_go() => return,
            () = shutdown.cancelled(), if !is_stopping => {
                is_stopping = true;
                if place.is_idle() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The stream with its options. Writing fails when for `send_timeout` there was no room for more: whoever does not read what
/// was asked for, or a byte now and then, is cut off, and holds neither a connection nor a share of anything. The system
/// reports room when half of its buffer is free, so the buffer is kept small: slow networks have to manage that half in
/// time.
fn prepared(stream: TcpStream, send_timeout: Duration) -> io::Result<Pin<Box<TimeoutStream<TcpStream>>>> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(send_timeout));
    Ok(Box::pin(stream))
}

/// A body that counts as activity of its connection until it is sent.
struct Held {
    body: Body,
    _activity: Activity,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
