//! Logs of tries: in pieces, or followed while they grow.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use flow_model::TaskState;
use flow_model::limits::LOG_PAGE_BYTES_MAX;
use flow_model::log::{LogLine, lines};
use flow_queue::Bell;
use flow_store::read::{LogChunk, RunRecord, TRY_LOG_CHUNKS_MAX, TaskInstanceRecord};
use serde::Deserialize;
use serde_json::{Value, json};

use super::runs::find as find_run;
use super::task_instances::{find, state_json};
use crate::auth::Session;
use crate::error::{WebError, WebResult};
use crate::extract::ApiQuery;
use crate::state::App;
use crate::stream::{Gone, Lines, ndjson, wait};

/// While a try runs, its log is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(250);

type LogPath = Path<(String, String, String, i64)>;

#[derive(Deserialize)]
pub(super) struct LogQuery {
    token: Option<String>,
    map_index: Option<i64>,
}

pub(super) async fn read(
    State(app): State<App>,
    Path((dag_id, run_id, task_id, try_number)): LogPath,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> WebResult {
    let run = find_run(&app, &dag_id, &run_id).await?;
    // The state is read before the log: what was written before the end is then surely seen.
    let instance = find(&app, &run, &task_id, query.map_index.unwrap_or(-1)).await?;
    check_try(&app, &instance, try_number).await?;
    let try_number = if try_number == 0 { instance.try_number } else { try_number };
    let after = match query.token.as_deref() {
        None | Some("") => -1,
        Some(token) => token
            .parse()
            .map_err(|_| WebError::unprocessable("the token is not one that an earlier answer gave out"))?,
    };
    let chunks = app.store.read_log(instance.id, try_number, after).await?;
    let (content, shown) = page(&chunks, LOG_PAGE_BYTES_MAX);
    let is_last = (chunks.len() as i64) < TRY_LOG_CHUNKS_MAX && shown == chunks.len();
    let is_complete = is_last && has_ended(&instance, try_number);
    let token = chunks[..shown].last().map_or(after, |chunk| chunk.seq);
    Ok(Json(json!({
        "content": content,
        "continuation_token": if is_complete { Value::Null } else { token.to_string().into() },
        "is_complete": is_complete,
    })))
}

/// Refuses a try that there is not, with those that there are; 0 is the newest.
async fn check_try(app: &App, instance: &TaskInstanceRecord, try_number: i64) -> WebResult<()> {
    if try_number == 0 || try_number == instance.try_number {
        return Ok(());
    }
    let mut tries: Vec<i64> =
        app.store.list_attempts(instance.id).await?.iter().map(|attempt| attempt.try_number).collect();
    tries.dedup();
    if tries.contains(&try_number) {
        return Ok(());
    }
    let hint = match tries.as_slice() {
        [] => format!("it has not started: it is {}", instance.state),
        [only] => format!("its only try is {only}"),
        [first, .., last] if last - first + 1 == tries.len() as i64 => format!("its tries are {first} to {last}"),
        several => format!("its tries are {}", several.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
    };
    let task = &instance.task_id;
    Err(WebError::not_found(format!("task `{task}` has no try {try_number} in the run `{}`", instance.run_id))
        .hint(hint))
}

/// Whether nothing more will be written to the log of a try.
pub(crate) fn has_ended(instance: &TaskInstanceRecord, try_number: i64) -> bool {
    let is_open = matches!(
        instance.state,
        TaskState::Running | TaskState::Deferred | TaskState::UpForReschedule | TaskState::AwaitingInput
    );
    instance.try_number > try_number || (instance.try_number == try_number && !is_open) || instance.state.is_finished()
}

/// The lines of as many pieces as have at most so many bytes together, but of one at least; and how many pieces these are.
fn page(chunks: &[LogChunk], bytes_max: usize) -> (Vec<Value>, usize) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for (shown, chunk) in chunks.iter().enumerate() {
        let lines = content(std::slice::from_ref(chunk));
        bytes += lines.iter().map(|line| line.to_string().len()).sum::<usize>();
        if shown > 0 && bytes > bytes_max {
            return (page, shown);
        }
        page.extend(lines);
    }
    (page, chunks.len())
}

fn content(chunks: &[LogChunk]) -> Vec<Value> {
    chunks.iter().flat_map(|chunk| lines(&chunk.content)).map(|line| line_json(&line)).collect()
}

fn line_json(line: &LogLine) -> Value {
    json!({ "timestamp": line.at, "event": line.text, "stream": line.stream })
}

pub(super) async fn follow(
    State(app): State<App>,
    Path((dag_id, run_id, task_id, try_number)): LogPath,
    session: Session,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> WebResult<Response> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let map_index = query.map_index.unwrap_or(-1);
    // A task, or a try that will never be, is told before the stream begins; one that may still come is waited for.
    let instance = app.store.find_task_instance(&run, &task_id, map_index).await?;
    match instance {
        Some(instance) if run.state.is_finished() || try_number < instance.try_number => {
            check_try(&app, &instance, try_number).await?;
        }
        None if run.state.is_finished() => drop(find(&app, &run, &task_id, map_index).await?),
        _ => {}
    }
    let follower = Follower { app: app.clone(), run, task_id, map_index, try_number, after: -1 };
    ndjson(&app, session, |lines| follower.run(lines))
}

/// Follows one try's log to its end.
struct Follower {
    app: App,
    run: RunRecord,
    task_id: String,
    map_index: i64,
    /// 0 until the newest or next try is known.
    try_number: i64,
    after: i64,
}

impl Follower {
    async fn run(mut self, out: Lines) -> Result<(), Gone> {
        let mut listener = self.app.queue.listen(Bell::Runs);
        loop {
            match self.look(&out).await {
                Ok(Some(end)) => return out.send(&end?).await,
                Ok(None) => {}
                Err(error) => {
                    let error = WebError::from(error);
                    return out.send(&json!({ "end": true, "state": null, "error": error.detail })).await;
                }
            }
            wait(&mut listener, LOOK_EVERY).await;
        }
    }

    /// Writes what is new; the last line when there will be no more.
    async fn look(&mut self, out: &Lines) -> Result<Option<Result<Value, Gone>>, flow_store::StoreError> {
        let end = |state: Option<TaskState>| {
            Ok(Some(Ok(json!({ "end": true, "state": state.map_or(Value::Null, state_json) }))))
        };
        let run_is_over = self.app.store.find_run(&self.run.dag_id, &self.run.run_id).await?.state.is_finished();
        let Some(instance) = self.app.store.find_task_instance(&self.run, &self.task_id, self.map_index).await? else {
            return if run_is_over { end(None) } else { Ok(None) };
        };
        if self.try_number == 0 {
            self.try_number = match instance.state {
                TaskState::Running => instance.try_number,
                state if state.is_finished() || run_is_over => instance.try_number,
                _ => instance.try_number + 1,
            };
        }
        loop {
            let chunks = self.app.store.read_log(instance.id, self.try_number, self.after).await?;
            for line in content(&chunks) {
                if out.send(&line).await.is_err() {
                    return Ok(Some(Err(Gone)));
                }
            }
            let Some(last) = chunks.last() else { break };
            self.after = last.seq;
        }
        let never_starts = run_is_over && instance.try_number < self.try_number;
        if has_ended(&instance, self.try_number) || never_starts { end(Some(instance.state)) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded_and_lose_nothing() {
        let line = |seq: i64, n: usize| format!("2026-03-05T06:30:00Z o {seq}.{n}\n");
        let chunk = |seq: i64| LogChunk { seq, content: (0..50).map(|n| line(seq, n)).collect() };
        let chunks: Vec<LogChunk> = (0..20).map(chunk).collect();
        let one = content(&chunks[..1]).iter().map(|line| line.to_string().len()).sum::<usize>();
        for bytes_max in [0, one, 3 * one + 1, 1_000 * one] {
            let (mut rest, mut read) = (&chunks[..], Vec::new());
            while !rest.is_empty() {
                let (lines, shown) = page(rest, bytes_max);
                let bytes = lines.iter().map(|line| line.to_string().len()).sum::<usize>();
                assert!(shown == 1 || bytes <= bytes_max, "{shown} pieces with {bytes} of {bytes_max} bytes");
                read.extend(lines);
                rest = &rest[shown..];
            }
            assert_eq!(read, content(&chunks), "{bytes_max}");
        }
    }
}
