//! Runs that events from outside start: each event counts once, because its row and its run are one transaction.

use std::collections::HashMap;

use flow_model::limits::WAITING_RUNS_MAX;
use flow_model::start::Start;
use flow_model::{DagVersionKey, Timestamp};
use serde::Serialize;

use crate::connect::Store;
use crate::dag::NewDagVersion;
use crate::dag_run::{NewRun, RunCreated, insert_run};
use crate::error::{Abort, Result, StoreError};
use crate::query::statement;
use crate::rows::json;
use crate::transaction::{Transaction, step, steps};

/// An event, and the run that it asks for.
#[derive(Debug, Clone)]
pub struct NewStart {
    /// Where it comes from: [`Start::source`].
    pub source: String,
    /// Tells it from all others of its source.
    pub event_id: String,
    /// The run.
    pub run: NewRun,
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It has started a run.
    Created(RunCreated),
    /// It has been seen before; this is the run that it started then, if it started one.
    Repeated(Option<String>),
    /// Too many runs of the DAG wait already. Nothing is remembered of it: it may come again.
    TooManyWait,
}

/// What starts a DAG, for whoever acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The DAG.
    pub dag_id: String,
    /// Its newest version.
    pub version: DagVersionKey,
    /// What starts it.
    pub start: Start,
    /// Whether a triggerer has taken it up already.
    pub has_begun: bool,
}

/// What starts a DAG, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRecord {
    /// What it is.
    pub start: Start,
    /// When a triggerer took it up.
    pub began_at: Option<Timestamp>,
    /// The last look.
    pub looked_at: Option<Timestamp>,
    /// What was wrong then.
    pub problem: Option<String>,
}

#[derive(Serialize)]
struct StartRow<'a> {
    dag_id: &'a str,
    kind: &'static str,
    name: String,
    definition: String,
}

/// What the DAGs name, as JSON rows for `publish_starts`.
pub(crate) fn rows_of(dags: &[NewDagVersion]) -> String {
    let row =
        |dag_id, start: &Start| StartRow { dag_id, kind: start.kind(), name: start.name(), definition: json(start) };
    let rows: Vec<StartRow<'_>> = dags
        .iter()
        .flat_map(|new| new.dag.starts.iter().map(move |start| row(new.dag.dag_id.as_str(), start)))
        .collect();
    json(&rows)
}

fn definition(text: &str) -> Result<Start> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt { what: "start", why: error.to_string() })
}

impl Store {
    /// Starts a run for each event that is new. The events of a call are independent of each other.
    ///
    /// # Errors
    /// A DAG does not exist or its file is gone, or the database failed; then nothing has changed.
    pub async fn start_runs(&self, now: Timestamp, events: &[NewStart]) -> Result<Vec<Started>> {
        self.transaction("start runs", |tx| {
            steps(async move {
                let mut waiting: HashMap<&str, i64> = HashMap::new();
                let mut started = Vec::with_capacity(events.len());
                // A row loop: an event is rare, and each may find itself known. Callers give at most some hundreds.
                for event in events {
                    started.push(start_run(tx, now, event, &mut waiting).await?);
                }
                Ok(started)
            })
        })
        .await
    }

    /// The DAGs that a webhook of this name starts, by id. A paused DAG is among them: its runs wait.
    ///
    /// # Errors
    /// The database failed.
    pub async fn webhook_listeners(&self, name: &str) -> Result<Vec<Watched>> {
        let rows: Vec<(String, i64, String, bool)> = self
            .reading("look for the DAGs of a webhook", |tx| {
                step(
                    tx.query(
                        "select s.dag_id, d.version_id, s.definition, s.began_at is not null
                         from dag_start s join dag d on d.dag_id = s.dag_id
                         where s.kind = 'webhook' and s.name = $1 and d.is_active and d.version_id is not null
                         order by s.dag_id",
                    )
                    .bind(name)
                    .all(),
                )
            })
            .await?;
        rows.into_iter().map(watched).collect()
    }

    /// What triggerers look at: streams and files of active DAGs that are not paused.
    ///
    /// # Errors
    /// The database failed.
    pub async fn watched_starts(&self) -> Result<Vec<Watched>> {
        let rows: Vec<(String, i64, String, bool)> = self
            .reading("list what starts runs", |tx| {
                step(
                    tx.query(
                        "select s.dag_id, d.version_id, s.definition, s.began_at is not null
                         from dag_start s join dag d on d.dag_id = s.dag_id
                         where s.kind <> 'webhook' and d.is_active and not d.is_paused and d.version_id is not null
                         order by s.dag_id, s.kind, s.name",
                    )
                    .all(),
                )
            })
            .await?;
        rows.into_iter().map(watched).collect()
    }

