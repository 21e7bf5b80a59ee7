//! The files that tries have left, in tables of the run and of the task.

use flow_store::Artifact;

use super::frame::segment;

/// A file in a table.
pub(super) struct ArtifactRow {
    pub(super) task_id: String,
    pub(super) try_number: i64,
    pub(super) name: String,
    pub(super) size: String,
    /// Where it is downloaded.
    pub(super) path: String,
}

/// Rows for the files of a run.
pub(super) fn rows(dag_id: &str, run_id: &str, artifacts: &[Artifact]) -> Vec<ArtifactRow> {
    artifacts
        .iter()
        .map(|artifact| ArtifactRow {
            task_id: artifact.task_id.clone(),
            try_number: artifact.try_number,
            size: size(artifact.size),
            path: format!(
                "/api/flow/dags/{}/dagRuns/{}/taskInstances/{}/artifacts/content?map_index={}&try_number={}&name={}",
                segment(dag_id),
                segment(run_id),
                segment(&artifact.task_id),
                artifact.map_index,
                artifact.try_number,
                // In a query, `+` would be a space.
                segment(&artifact.name).replace('+', "%2B")
            ),
            name: artifact.name.clone(),
        })
        .collect()
}

fn size(bytes: i64) -> String {
    match bytes {
        ..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
