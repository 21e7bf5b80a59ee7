//! One attempt of a task instance, from the claimed work order to its outcome.

#[cfg(test)]
mod bench;
mod callback;
mod channel;
mod choice;
mod control;
mod docker;
mod drain;
mod environments;
mod executable;
mod folder;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod launch;
mod notice;
mod plugin;
mod process;
mod published;
mod python;
mod script;
mod secrecy;
mod sensor;
mod sql;
mod trigger_dag;

pub use callback::deliver;
pub use environments::EnvironmentOptions;
pub(crate) use environments::clean as clean_environments;
use flow_model::dag::RETURN_VALUE;
use flow_model::limits::{NAMED_XCOMS_MAX, RENDERED_BYTES_MAX, TEMPLATE_LOOKUPS_MAX};
pub(crate) use folder::remove_leftovers;

use std::sync::Arc;
use std::time::Duration;

use flow_model::Task;
use flow_model::connection::redacted;
use flow_model::control::FailureWatch;
use flow_model::dag::Output;
use flow_model::deferral::OnTimeout;
use flow_model::log::Stream;
use flow_model::question::Question;
use flow_model::time::duration_text;
use flow_model::{Deferral, Timestamp};
use flow_secrets::{Masker, Secrets, SecretsError};
use flow_sql::SqlClient;
use flow_store::read::{Page, XComFilter};
use flow_store::{
    NewXCom, Outcome, OutcomeKind, Store, StoreError, WorkOrder, XComInstances, XComPull, XComRun, json_text,
};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::artifacts::ArtifactLimits;
use crate::environment::TaskEnvironment;
use crate::log::AttemptLog;
use crate::operators::{self, HttpClient, HttpWork, Prepared, Work};
use crate::output::{check_sizes, xcom};
use crate::run_as::RunAs;
use crate::template::{AttemptPlace, AttemptScope, Lookups, Renderer, TemplateError, Wanted};
use crate::warden::WardenKeeper;

/// What a worker says that was built without.
#[cfg(not(feature = "kubernetes"))]
const NO_KUBERNETES: &str = "this flowctl was built without Kubernetes, so it cannot run `kubernetes_pod`\nhint: build it with `cargo build --release --features kubernetes`";

/// What attempts need of their worker.
pub struct Workshop {
    /// Where XComs and published files come from.
    pub store: Store,
    /// Variables and connections.
    pub secrets: Secrets,
    /// Starts processes.
    pub wardens: WardenKeeper,
    /// Sends requests.
    pub http: HttpClient,
    /// Runs statements.
    pub sql: SqlClient,
    /// What processes inherit.
    pub environment: TaskEnvironment,
    /// The user that they run as; the worker's own without one.
    pub run_as: Option<RunAs>,
    /// Where plugins are that no DAG version holds.
    pub plugins_folder: Option<std::path::PathBuf>,
    /// Where Python environments are, and how long they are kept.
    pub environments: EnvironmentOptions,
    /// Where attempts get their folders.
    pub folder: std::path::PathBuf,
    /// Between TERM and KILL.
    pub kill_grace: Duration,
    /// How much a try may leave for people.
    pub artifact_limits: ArtifactLimits,
    /// What templates may say about the place of an attempt.
    pub place: Arc<AttemptPlace>,
}

/// Why an attempt must stop before it has ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It has lost the right to act: its result counts for nothing.
    Fenced,
    /// The worker goes: the task instance is given back.
    Released,
}

/// Tells an attempt to stop.
pub type StopSignal = watch::Receiver<Option<Stop>>;

/// How the work itself went.
pub(crate) struct Ended {
    kind: Ending,
    exit_code: Option<i32>,
    xcoms: Vec<NewXCom>,
    /// Positions of the tasks that it leaves out.
    skips: Vec<u32>,
}

pub(crate) enum Ending {
    Success,
    Skipped(String),
    Failed(String),
    /// As `Failed`, with a delay of its own before the retry.
    FailedRetryAfter(Duration, String),
    /// As `Failed`, but the retry comes no sooner than that.
    FailedNotBefore(Duration, String),
    /// Trying again would not help.
    FailedForGood(String),
    Stopped(Stop),
    /// Infrastructure failed, not the task.
    Lost(String),
    /// It goes on waiting in the triggerer.
    Deferred(Box<Deferral>),
    /// It gives the slot back until `at`; a part that is told `resume` goes on then.
    Rescheduled {
        at: Timestamp,
        resume: Option<Value>,
        /// What it waits for, in words.
        reason: Option<String>,
    },
    /// It waits for a person's answer.
    AwaitingInput(Box<Question>),
}

