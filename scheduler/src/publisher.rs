//! Keeps the store in step with the DAG folder.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flow_dagfile::{CheckedFile, Folder, Scan, Severity, Watcher};
use flow_queue::{Bell, Queue};
use flow_store::{NewDagVersion, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How a publisher works.
#[derive(Debug, Clone)]
pub struct PublisherOptions {
    /// The DAG folder.
    pub folder: PathBuf,
    /// The folder is read again at least this often, should the watch miss something (network file systems do).
    pub rescan_interval: Duration,
    /// Whether new DAGs are paused, where their file does not say.
    pub paused_upon_creation: bool,
}

/// Publishes what changes in the DAG folder. Several may run on copies of the same folder.
pub struct DagPublisher {
    store: Store,
    queue: Queue,
    options: PublisherOptions,
    /// `None` while a scan has it.
    folder: Option<Folder>,
    /// Whether the store's files have been compared with the folder once.
    is_compared: bool,
    /// What could not be written to the store yet.
    unpublished: Vec<CheckedFile>,
    unretired: Vec<String>,
}

/// What one look at the folder led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishReport {
    /// DAGs that were published, with or without a new version.
    pub published: usize,
    /// Files with errors.
    pub broken: usize,
    /// Places at which published files name pools that are not there.
    pub unknown_pools: usize,
    /// DAGs that were retired.
    pub retired: u64,
    /// DAG files in the folder.
    pub total: usize,
}

const FAILURE_PAUSE: Duration = Duration::from_secs(1);

impl DagPublisher {
    /// A publisher of the folder.
    pub fn new(store: Store, queue: Queue, options: PublisherOptions) -> Self {
        let folder = Some(Folder::new(&options.folder));
        DagPublisher {
            store,
            queue,
            options,
            folder,
            is_compared: false,
            unpublished: Vec::new(),
            unretired: Vec::new(),
        }
    }

