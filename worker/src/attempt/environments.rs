//! Python environments: the packages that a task needs, built once for all tasks that need the same.
//!
//! An environment is a folder named by the hash of everything that it is made of. Whoever comes first builds it under an
//! exclusive lock, others wait; tasks that run in it hold a shared lock, so that nobody removes it below them. A lock dies
//! with its process, and an environment counts only once its last file is written.

mod build;
mod cleaning;

use std::path::{Path, PathBuf};
use std::time::Duration;

use flow_model::python_version;
use flow_store::WorkOrder;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::folder::AttemptFolder;
use super::{Ended, Ending, StopSignal, Workshop, published, stopped};
use crate::environment::find_program;
use crate::log::AttemptLog;
use crate::operators::PythonProgram;

pub(crate) use cleaning::clean;

/// Where environments are, and how long they are kept.
#[derive(Debug, Clone)]
pub struct EnvironmentOptions {
    /// The folder that holds them; workers of one machine may share it.
    pub folder: PathBuf,
    /// One that nobody has used for so long is removed.
    pub max_age: Duration,
    /// Bytes of all of them together; beyond, those that were not used for the longest time are removed.
    pub bytes_max: u64,
    /// How long building one may take.
    pub build_timeout: Duration,
}

/// Beside an environment that is whole: its size in bytes. What is inside of one belongs to the user that tasks run as.
const WHOLE: &str = "size";
/// Beside one, touched with each use.
const USED: &str = "used";
/// Between two looks at a lock that somebody else holds.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// An environment that stays while this lives.
pub(super) struct Environment {
    folder: PathBuf,
    _lock: std::fs::File,
}

impl Environment {
    /// Its interpreter.
    pub fn interpreter(&self) -> String {
        self.folder.join("bin/python").to_string_lossy().into_owned()
    }
}

/// What an attempt needs for its environment.
pub(super) struct Need<'a> {
    pub workshop: &'a Workshop,
    pub order: &'a WorkOrder,
    /// A folder for the build alone: what runs in it may do with it what it likes.
    pub folder: &'a AttemptFolder,
    pub log: &'a AttemptLog,
    /// The task's own variables: they may say where packages come from.
    pub env: &'a [(String, String)],
}

/// The environment of Python code that has requirements, built if need be. `None`: it has none.
///
/// # Errors
/// How the attempt ends without one.
pub(super) async fn ready(
    need: &Need<'_>,
    python: &PythonProgram,
    stop: &mut StopSignal,
) -> Result<Option<Environment>, Ended> {
    let Some(requirements) = &python.requirements else { return Ok(None) };
    let failed = |why: String| Ended::new(Ending::Failed(why));
    let lost = |what: &str, error: std::io::Error| Ended::new(Ending::Lost(format!("cannot {what}: {error}")));
    let home = published::place(need.workshop, need.order, need.folder).await.map_err(Ended::from)?;
    let env = need.workshop.environment.of_attempt(
        need.order,
        &need.folder.xcom_file(),
        &need.folder.artifacts(),
        need.env.to_vec(),
    );
    let interpreter = find_program(&python.interpreter, &home.to_string_lossy(), &env).map_err(failed)?;
    let recipe = build::Recipe { interpreter, requirements: requirements.clone(), home };
    let root = &need.workshop.environments.folder;
    create_root(root, need.workshop).map_err(|error| lost("create the folder of Python environments", error))?;
    let name = name(need.order, &recipe, python.requires_python.as_deref());
    let environment = acquire(need, &recipe, root.join(&name), stop).await?;
    if let Some(wanted) = &python.requires_python {
        check_version(&environment, wanted).map_err(|why| Ended::new(Ending::FailedForGood(why)))?;
    }
    Ok(Some(environment))
}