impl Ended {
    pub(crate) fn new(kind: Ending) -> Self {
        Ended { kind, exit_code: None, xcoms: Vec::new(), skips: Vec::new() }
    }
}

/// Runs an attempt. `None`: it was fenced, so there is nothing to report.
pub async fn run(workshop: &Workshop, mut order: WorkOrder, log: Arc<AttemptLog>, stop: StopSignal) -> Option<Outcome> {
    flow_model::crash_point!("worker.attempt_started");
    let (mut rendered, mut map_label) = (None, None);
    let iteration = control::take_iteration(&mut order);
    let ended = match prepare(workshop, &order, iteration, log.masker()).await {
        Ok(Readiness::Refused(reason)) => Ok(Ended::new(Ending::Skipped(reason))),
        Ok(Readiness::Ready(prepared)) => {
            let Prepared { work, rendered: fields, map_label: label } = *prepared;
            (rendered, map_label) = shown(fields, label, log.masker());
            let ended = match secrecy::check(&work, log.masker()) {
                Ok(()) => carry_out(workshop, &order, work, &log, stop).await,
                Err(why) => Ended::new(Ending::FailedForGood(why)),
            };
            let ended = if order.task().operator.decides_what_follows() {
                // A choice is told in pieces, in which no secret would be found any more.
                choice::conclude(&order, secrecy::conceal(ended, log.masker()))
            } else {
                ended
            };
            control::conclude(workshop, &order, iteration, ended, &log).await
        }
        Err(error) => Err(error),
    };
    let ended = ended.unwrap_or_else(|error| match error {
        PrepareError::Template(message) => Ended::new(Ending::FailedForGood(message)),
        PrepareError::Store(error) => Ended::new(Ending::Lost(format!("could not read XComs: {error}"))),
        PrepareError::Secrets(why) => Ended::new(Ending::Failed(why)),
    });
    let ended = within_limits(secrecy::conceal(ended, log.masker()));
    flow_model::crash_point!("worker.attempt_ended");
    outcome(workshop.store.now(), &order, ended, Shown { rendered, map_label }, &log)
}

/// No success with a value that is larger than an XCom may be.
fn within_limits(ended: Ended) -> Ended {
    match check_sizes(&ended.xcoms) {
        Err(why) if matches!(ended.kind, Ending::Success) => {
            Ended { kind: Ending::Failed(why), xcoms: Vec::new(), skips: Vec::new(), ..ended }
        }
        _ => ended,
    }
}

/// What people see of the attempt besides its log.
struct Shown {
    rendered: Option<String>,
    map_label: Option<String>,
}

enum PrepareError {
    Template(String),
    Store(StoreError),
    /// A source of variables or connections is not to be had at the moment.
    Secrets(String),
}

impl From<StoreError> for PrepareError {
    fn from(error: StoreError) -> Self {
        PrepareError::Store(error)
    }
}

impl From<SecretsError> for PrepareError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::Store(error) => PrepareError::Store(error),
            error => PrepareError::Secrets(error.to_string()),
        }
    }
}

/// Whether there is anything to do.
enum Readiness {
    Ready(Box<Prepared>),
    /// The task itself says that there is not, and why.
    Refused(String),
}

/// Renders the task.
async fn prepare(
    workshop: &Workshop,
    order: &WorkOrder,
    iteration: u32,
    masker: &Masker,
) -> Result<Readiness, PrepareError> {
    let file = published::text(workshop, order).await?;
    with_lookups(workshop, order, Map::new(), masker, |renderer| {
        if let Some(reason) = control::refusal(order, iteration, renderer)? {
            return Ok(Readiness::Refused(reason));
        }
        Ok(Readiness::Ready(Box::new(operators::prepare(order, workshop.store.now(), file.as_deref(), renderer)?)))
    })
    .await
}

