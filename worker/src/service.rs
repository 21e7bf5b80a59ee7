//! The worker as a process: it takes hints, claims, runs attempts, reports, and says that it is alive.

mod callbacks;
mod intake;
mod liveness;
mod report;
mod roster;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flow_model::{Incarnation, ProcessId};
use flow_queue::{Bell, Queue};
use flow_secrets::Secrets;
use flow_store::{NewProcess, ProcessKind, Rescued, Store, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::artifacts::ArtifactLimits;
use crate::attempt::{EnvironmentOptions, Stop, Workshop, clean_environments, remove_leftovers};
use crate::environment::TaskEnvironment;
use crate::operators::HttpClient;
use crate::run_as::RunAs;
use crate::template::AttemptPlace;
use crate::warden::WardenKeeper;

use callbacks::CallbackBell;
use report::Reporter;
use roster::Roster;

/// How a worker works.
#[derive(Debug)]
pub struct WorkerOptions {
    /// A name that it keeps over restarts.
    pub slot: String,
    /// The machine it runs on.
    pub host: String,
    /// Where people see the pages, without a slash at the end, for links in templates; `None`: nobody has said.
    pub pages_url: Option<String>,
    /// Minted at this start.
    pub incarnation: Incarnation,
    /// The queues it serves.
    pub queues: Vec<String>,
    /// Attempts it runs at once.
    pub concurrency: u32,
    /// How often it says that it is alive.
    pub heartbeat: Duration,
    /// How long it counts as alive without a heartbeat.
    pub lease: Duration,
    /// How long attempts may go on after a request to stop, before they are killed and given back.
    pub drain_timeout: Duration,
    /// Between TERM and KILL.
    pub kill_grace: Duration,
    /// How much a try may leave for people.
    pub artifact_limits: ArtifactLimits,
    /// Where plugins are that no DAG version holds.
    pub plugins_folder: Option<PathBuf>,
    /// Where Python environments are, and how long they are kept.
    pub environments: EnvironmentOptions,
    /// Where attempts get their folders; what is in it at start is left over and removed.
    pub folder: PathBuf,
    /// The user that tasks' processes run as; the worker's own without one.
    pub run_as: Option<RunAs>,
    /// Program and arguments that start a warden.
    pub warden_command: Vec<String>,
    /// Kept open until the last process of every attempt is gone (a lock file).
    pub held: Option<OwnedFd>,
}

/// A worker.
pub struct Worker {
    store: Store,
    queue: Queue,
    secrets: Secrets,
    options: WorkerOptions,
}

/// What the loops of a worker share.
struct Shared {
    store: Store,
    queue: Queue,
    options: WorkerOptions,
    workshop: Workshop,
    roster: Roster,
    slots: Arc<Semaphore>,
    reporter: Reporter,
    callbacks: CallbackBell,
    /// Changes when the worker has to register anew.
    process: tokio::sync::watch::Sender<ProcessId>,
}

impl Worker {
    /// A worker on a store and a queue.
    pub fn new(store: Store, queue: Queue, secrets: Secrets, options: WorkerOptions) -> Self {
        Worker { store, queue, secrets, options }
    }

    /// Works until `shutdown`, then drains: it takes nothing new, lets attempts end, kills and gives back what does not.
    /// Database outages are waited out.
    ///
    /// # Errors
    /// It cannot register at start, and waiting would not mend it.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let Worker { store, queue, secrets, mut options } = self;
        remove_leftovers(&options.folder);
        let (environments, now) = (options.environments.clone(), store.now());
        // Nobody waits for it.
        tokio::task::spawn_blocking(move || clean_environments(&environments, now, None));
        let new = options.as_process();
        let (process, rescued) = tokio::select! {
            registered = store.register_process_patiently(&new, cannot_register) => registered?,
            () = shutdown.cancelled() => return Ok(()),
        };
        tell_of_takeover(&queue, &rescued).await;
        let (process, _) = tokio::sync::watch::channel(process);
        let workshop = Workshop {
            store: store.clone(),
            secrets,
            wardens: WardenKeeper::new(std::mem::take(&mut options.warden_command), options.held.take()),
            http: HttpClient::default(),
            sql: flow_sql::SqlClient::default(),
            place: Arc::new(AttemptPlace { host: options.host.clone(), pages_url: options.pages_url.clone() }),
            environment: match &options.run_as {
                Some(user) => TaskEnvironment::inherited().of_user(user),
                None => TaskEnvironment::inherited(),
            },
            run_as: options.run_as.clone(),
            plugins_folder: options.plugins_folder.clone(),
            environments: options.environments.clone(),
            folder: options.folder.clone(),
            kill_grace: options.kill_grace,
            artifact_limits: options.artifact_limits,
        };
        let (reporter, outcomes) = Reporter::new();
        let shared = Arc::new(Shared {
            slots: Arc::new(Semaphore::new(options.concurrency as usize)),
            roster: Roster::default(),
            options,
            store,
            queue,
            workshop,
            reporter,
            callbacks: CallbackBell::default(),
            process,
        });
        tracing::info!(
            process.id = shared.process_id().0,
            queues = shared.options.queues.join(","),
            concurrency = shared.options.concurrency,
            "worker is up"
        );
        let reporting = tokio::spawn(report::run(Arc::clone(&shared), outcomes));
        let stop_background = CancellationToken::new();
        let liveness = tokio::spawn(liveness::run(Arc::clone(&shared), stop_background.clone()));
        let calling_back = tokio::spawn(callbacks::run(Arc::clone(&shared), stop_background.clone()));
        let shipping = tokio::spawn(report::ship_logs(Arc::clone(&shared), stop_background.clone()));
        intake::run(&shared, &shutdown).await;
        drain(&shared).await;
        shared.reporter.close();
        let _ = reporting.await;
        stop_background.cancel();
        let _ = liveness.await;
        let _ = shipping.await;
        let _ = calling_back.await;
        if let Err(error) = shared.store.retire_process(shared.store.now(), shared.process_id()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not sign off");
        }
        let _ = shared.queue.ring(Bell::Scheduler).await;
        tracing::info!("worker stopped");
        Ok(())
    }
}

