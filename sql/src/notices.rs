//! What a database says beside its answers: notices and warnings.
//!
//! The driver hands them to nobody but the process's tracing. They belong to the script that they are about, and they may
//! hold what it was given; so a layer takes them out of there, and whoever runs the script is told. What nobody listens
//! to, such as the goodbye of a connection in a pool, is dropped.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::client::{Observer, Progress};

/// Where the driver speaks of notices.
pub const NOTICE_TARGET: &str = "sqlx::postgres::notice";

tokio::task_local! {
    static HEARD: Heard;
}

/// What was said and is not passed on yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<(&'static str, String)>>>);

impl Heard {
    fn take(&self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes it on.
    pub(crate) fn tell(&self, observer: Observer<'_>) {
        for (severity, text) in self.take() {
            observer(Progress::Notice { severity, text: &text });
        }
    }
}

/// What asks a database.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs something that asks a database, and tells the observer what the database says meanwhile.
pub(crate) async fn hear<T>(heard: &Heard, observer: Observer<'_>, running: Running<'_, T>) -> T {
    let mut running = pin!(HEARD.scope(heard.clone(), running));
    std::future::poll_fn(|context| {
        let polled: Poll<T> = running.as_mut().poll(context);
        heard.tell(observer);
        polled
    })
    .await
}

/// The layer that catches notices. It belongs into the subscriber of each process that runs scripts; no other layer should
/// see [`NOTICE_TARGET`].
pub fn notices<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    Notices.with_filter(Targets::new().with_target(NOTICE_TARGET, Level::TRACE))
}

struct Notices;

impl<S: Subscriber> Layer<S> for Notices {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // What the driver makes of the severities of PostgreSQL.
        let severity = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "notice",
            Level::DEBUG => "debug",
            Level::TRACE => "info",
        };
        let mut message = Message(String::new());
        event.record(&mut message);
        let _ = HEARD.try_with(|heard| {
            heard.0.lock().unwrap_or_else(PoisonError::into_inner).push((severity, message.0));
        });
    }
}

struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