/// Renders with the names of the order and some of its own. What templates want of other tasks, of variables and connections
/// is fetched as they ask for it, and `masker` learns what of it is secret.
async fn with_lookups<T>(
    workshop: &Workshop,
    order: &WorkOrder,
    names: Map<String, Value>,
    masker: &Masker,
    render: impl Fn(&Renderer) -> Result<T, TemplateError>,
) -> Result<T, PrepareError> {
    let lookups = Arc::new(Lookups::default());
    let mut named = order.clone();
    named.map_values.extend(names);
    let renderer = Renderer::new(Arc::new(AttemptScope::new(named, Arc::clone(&lookups), Arc::clone(&workshop.place))));
    for _ in 0..TEMPLATE_LOOKUPS_MAX {
        let error = match render(&renderer) {
            Ok(rendered) => return Ok(rendered),
            Err(error) => error,
        };
        let wanted = lookups.take_wanted();
        if wanted.is_empty() {
            return Err(PrepareError::Template(error.to_string()));
        }
        for wanted in wanted {
            let value = fetch(workshop, order, &wanted, masker).await?;
            lookups.learn(wanted, value);
        }
    }
    Err(PrepareError::Template(format!("its templates ask for more than {TEMPLATE_LOOKUPS_MAX} values")))
}

async fn fetch(
    workshop: &Workshop,
    order: &WorkOrder,
    wanted: &Wanted,
    masker: &Masker,
) -> Result<Option<Value>, PrepareError> {
    match wanted {
        Wanted::Variable(key) => Ok(secrecy::variable(&workshop.secrets, masker, key).await?),
        Wanted::Connection(conn_id) => Ok(secrecy::connection(&workshop.secrets, masker, conn_id).await?),
        Wanted::PreviousSuccess => {
            let found = workshop.store.previous_success(order.run).await?;
            Ok(found.map(|found| {
                let (start, end) = found.data_interval.unzip();
                let at = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
                serde_json::json!({
                    "data_interval_start": at(start), "data_interval_end": at(end),
                    "start_date": at(found.started_at), "end_date": at(found.ended_at),
                })
            }))
        }
        Wanted::Value(pull) => {
            let graph = &order.graph;
            let goes_together = |task| graph.go_together(order.task_index, task);
            // Of a task in the same mapped group that of the same map index is meant.
            let is_same_index = pull.instances == XComInstances::All
                && pull.run == XComRun::This
                && graph.index_of(&pull.task_id).is_some_and(goes_together);
            let instances = if is_same_index { XComInstances::One(order.map_index) } else { pull.instances.clone() };
            Ok(workshop.store.pull_xcom(order.run, &XComPull { instances, ..pull.clone() }).await?)
        }
        Wanted::Named(task_id) => {
            let filter = XComFilter { task_id: Some(task_id), ..XComFilter::default() };
            let (xcoms, total) = workshop.store.list_xcoms(order.run, &filter, Page::first(NAMED_XCOMS_MAX)).await?;
            if total > NAMED_XCOMS_MAX && xcoms.iter().any(|xcom| xcom.map_index < 0) {
                return Err(PrepareError::Template(format!(
                    "task `{task_id}` has left {total} named values, and templates see {NAMED_XCOMS_MAX} of a task at most\nhint: let it leave one table of them, or take single ones with `ti.xcom_pull(task_ids=\"{task_id}\", key=...)`"
                )));
            }
            let named = xcoms.into_iter().filter(|xcom| xcom.map_index < 0).map(|xcom| (xcom.key, xcom.value));
            Ok(Some(Value::Object(named.collect())))
        }
    }
}

