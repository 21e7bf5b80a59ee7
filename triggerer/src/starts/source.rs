//! From events to runs, for whatever brings them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flow_model::params::resolve_params;
use flow_model::{RunType, Timestamp, TriggeredBy};
use flow_queue::{Bell, Queue};
use flow_store::{NewRun, NewStart, Started, Store, StoreError, Watched};
use serde_json::{Map, Value};

/// A look that finds what the one before has found is written down this often.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// An event that started no run is told for so long, unless something worse is to be told.
const REFUSAL_SHOWN: Duration = Duration::from_secs(3_600);

/// Where events come from, and where they go.
pub(super) struct Source {
    pub store: Store,
    queue: Queue,
    pub watched: Watched,
    notes: Mutex<Notes>,
}

/// What was written down last, and when; and the last event that started no run.
#[derive(Default)]
struct Notes {
    written: Option<(Option<String>, Instant)>,
    refused: Option<(String, Instant)>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    /// Tells it from all others of its source.
    pub id: String,
    /// What it is called in messages.
    pub shown: String,
    /// What its run is told.
    pub conf: Map<String, Value>,
}

/// What came of a batch of events.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Ids of those that have counted, now or before: nobody has to bring them again.
    pub done: HashSet<String>,
    /// What people should know.
    pub problem: Option<String>,
}

impl Source {
    pub fn new(store: Store, queue: Queue, watched: Watched) -> Self {
        Source { store, queue, watched, notes: Mutex::default() }
    }

    /// Takes up the place; returns whether it is the first to do so.
    pub async fn begin(&self, already_there: &[String]) -> Result<bool, StoreError> {
        let Watched { dag_id, start, .. } = &self.watched;
        self.store.begin_start(self.store.now(), dag_id, start, already_there).await
    }

    /// Starts a run for each event that is new. One that does not fit the params starts none, and is remembered, too:
    /// nobody could send it again in a better form.
    pub async fn take(&self, events: Vec<Event>) -> Result<Taken, StoreError> {
        let Watched { dag_id, start, version, .. } = &self.watched;
        let graph = self.store.dag_graph(*version).await?;
        let now = self.store.now();
        let mut taken = Taken::default();
        let (mut refused, mut new) = (Vec::new(), Vec::new());
        for (position, event) in events.into_iter().enumerate() {
            match resolve_params(&graph.dag.params, &event.conf) {
                // A microsecond apart: their ids and logical dates tell them apart, in this order.
                Ok(_) => {
                    let at = Timestamp::from_micros(now.as_micros() + position as i64);
                    new.push(self.new_start(event, at, graph.dag.manual_interval(at)));
                }
                Err(problems) => {
                    let why = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    let why = format!("{} started no run: {why}", event.shown);
                    tracing::warn!(dag.id = dag_id, "{why}");
                    self.notes().refused = Some((why, Instant::now()));
                    refused.push(event.id);
                }
            }
        }
        if !refused.is_empty() {
            self.store.remember_events(now, dag_id, &start.source(), &refused).await?;
            taken.done.extend(refused);
        }
        let started = if new.is_empty() { Vec::new() } else { self.store.start_runs(now, &new).await? };
        for (event, started) in new.into_iter().zip(&started) {
            match started {
                Started::Created(run) => {
                    tracing::info!(
                        dag.id = dag_id,
                        run.id = run.run_id,
                        event = event.event_id,
                        "an event starts a run"
                    );
                    taken.done.insert(event.event_id);
                }
                Started::Repeated(_) => {
                    taken.done.insert(event.event_id);
                }
                Started::TooManyWait => {
                    taken.problem =
                        Some("too many runs wait already: events are taken in when some have started".to_owned());
                }
            }
        }
        if started.iter().any(|started| matches!(started, Started::Created(_))) {
            for bell in [Bell::Scheduler, Bell::Runs] {
                let _ = self.queue.ring(bell).await;
            }
        }
        Ok(taken)
    }

    fn new_start(&self, event: Event, at: Timestamp, data_interval: (Timestamp, Timestamp)) -> NewStart {
        let Watched { dag_id, start, .. } = &self.watched;
        let run = NewRun {
            dag_id: dag_id.clone(),
            run_id: None,
            run_type: RunType::AssetTriggered,
            triggered_by: TriggeredBy::Asset,
            principal: start.summary(),
            logical_date: Some(at),
            data_interval: Some(data_interval),
            run_after: at,
            conf: event.conf,
            note: None,
        };
        NewStart { source: start.source(), event_id: event.id, run }
    }

    /// Writes down what a look has found, where that is news.
    pub async fn note(&self, problem: Option<String>) -> Result<(), StoreError> {
        let (shown, is_news, is_due) = {
            let notes = self.notes();
            let refused = notes.refused.as_ref().filter(|(_, at)| at.elapsed() < REFUSAL_SHOWN);
            let shown = problem.clone().or_else(|| refused.map(|(why, _)| why.clone()));
            match &notes.written {
                Some((known, at)) => (shown.clone(), *known != shown, at.elapsed() >= NOTE_INTERVAL),
                None => (shown, true, true),
            }
        };
        if !is_news && !is_due {
            return Ok(());
        }
        let Watched { dag_id, start, .. } = &self.watched;
        if let Some(problem) = problem.as_ref().filter(|_| is_news) {
            tracing::warn!(dag.id = dag_id, start = start.summary(), "{problem}");
        }
        self.store.note_start(self.store.now(), dag_id, start, shown.as_deref()).await?;
        self.notes().written = Some((shown, Instant::now()));
        Ok(())
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
