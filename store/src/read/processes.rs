//! Processes that are up.

use flow_model::{ProcessId, Timestamp};

use crate::connect::Store;
use crate::error::Result;
use crate::read::{record, records};
use crate::transaction::step;

/// Processes that a listing shows at most.
const PROCESSES_MAX: i64 = 1_000;

record!(
    /// A registered process that has not been declared dead.
    ProcessRecord from ProcessRow {
        /// Its id.
        id: ProcessId,
        /// `scheduler`, `worker`, `triggerer` or `web`.
        kind: String,
        /// A name that it keeps over restarts.
        slot: String,
        /// Its machine.
        host: String,
        /// Its process id there.
        pid: i64,
        /// Its version.
        version: String,
        /// `live` or `draining`.
        state: String,
        /// The queues it serves, separated by commas (workers).
        queues: Option<String>,
        /// Attempts it runs at once (workers).
        concurrency: Option<i64>,
        /// Attempts it runs now.
        running: i64,
        /// Its tasks are its own until then.
        lease_until: Timestamp,
        /// When it started.
        started_at: Timestamp,
        /// When it was heard of last.
        heartbeat_at: Timestamp,
    }
);

impl ProcessRecord {
    /// Whether it serves a queue.
    pub fn serves(&self, queue: &str) -> bool {
        self.queues.as_deref().unwrap_or("").split(',').any(|served| served == queue)
    }
}

impl Store {
    /// Processes that have not been declared dead, by kind and slot.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list_processes(&self) -> Result<Vec<ProcessRecord>> {
        let rows: Vec<ProcessRow> = self
            .reading("list processes", |tx| {
                step(
                    tx.query(
                        "select p.id, p.kind, p.slot, p.host, p.pid, p.version, p.state, p.queues, p.concurrency,
                            (select count(*) from task_instance t where t.holder = p.id and t.state = 'running') as running,
                            p.lease_until, p.started_at, p.heartbeat_at
                         from process p where p.state <> 'dead' order by p.kind, p.slot limit $1",
                    )
                    .bind(PROCESSES_MAX)
                    .all(),
                )
            })
            .await?;
        records(rows)
    }
}