async fn carry_out(
    workshop: &Workshop,
    order: &WorkOrder,
    work: Work,
    log: &AttemptLog,
    mut stop: StopSignal,
) -> Ended {
    let timeout = order.task().execution_timeout;
    match work {
        Work::Noop => Ended::new(Ending::Success),
        Work::Value(value) => {
            let xcoms = vec![xcom(RETURN_VALUE, &value)];
            Ended { kind: Ending::Success, exit_code: None, xcoms, skips: Vec::new() }
        }
        Work::Ask(question) => {
            log.system(workshop.store.now(), &format!("asks people: {}", question.subject));
            Ended::new(Ending::AwaitingInput(question))
        }
        Work::Plugin(work) => plugin::run(workshop, order, *work, log, stop).await,
        #[cfg(feature = "kubernetes")]
        Work::KubernetesPod(work) => Box::pin(kubernetes::run(workshop, order, *work, log, stop)).await,
        #[cfg(not(feature = "kubernetes"))]
        Work::KubernetesPod(_) => Ended::new(Ending::FailedForGood(NO_KUBERNETES.to_owned())),
        Work::Docker(work) => Box::pin(docker::run(workshop, order, *work, log, stop)).await,
        Work::Process(work) => script::run(workshop, order, work, log, stop).await,
        Work::Sleep(duration) => {
            until_stopped(timeout, &mut stop, async {
                tokio::time::sleep(duration).await;
                Ended::new(Ending::Success)
            })
            .await
        }
        Work::Sql(work) => {
            let running = sql::run(workshop, *work, log);
            until_stopped(timeout, &mut stop, running).await
        }
        Work::Notice(notice) => {
            let sending = notice::run(workshop, *notice, log);
            until_stopped(timeout, &mut stop, sending).await
        }
        Work::TriggerDag(work) => trigger_dag::run(workshop, order, *work, log).await,
        Work::DeferredSleep(duration) => sensor::sleep(order, duration),
        Work::Sensor(work) => sensor::run(workshop, order, *work, log, stop).await,
        Work::Http(work) => {
            let sending = send(workshop, &work, order.task(), log);
            until_stopped(timeout, &mut stop, sending).await
        }
    }
}

/// Work inside the worker: it is simply dropped when it must stop.
async fn until_stopped(timeout: Option<Duration>, stop: &mut StopSignal, work: impl Future<Output = Ended>) -> Ended {
    tokio::select! {
        ended = work => ended,
        stop = stopped(stop) => Ended::new(Ending::Stopped(stop)),
        () = timed_out(timeout) => Ended::new(Ending::Failed(timeout_reason(timeout))),
    }
}

/// Returns when the attempt must stop.
pub(crate) async fn stopped(stop: &mut StopSignal) -> Stop {
    match stop.wait_for(Option::is_some).await {
        Ok(value) => (*value).unwrap_or(Stop::Fenced),
        // The worker forgot the attempt without a word: it has no right to act any more.
        Err(_) => Stop::Fenced,
    }
}

