//! Follows a run: every move of its task instances, in order, until it has ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::response::Response;
use flow_model::Timestamp;
use flow_queue::{Bell, Listener};
use flow_store::StoreError;
use flow_store::read::{HistoryMark, RunEvent, RunRecord};
use serde_json::json;

use super::runs::{find as find_run, run_json};
use super::task_instances::state_json;
use crate::auth::Session;
use crate::error::{WebError, WebResult};
use crate::state::App;
use crate::stream::{Gone, Lines, ndjson, wait};

/// The run is looked at this often even if no bell rings.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A look that takes long is followed by a pause this many times as long: following a large run must not eat the
/// database.
const PAUSE_PER_LOOK: u32 = 4;

/// Moves are dated before they are committed: what is dated this much before the newest one may still appear. What
/// appears even later is told at the end.
const COMMITTED_WITHIN: Duration = Duration::from_secs(10);

/// Task instances whose moves are read at once.
const BATCH_MAX: usize = 500;

pub(super) async fn run(
    State(app): State<App>,
    Path((dag_id, run_id)): Path<(String, String)>,
    session: Session,
) -> WebResult<Response> {
    // Listen before looking, so that nothing happens unseen in between.
    let listener = app.queue.listen(Bell::Runs);
    let run = find_run(&app, &dag_id, &run_id).await?;
    let follower = Follower { app: app.clone(), run, told: HashMap::new(), newest: Timestamp::UNIX_EPOCH };
    ndjson(&app, session, |lines| follower.run(lines, listener))
}

struct Follower {
    app: App,
    run: RunRecord,
    /// The last move told of each task instance.
    told: HashMap<i64, i64>,
    newest: Timestamp,
}

/// Why following ends early.
enum Stop {
    Gone,
    Store(StoreError),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Stop {
        Stop::Gone
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}

impl Follower {
    async fn run(mut self, out: Lines, mut listener: Listener) -> Result<(), Gone> {
        match self.follow(&out, &mut listener).await {
            Ok(()) => Ok(()),
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Store(error)) => {
                let error = WebError::from(error);
                out.send(&json!({ "error": error.detail })).await
            }
        }
    }

    async fn follow(&mut self, out: &Lines, listener: &mut Listener) -> Result<(), Stop> {
        out.send(&json!({ "dag_run": run_json(&self.run) })).await?;
        loop {
            let began = Instant::now();
            // The run is read before its moves: once it is over, all of them are there.
            let run = self.app.store.find_run(&self.run.dag_id, &self.run.run_id).await?;
            if run.state.is_finished() {
                self.tell_since(out, Timestamp::UNIX_EPOCH).await?;
                out.send(&json!({ "dag_run": run_json(&run) })).await?;
                return Ok(());
            }
            self.tell_since(out, self.newest - COMMITTED_WITHIN).await?;
            tokio::time::sleep((began.elapsed() * PAUSE_PER_LOOK).min(LOOK_EVERY)).await;
            wait(listener, LOOK_EVERY).await;
        }
    }

    /// Tells what has not been told yet of the task instances that changed since.
    async fn tell_since(&mut self, out: &Lines, since: Timestamp) -> Result<(), Stop> {
        let marks = self.app.store.history_marks(self.run.id, since).await?;
        let behind: Vec<HistoryMark> = marks
            .into_iter()
            .map(|mark| {
                (mark.event_no, HistoryMark { event_no: self.told.get(&mark.id).copied().unwrap_or(0), ..mark })
            })
            .filter(|(newest, read)| *newest > read.event_no)
            .map(|(_, read)| read)
            .collect();
        for batch in behind.chunks(BATCH_MAX) {
            let events = self.app.store.events_after(batch).await?;
            self.tell(out, &events).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, out: &Lines, events: &[RunEvent]) -> Result<(), Stop> {
        for event in events {
            let line = json!({
                "task_id": event.task_id,
                "map_index": event.map_index,
                "state": state_json(event.to_state),
                "try_number": event.try_number,
                "at": event.at,
                "reason": event.reason,
            });
            out.send(&line).await?;
            self.told.insert(event.task_instance_id.0, event.event_no);
            self.newest = self.newest.max(event.at);
        }
        Ok(())
    }
}
