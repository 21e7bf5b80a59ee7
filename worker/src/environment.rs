//! What tasks' processes see of the worker's environment, and how their programs are found.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flow_store::WorkOrder;

use crate::run_as::RunAs;

/// Where programs are looked for when no `PATH` is set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables that every task inherits from its worker.
#[derive(Debug, Clone)]
pub struct TaskEnvironment {
    base: Vec<(String, String)>,
}

/// Beginnings of the names of variables that may hold secrets of the engine.
const SECRET: [&str; 7] =
    ["FLOW__", "FLOW_CONN_", "FLOW_VAR_", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "DATABASE_URL", "VAULT_TOKEN"];

/// Whether a variable may hold a secret of the engine: its settings, and the variables and connections of DAGs.
pub fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|secret| name.starts_with(secret))
}

/// Whether no task inherits a variable.
fn is_private(name: &str) -> bool {
    name.starts_with("FLOW_") || is_secret(name)
}

impl TaskEnvironment {
    /// This process's environment without the engine's own settings, which hold the database's password, and without the
    /// variables and connections that it may hold: tasks are given what they ask for.
    pub fn inherited() -> Self {
        let base = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !is_private(name))
            .collect();
        TaskEnvironment { base }
    }

    /// The same for processes that run as another user.
    #[must_use]
    pub fn of_user(mut self, user: &RunAs) -> Self {
        self.base.retain(|(name, _)| !matches!(name.as_str(), "HOME" | "USER" | "LOGNAME" | "XDG_RUNTIME_DIR"));
        let own = [("HOME", &user.home), ("USER", &user.name), ("LOGNAME", &user.name)];
        self.base.extend(own.map(|(name, value)| (name.to_owned(), value.clone())));
        self
    }

    /// The variables themselves.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.base
    }

    /// The whole environment of an attempt: what is inherited, what names the attempt (under Airflow's names, too, so
    /// that scripts written for it go on working), and what the task sets.
    pub fn of_attempt(
        &self,
        order: &WorkOrder,
        xcom_file: &Path,
        artifacts: &Path,
        own: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let mut env = self.base.clone();
        env.extend(names_of_attempt(order, &xcom_file.to_string_lossy(), Some(&artifacts.to_string_lossy())));
        env.extend(own);
        env
    }
}

/// What names the attempt, and the places where it leaves named XComs and, if it can, files for people.
pub fn names_of_attempt(order: &WorkOrder, xcom_file: &str, artifacts: Option<&str>) -> Vec<(String, String)> {
    let task = order.task();
    let mut env = Vec::new();
    let mut set = |names: &[&str], value: String| {
        env.extend(names.iter().map(|name| ((*name).to_owned(), value.clone())));
    };
    set(&["FLOW_DAG_ID", "AIRFLOW_CTX_DAG_ID"], order.graph.dag.dag_id.clone());
    set(&["FLOW_TASK_ID", "AIRFLOW_CTX_TASK_ID"], task.task_id.clone());
    set(&["FLOW_RUN_ID", "AIRFLOW_CTX_DAG_RUN_ID"], order.run_id.clone());
    set(&["FLOW_TRY_NUMBER", "AIRFLOW_CTX_TRY_NUMBER"], order.try_number.to_string());
    set(&["AIRFLOW_CTX_DAG_OWNER"], task.owner.clone());
    if let Some(at) = order.logical_date {
        set(&["FLOW_LOGICAL_DATE", "AIRFLOW_CTX_EXECUTION_DATE"], at.to_string());
    }
    set(&["FLOW_XCOM_FILE"], xcom_file.to_owned());
    if let Some(artifacts) = artifacts {
        set(&["FLOW_ARTIFACTS"], artifacts.to_owned());
    }
    env
}

/// What helps where a file of the author's is missing.
pub(crate) const HINT_FILES: &str = "\nhint: name a file of yours in `files`, by its path from the DAG file; of the DAG folder, tasks have what is named only";

/// The absolute path of a program: one with a slash is taken from `cwd`, others are looked up in the `PATH` that the
/// task sees.
///
/// # Errors
/// In words: it does not exist, or cannot be executed.
pub fn find_program(program: &str, cwd: &str, env: &[(String, String)]) -> Result<String, String> {
    if program.is_empty() {
        return Err("the name of the program is empty".to_owned());
    }
    if program.contains('/') {
        let path = Path::new(cwd).join(program);
        return if is_executable(&path) {
            Ok(path.to_string_lossy().into_owned())
        } else if path.exists() {
            Err(format!("`{program}` is not executable\nhint: chmod +x {program}"))
        } else {
            let hint = if program.starts_with('/') { "" } else { HINT_FILES };
            Err(format!("the program `{program}` does not exist on this worker{hint}"))
        };
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value.as_str());
    let found: Option<PathBuf> =
        path.split(':').map(|folder| Path::new(cwd).join(folder).join(program)).find(|path| is_executable(path));
    match found {
        Some(path) => Ok(path.to_string_lossy().into_owned()),
        None => Err(format!(
            "the program `{program}` is not on this worker's PATH ({path})\nhint: install it there, or give its full path"
        )),
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