pub(crate) async fn timed_out(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn timeout_reason(timeout: Option<Duration>) -> String {
    format!(
        "timed out: it ran longer than its `execution_timeout` of {}",
        duration_text::format(timeout.unwrap_or_default())
    )
}

async fn send(workshop: &Workshop, work: &HttpWork, task: &Task, log: &AttemptLog) -> Ended {
    let now = || workshop.store.now();
    log.system(now(), &work.summary());
    let connection = match &work.connection {
        Some(conn_id) => match secrecy::connected(workshop, conn_id, log).await {
            Ok(connection) => Some(connection),
            Err(ending) => return Ended::new(ending),
        },
        None => None,
    };
    let answer = match workshop.http.send(work, connection.as_ref()).await {
        Ok(answer) => answer,
        Err(why) => return Ended::new(Ending::Failed(why)),
    };
    let text = String::from_utf8_lossy(&answer.body);
    log.system(now(), &format!("answered with status {} and {} bytes", answer.status, answer.body.len()));
    let mut watch = FailureWatch::new(&task.control.failure_rules);
    for line in text.lines() {
        watch.line(line);
        log.line(now(), Stream::Stdout, line, 0);
    }
    if !answer.is_expected {
        let reason = format!("answered with status {}, which is not expected", answer.status);
        let meaning = control::meaning(watch.decide(Some(answer.status.into())), reason);
        return Ended::new(match (meaning, answer.retry_after) {
            (Ending::Failed(reason), Some(pause)) => Ending::FailedNotBefore(pause, reason),
            (meaning, _) => meaning,
        });
    }
    let value = match task.output {
        Output::None => None,
        Output::Json => match serde_json::from_str::<Value>(flow_model::outside::without_mark(&text)) {
            Ok(value) => Some(value),
            Err(error) => return Ended::new(Ending::Failed(format!("the answer is not JSON: {error}"))),
        },
        Output::LastLine | Output::Text => Some(Value::String(text.into_owned())),
    };
    Ended {
        kind: Ending::Success,
        exit_code: None,
        xcoms: value.map(|value| xcom(RETURN_VALUE, &value)).into_iter().collect(),
        skips: Vec::new(),
    }
}

/// What people see of the rendered fields: without what is known to be secret, and without what stands in a field whose
/// name says that it is.
fn shown(fields: Map<String, Value>, label: Option<String>, masker: &Masker) -> (Option<String>, Option<String>) {
    let fields = match redacted(&masker.mask_json(Value::Object(fields))) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    (rendered_text(fields), label.map(|label| masker.mask(&label).into_owned()))
}

fn rendered_text(rendered: Map<String, Value>) -> Option<String> {
    if rendered.is_empty() {
        return None;
    }
    let text = json_text(&Value::Object(rendered));
    Some(if text.len() > RENDERED_BYTES_MAX {
        r#"{"omitted":"the rendered fields are too large"}"#.to_owned()
    } else {
        text
    })
}

fn outcome(now: Timestamp, order: &WorkOrder, ended: Ended, shown: Shown, log: &AttemptLog) -> Option<Outcome> {
    let (kind, reason) = match ended.kind {
        Ending::Success => (OutcomeKind::Success, None),
        Ending::Skipped(reason) => (OutcomeKind::Skipped, Some(reason)),
        Ending::Failed(reason) => {
            let delay = order.task().retry.delay_after(order.try_number, rand::random());
            (OutcomeKind::Failed { retry_at: now + delay }, Some(reason))
        }
        Ending::FailedNotBefore(pause, reason) => {
            let delay = order.task().retry.delay_after(order.try_number, rand::random());
            (OutcomeKind::Failed { retry_at: now + delay.max(pause) }, Some(reason))
        }
        Ending::FailedRetryAfter(delay, reason) => (OutcomeKind::Failed { retry_at: now + delay }, Some(reason)),
        Ending::FailedForGood(reason) => (OutcomeKind::FailedForGood, Some(reason)),
        // Whether it had done its work is not known, and it must not be done twice.
        Ending::Lost(_) if order.task().at_most_once => {
            (OutcomeKind::FailedForGood, Some("outcome_unknown".to_owned()))
        }
        Ending::Lost(reason) => (OutcomeKind::Lost, Some(reason)),
        Ending::Stopped(Stop::Released) => (OutcomeKind::Released, Some("released".to_owned())),
        Ending::Stopped(Stop::Fenced) => return None,
        Ending::Deferred(deferral) => {
            let waits = format!("waits {}", deferral.trigger.summary());
            (OutcomeKind::Deferred(Box::new(limited(*deferral, order))), Some(waits))
        }
        Ending::Rescheduled { at, resume, reason } => (OutcomeKind::Rescheduled { at, resume }, reason),
        Ending::AwaitingInput(mut question) => {
            question.outputs = order.task().control.outputs.clone();
            (OutcomeKind::AwaitingInput(question), None)
        }
    };
    // Whoever suspends a try has said why in its log.
    if let Some(reason) = reason.as_ref().filter(|_| !kind.suspends()) {
        log.reason(now, reason);
    }
    let (pieces, totals) = log.finish(now);
    Some(Outcome {
        task_instance: order.task_instance,
        epoch: order.epoch,
        claim: order.claim,
        kind,
        // The reason is one line in lists; hints and details are in the log.
        reason: reason.map(|reason| reason.lines().next().unwrap_or_default().to_owned()),
        ended_at: now,
        exit_code: ended.exit_code,
        rendered: shown.rendered,
        map_label: shown.map_label,
        skips: ended.skips,
        xcoms: ended.xcoms,
        log: pieces,
        log_bytes: totals.bytes,
        log_lines: totals.lines,
        log_bytes_dropped: totals.bytes_dropped,
        log_next_seq: totals.next_seq,
        is_continued: order.is_continued,
    })
}

/// `execution_timeout` is for the whole try, and so for its waiting, too.
fn limited(deferral: Deferral, order: &WorkOrder) -> Deferral {
    let task = order.task();
    let retry_delay = task.retry.delay_after(order.try_number, rand::random());
    let outputs = task.control.outputs.clone();
    let timeout = task.execution_timeout.map(|timeout| order.try_started_at + timeout);
    match timeout {
        Some(end) if deferral.deadline_at.is_none_or(|deadline| end < deadline) => {
            Deferral { deadline_at: Some(end), on_timeout: OnTimeout::Retry, retry_delay, outputs, ..deferral }
        }
        _ => Deferral { retry_delay, outputs, ..deferral },
    }
}