/// The folder of all environments; a user that tasks run as may pass through.
fn create_root(root: &Path, workshop: &Workshop) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(root)?;
    if workshop.run_as.is_some() {
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

async fn acquire(
    need: &Need<'_>,
    recipe: &build::Recipe,
    folder: PathBuf,
    stop: &mut StopSignal,
) -> Result<Environment, Ended> {
    let lost = |what: &str, error: std::io::Error| Ended::new(Ending::Lost(format!("cannot {what}: {error}")));
    let say = |text: &str| need.log.system(need.workshop.store.now(), text);
    let lock = lock_file(&folder).map_err(|error| lost("open the lock of a Python environment", error))?;
    let mut has_waited = false;
    loop {
        if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
            if is_whole(&folder) {
                std::fs::write(folder.with_extension(USED), "")
                    .map_err(|error| lost("mark the Python environment", error))?;
                return Ok(Environment { folder, _lock: lock });
            }
            let _ = flock(&lock, FlockOperation::Unlock);
        }
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            if !is_whole(&folder) {
                let built = build::build(need, recipe, &folder, stop.clone()).await;
                if built.is_err() {
                    let _ = std::fs::remove_dir_all(&folder);
                }
                built?;
                clean_beside(need, &folder);
            }
            // Others may come in between: the next round looks again.
            let _ = flock(&lock, FlockOperation::Unlock);
            continue;
        }
        if !has_waited {
            say("waiting for the Python environment, which another task is building");
            has_waited = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LOCK_PAUSE) => {}
            stop = stopped(stop) => return Err(Ended::new(Ending::Stopped(stop))),
        }
    }
}

fn clean_beside(need: &Need<'_>, built: &Path) {
    let (options, now) = (need.workshop.environments.clone(), need.workshop.store.now());
    let built = built.to_owned();
    // Nobody waits for it.
    tokio::task::spawn_blocking(move || clean(&options, now, Some(&built)));
}

fn lock_file(folder: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().create(true).append(true).open(folder.with_extension("lock"))
}

fn is_whole(folder: &Path) -> bool {
    folder.with_extension(WHOLE).exists()
}

/// What an environment is called: a hash of what it is made of.
fn name(order: &WorkOrder, recipe: &build::Recipe, requires_python: Option<&str>) -> String {
    let mut parts = vec![interpreter_identity(&recipe.interpreter), requires_python.unwrap_or_default().to_owned()];
    let files = &order.graph.dag.files;
    match &recipe.requirements {
        flow_model::operator::Requirements::List(list) => parts.extend(list.iter().cloned()),
        flow_model::operator::Requirements::File(path) => {
            parts.push(path.clone());
            parts.extend(published::hash_of(order, path).map(str::to_owned));
        }
    }
    // Requirements may name other files: those that the task brings along.
    parts.extend(
        order
            .task()
            .files
            .iter()
            .filter(|path| is_of_requirements(path))
            .filter_map(|path| files.get(path).map(|hash| format!("{path}={hash}"))),
    );
    flow_model::dag::hex(&Sha256::digest(parts.join("\n")))[..32].to_owned()
}

/// Files that requirements may be made of: other lists, and packages.
fn is_of_requirements(path: &str) -> bool {
    [".txt", ".in", ".whl", ".gz", ".zip", ".toml"].iter().any(|ending| path.ends_with(ending))
}

/// What tells one interpreter from another, and from itself after an upgrade.
fn interpreter_identity(path: &str) -> String {
    use std::os::unix::fs::MetadataExt;
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let stamp = std::fs::metadata(&real).map_or((0, 0), |metadata| (metadata.size(), metadata.mtime()));
    format!("{} {} {}", real.display(), stamp.0, stamp.1)
}

fn check_version(environment: &Environment, wanted: &str) -> Result<(), String> {
    let config = std::fs::read_to_string(environment.folder.join("pyvenv.cfg")).unwrap_or_default();
    let version = config
        .lines()
        .filter_map(|line| line.split_once('='))
        .find_map(|(key, value)| matches!(key.trim(), "version" | "version_info").then(|| value.trim().to_owned()));
    let version = version.ok_or("cannot tell the version of the Python environment")?;
    if python_version::fits(&version, wanted)? {
        return Ok(());
    }
    Err(format!(
        "the task wants Python {wanted}, and the interpreter of this worker is {version}\nhint: name another `interpreter`, or a queue whose workers have one"
    ))
}