    /// Publishes now and whenever something changes, until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut watcher = None;
        loop {
            // Subscribed before the look, so that no change falls in between.
            if watcher.is_none() {
                watcher = watch(&self.options.folder);
            }
            let pause = match self.publish_once().await {
                Ok(_) => self.options.rescan_interval,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not publish DAGs; trying again");
                    FAILURE_PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed(&mut watcher) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Looks at the folder once and publishes what has changed.
    ///
    /// # Errors
    /// The store failed: what could not be written is written in the next round.
    pub async fn publish_once(&mut self) -> Result<PublishReport, StoreError> {
        let mut report = PublishReport::default();
        match self.scan().await {
            Ok(scan) => {
                self.compare_with_store(&scan).await?;
                report.total = scan.total;
                // A file that changed again since it could not be published counts once, as it is now.
                let newer: HashSet<&String> = scan.changed.iter().map(|file| &file.path).collect();
                self.unpublished.retain(|file| !newer.contains(&file.path) && !scan.removed.contains(&file.path));
                self.unretired.retain(|path| !newer.contains(path));
                self.unpublished.extend(scan.changed);
                self.unretired.extend(scan.removed);
            }
            Err(error) => {
                // A folder that cannot be read retires nothing: it may be a mount that comes back.
                let folder = self.options.folder.display().to_string();
                tracing::warn!(folder, error = &error as &dyn std::error::Error, "cannot read the DAG folder");
            }
        }
        self.write(&mut report).await?;
        Ok(report)
    }

    async fn scan(&mut self) -> std::io::Result<Scan> {
        let mut folder = self.folder.take().unwrap_or_else(|| Folder::new(&self.options.folder));
        let (folder, scan) = tokio::task::spawn_blocking(move || {
            let scan = folder.scan();
            (folder, scan)
        })
        .await
        .map_err(std::io::Error::other)?;
        self.folder = Some(folder);
        scan
    }

    /// Files that were deleted while nobody watched: the store knows them, the first scan does not.
    async fn compare_with_store(&mut self, scan: &Scan) -> Result<(), StoreError> {
        if self.is_compared {
            return Ok(());
        }
        let present: HashSet<&str> = scan.changed.iter().map(|file| file.path.as_str()).collect();
        let known = self.store.known_files().await?;
        self.unretired.extend(known.into_iter().filter(|path| !present.contains(path.as_str())));
        self.is_compared = true;
        Ok(())
    }

    async fn write(&mut self, report: &mut PublishReport) -> Result<(), StoreError> {
        if self.unpublished.is_empty() && self.unretired.is_empty() {
            return Ok(());
        }
        let now = self.store.now();
        if !self.unretired.is_empty() {
            report.retired = self.store.retire_dags(now, &self.unretired).await?;
            self.unretired.clear();
        }
        let good: Vec<NewDagVersion> = self.unpublished.iter().filter_map(new_version).collect();
        if !good.is_empty() {
            report.published = self.store.publish_dags(now, &good, self.options.paused_upon_creation).await?.len();
            report.unknown_pools = self.warn_of_pools().await?;
            // Broken files are left to be recorded, should the next step fail.
            self.unpublished.retain(|file| file.result.is_err());
        }
        for file in &self.unpublished {
            report.broken += 1;
            let Err(diagnostics) = &file.result else { continue };
            let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
            let (count, first) = (errors.clone().count(), errors.next().map_or("", |error| error.message.as_str()));
            tracing::warn!(file = file.path, errors = count, "broken DAG file: {first}");
            let details = serde_json::to_value(diagnostics).unwrap_or_default();
            let rendered = flow_dagfile::render(file, false);
            let dag_id = Some(file.dag_id.as_str()).filter(|id| !id.is_empty());
            self.store.record_import_error(now, &file.path, dag_id, &rendered, &details).await?;
        }
        self.unpublished.clear();
        if report.published > 0 || report.retired > 0 {
            tracing::info!(
                published = report.published,
                retired = report.retired,
                broken = report.broken,
                "published DAGs"
            );
        }
        for bell in [Bell::Scheduler, Bell::Runs] {
            let _ = self.queue.ring(bell).await;
        }
        Ok(())
    }

    /// Says which pools the files name that are not there: what names them waits.
    async fn warn_of_pools(&mut self) -> Result<usize, StoreError> {
        let pools = self.store.pools_in_use().await?.into_iter().map(|pool| pool.name).collect();
        // What else there is to warn of, the check tells.
        for parsed in self.unpublished.iter_mut().filter_map(|file| file.result.as_mut().ok()) {
            parsed.warnings.clear();
        }
        flow_dagfile::check_pools(&mut self.unpublished, &pools);
        Ok(self.unpublished.iter().filter(|file| file.result.is_ok()).map(tell).sum())
    }
}

/// Logs what was found of pools, and counts it.
fn tell(file: &CheckedFile) -> usize {
    let warnings = file.diagnostics();
    for warning in warnings {
        let hint = warning.hint.as_deref().unwrap_or_default();
        tracing::warn!(file = file.path, line = warning.line, hint, "{}", warning.message);
    }
    warnings.len()
}

fn new_version(file: &CheckedFile) -> Option<NewDagVersion> {
    let parsed = file.result.as_ref().ok()?;
    Some(NewDagVersion {
        dag: Arc::new(parsed.dag.clone()),
        source: file.source.clone(),
        file_path: file.path.clone(),
        files: parsed.files.clone(),
    })
}

fn watch(folder: &std::path::Path) -> Option<Watcher> {
    match Watcher::new(folder) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::debug!(folder = %folder.display(), error = &error as &dyn std::error::Error, "cannot watch the DAG folder; reading it on a timer alone");
            None
        }
    }
}

async fn changed(watcher: &mut Option<Watcher>) {
    match watcher {
        Some(watcher) => watcher.changed().await,
        None => std::future::pending().await,
    }
}