impl Shared {
    fn process_id(&self) -> ProcessId {
        *self.process.borrow()
    }
}

fn cannot_register(error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "could not register yet; trying again");
}

impl WorkerOptions {
    fn as_process(&self) -> NewProcess {
        NewProcess {
            queues: self.queues.clone(),
            concurrency: Some(self.concurrency),
            ..NewProcess::this(ProcessKind::Worker, &self.slot, &self.host, self.incarnation, self.lease)
        }
    }
}

/// What a predecessor held goes on elsewhere, and the scheduler decides how.
async fn tell_of_takeover(queue: &Queue, rescued: &[Rescued]) {
    if !rescued.is_empty() {
        tracing::warn!(count = rescued.len(), "took over from a predecessor: its task instances are rerun");
        let _ = queue.ring(Bell::Scheduler).await;
    }
}

/// Lets attempts end by themselves for a while, then stops them.
async fn drain(shared: &Shared) {
    let timeout = shared.options.drain_timeout;
    if let Err(error) = shared.store.drain_process(shared.process_id()).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "could not announce the drain");
    }
    let running = shared.roster.count();
    if running > 0 {
        tracing::info!(count = running, timeout = ?timeout, "waiting for running attempts");
    }
    let all_slots = shared.slots.acquire_many(shared.options.concurrency);
    tokio::pin!(all_slots);
    if tokio::time::timeout(timeout, &mut all_slots).await.is_err() {
        tracing::info!(count = shared.roster.count(), "giving back what still runs");
        shared.roster.stop_all(Stop::Released);
        let _ = all_slots.await;
    }
}