    /// Takes up what starts a DAG: the events that are there already do not count. Returns false where somebody else
    /// has taken it up.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_start(
        &self,
        now: Timestamp,
        dag_id: &str,
        start: &Start,
        already_there: &[String],
    ) -> Result<bool> {
        let events = &json(already_there);
        self.transaction("take up what starts a DAG", |tx| {
            steps(async move {
                let is_first = tx
                    .query(
                        "update dag_start set began_at = $4
                         where dag_id = $1 and kind = $2 and name = $3 and began_at is null",
                    )
                    .bind(dag_id)
                    .bind(start.kind())
                    .bind(start.name())
                    .bind(now.as_micros())
                    .execute()
                    .await?
                    > 0;
                if is_first {
                    tx.query(statement!("remember_events"))
                        .bind(dag_id)
                        .bind(start.source())
                        .bind(events)
                        .bind(now.as_micros())
                        .execute()
                        .await?;
                }
                Ok(is_first)
            })
        })
        .await
    }

    /// Remembers events that start nothing, so that they are not looked at again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remember_events(&self, now: Timestamp, dag_id: &str, source: &str, events: &[String]) -> Result<()> {
        let events = &json(events);
        self.transaction("remember events", |tx| {
            steps(async move {
                tx.query(statement!("remember_events"))
                    .bind(dag_id)
                    .bind(source)
                    .bind(events)
                    .bind(now.as_micros())
                    .execute()
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Which of these events have been seen before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn known_events(&self, dag_id: &str, source: &str, events: &[String]) -> Result<Vec<String>> {
        let events = json(events);
        self.reading("look for known events", |tx| {
            step(tx.query(statement!("known_events")).bind(dag_id).bind(source).bind(&events).scalars())
        })
        .await
    }

    /// Writes down a look, and what was wrong.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_start(&self, now: Timestamp, dag_id: &str, start: &Start, problem: Option<&str>) -> Result<()> {
        self.transaction("note a look at what starts a DAG", |tx| {
            steps(async move {
                tx.query(
                    "update dag_start set looked_at = $4, problem = $5 where dag_id = $1 and kind = $2 and name = $3",
                )
                .bind(dag_id)
                .bind(start.kind())
                .bind(start.name())
                .bind(now.as_micros())
                .bind(problem)
                .execute()
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// What starts a DAG, for people.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_starts(&self, dag_id: &str) -> Result<Vec<StartRecord>> {
        let rows: Vec<ListedStart> = self
            .reading("list what starts a DAG", |tx| {
                step(
                    tx.query(
                        "select definition, began_at, looked_at, problem from dag_start
                         where dag_id = $1 order by kind, name",
                    )
                    .bind(dag_id)
                    .all(),
                )
            })
            .await?;
        rows.into_iter()
            .map(|(text, began_at, looked_at, problem)| {
                Ok(StartRecord {
                    start: definition(&text)?,
                    began_at: began_at.map(Timestamp::from_micros),
                    looked_at: looked_at.map(Timestamp::from_micros),
                    problem,
                })
            })
            .collect()
    }
}

/// Starts a run for an event, if it is new. `waiting` counts the runs of each DAG that wait to start.
async fn start_run<'a>(
    tx: &mut Transaction,
    now: Timestamp,
    event: &'a NewStart,
    waiting: &mut HashMap<&'a str, i64>,
) -> Result<Started, Abort> {
    let new = &event.run;
    let dag: Option<(Option<i64>, bool)> = tx
        .query("select version_id, is_paused from dag where dag_id = $1 and is_active")
        .bind(&new.dag_id)
        .optional()
        .await?;
    let Some((Some(version), dag_is_paused)) = dag else {
        return Err(StoreError::NotFound { what: "dag", name: new.dag_id.clone() }.into());
    };
    // Waits for a transaction that inserts the same event: afterwards it is known, or free.
    let inserted = tx
        .query(
            "insert into start_event (dag_id, source, event_id, at) values ($1, $2, $3, $4)
             on conflict (dag_id, source, event_id) do nothing",
        )
        .bind(&new.dag_id)
        .bind(&event.source)
        .bind(&event.event_id)
        .bind(now.as_micros())
        .execute()
        .await?;
    if inserted == 0 {
        return Ok(Started::Repeated(run_of_event(tx, event).await?));
    }
    let already = match waiting.get(new.dag_id.as_str()) {
        Some(known) => *known,
        None => {
            tx.query("select count(*) from dag_run where dag_id = $1 and state = 'queued'")
                .bind(&new.dag_id)
                .scalar()
                .await?
        }
    };
    waiting.insert(&new.dag_id, already + 1);
    if already >= WAITING_RUNS_MAX {
        tx.query("delete from start_event where dag_id = $1 and source = $2 and event_id = $3")
            .bind(&new.dag_id)
            .bind(&event.source)
            .bind(&event.event_id)
            .execute()
            .await?;
        return Ok(Started::TooManyWait);
    }
    let (key, run_id) = insert_run(tx, now, new, version).await?;
    tx.query("update start_event set dag_run_id = $4 where dag_id = $1 and source = $2 and event_id = $3")
        .bind(&new.dag_id)
        .bind(&event.source)
        .bind(&event.event_id)
        .bind(key.0)
        .execute()
        .await?;
    Ok(Started::Created(RunCreated { key, run_id, dag_is_paused }))
}

/// The run that an event started which has been seen before.
async fn run_of_event(tx: &mut Transaction, event: &NewStart) -> Result<Option<String>, Abort> {
    let run = tx
        .query(
            "select r.run_id from start_event e join dag_run r on r.id = e.dag_run_id
             where e.dag_id = $1 and e.source = $2 and e.event_id = $3",
        )
        .bind(&event.run.dag_id)
        .bind(&event.source)
        .bind(&event.event_id)
        .optional_scalar()
        .await?;
    Ok(run)
}

/// Definition, when it began, when somebody looked, what was wrong.
type ListedStart = (String, Option<i64>, Option<i64>, Option<String>);

fn watched((dag_id, version, text, has_begun): (String, i64, String, bool)) -> Result<Watched> {
    Ok(Watched { dag_id, version: DagVersionKey(version), start: definition(&text)?, has_begun })
}
