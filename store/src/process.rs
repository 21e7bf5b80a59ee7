//! Processes: who is alive, and until when their tasks are theirs.
//!
//! A lease belongs to a process, not to each task: one row is renewed however many tasks a worker runs.

use std::time::Duration;

use flow_model::{ClaimId, Epoch, Incarnation, ProcessId, TaskInstanceKey, Timestamp};

use crate::connect::Store;
use crate::error::{Abort, Result, StoreError};
use crate::rescue::{Rescued, free_what_they_carried};
use crate::transaction::{Transaction, steps};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessKind {
    /// Decides what runs next.
    Scheduler,
    /// Runs tasks.
    Worker,
    /// Waits.
    Triggerer,
    /// Serves pages and the API.
    Web,
}

impl ProcessKind {
    /// Its name in the database and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProcessKind::Scheduler => "scheduler",
            ProcessKind::Worker => "worker",
            ProcessKind::Triggerer => "triggerer",
            ProcessKind::Web => "web",
        }
    }
}

/// A process that comes up.
#[derive(Debug, Clone)]
pub struct NewProcess {
    /// What it does.
    pub kind: ProcessKind,
    /// A name that it keeps over restarts; only one process at a time may hold it.
    pub slot: String,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Minted at this start.
    pub incarnation: Incarnation,
    /// Its version.
    pub version: String,
    /// Queues it serves (workers).
    pub queues: Vec<String>,
    /// Attempts it runs at once (workers).
    pub concurrency: Option<u32>,
    /// How long its lease lasts without a heartbeat.
    pub lease: Duration,
}

impl NewProcess {
    /// The process that calls this, without queues.
    pub fn this(kind: ProcessKind, slot: &str, host: &str, incarnation: Incarnation, lease: Duration) -> Self {
        NewProcess {
            kind,
            slot: slot.to_owned(),
            host: host.to_owned(),
            pid: std::process::id(),
            incarnation,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: Vec::new(),
            concurrency: None,
            lease,
        }
    }
}

/// A task instance that the store counts as held by a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeldTask {
    /// The task instance.
    pub task_instance: TaskInstanceKey,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its claim.
    pub claim: ClaimId,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heartbeat {
    /// The lease is renewed. Attempts that are not in the list have lost the right to act and must be killed.
    Alive {
        /// The process's task instances.
        held: Vec<HeldTask>,
    },
    /// The process was declared dead: it must kill everything and register anew.
    Dead,
}

/// Between two attempts to register while the database is away.
const REGISTER_PAUSE: Duration = Duration::from_millis(500);

impl Store {
    /// [`Store::register_process`] that waits out a database that is away: a role that starts during an outage must not end of
    /// it. `on_failure` hears of each attempt. Repeating is safe, for what a failed attempt has left behind is the predecessor
    /// of the next one.
    ///
    /// # Errors
    /// The database refuses it for a reason that waiting does not mend.
    pub async fn register_process_patiently(
        &self,
        new: &NewProcess,
        on_failure: impl Fn(&StoreError),
    ) -> Result<(ProcessId, Vec<Rescued>)> {
        loop {
            match self.register_process(self.now(), new).await {
                Err(error) if error.is_transient() => {
                    on_failure(&error);
                    tokio::time::sleep(REGISTER_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Registers a process and declares the predecessor in its slot dead: what that one held is lost at once, without
    /// waiting for its lease. The caller must have made sure that the predecessor is gone (a lock file does).
    ///
    /// # Errors
    /// The database failed.
    pub async fn register_process(&self, now: Timestamp, new: &NewProcess) -> Result<(ProcessId, Vec<Rescued>)> {
        let (id, predecessors) = self.transaction("register the process", |tx| steps(take_slot(tx, now, new))).await?;
        let rescued = if predecessors.is_empty() {
            Vec::new()
        } else {
            self.rescue_held_by(now, &predecessors, &id.to_string(), "worker_restarted").await?
        };
        Ok((ProcessId(id), rescued))
    }

    /// Renews a process's lease and says what it holds (T4).
    ///
    /// # Errors
    /// The database failed.
    pub async fn heartbeat(&self, now: Timestamp, process: ProcessId, lease: Duration) -> Result<Heartbeat> {
        self.transaction("renew the process's lease", |tx| {
            steps(async move {
                let renewed = tx
                    .query("update process set lease_until = $2, heartbeat_at = $3 where id = $1 and state <> 'dead'")
                    .bind(process.0)
                    .bind((now + lease).as_micros())
                    .bind(now.as_micros())
                    .execute()
                    .await?;
                Ok(if renewed == 0 {
                    Heartbeat::Dead
                } else {
                    let held: Vec<(i64, i64, Option<i64>)> = tx
                        .query("select id, epoch, claim_id from task_instance where holder = $1 and state = 'running'")
                        .bind(process.0)
                        .all()
                        .await?;
                    Heartbeat::Alive {
                        held: held
                            .into_iter()
                            .filter_map(|(id, epoch, claim)| {
                                claim.map(|claim| HeldTask {
                                    task_instance: TaskInstanceKey(id),
                                    epoch: Epoch(epoch),
                                    claim: ClaimId(claim),
                                })
                            })
                            .collect(),
                    }
                })
            })
        })
        .await
    }

    /// The process takes no new work from now on; what it runs goes on.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drain_process(&self, process: ProcessId) -> Result<()> {
        self.transaction("drain the process", |tx| {
            steps(async move {
                tx.query("update process set state = 'draining' where id = $1 and state = 'live'")
                    .bind(process.0)
                    .execute()
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// The process ends. What it still holds is lost at once.
    ///
    /// # Errors
    /// The database failed; its lease then runs out by itself.
    pub async fn retire_process(&self, now: Timestamp, process: ProcessId) -> Result<Vec<Rescued>> {
        self.transaction("retire the process", |tx| {
            steps(async move {
                tx.query("update process set state = 'dead', ended_at = $2 where id = $1 and state <> 'dead'")
                    .bind(process.0)
                    .bind(now.as_micros())
                    .execute()
                    .await?;
                free_what_they_carried(tx, now, &[process.0]).await?;
                Ok(())
            })
        })
        .await?;
        self.rescue_held_by(now, &[process.0], &process.to_string(), "worker_stopped").await
    }
}

/// Registers a process in its slot, whose predecessors are dead from now on. Gives its key and theirs.
async fn take_slot(tx: &mut Transaction, now: Timestamp, new: &NewProcess) -> Result<(i64, Vec<i64>), Abort> {
    let predecessors: Vec<i64> = tx
        .query(
            "update process set state = 'dead', ended_at = $3 where kind = $1 and slot = $2 and state <> 'dead'
             returning id",
        )
        .bind(new.kind.as_str())
        .bind(&new.slot)
        .bind(now.as_micros())
        .scalars()
        .await?;
    let id = tx
        .query(
            "insert into process (kind, slot, host, pid, incarnation, version, state, queues, concurrency, lease_until,
                started_at, heartbeat_at)
             values ($1, $2, $3, $4, $5, $6, 'live', $7, $8, $9, $10, $10)
             returning id",
        )
        .bind(new.kind.as_str())
        .bind(&new.slot)
        .bind(&new.host)
        .bind(i64::from(new.pid))
        .bind(new.incarnation.0)
        .bind(&new.version)
        .bind(new.queues.join(","))
        .bind(new.concurrency.map(i64::from))
        .bind((now + new.lease).as_micros())
        .bind(now.as_micros())
        .scalar()
        .await?;
    free_what_they_carried(tx, now, &predecessors).await?;
    Ok((id, predecessors))
}
