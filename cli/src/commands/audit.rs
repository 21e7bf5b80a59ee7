//! `flowctl audit verify`.

use serde_json::json;

use crate::args::{AuditCommand, Form};
use crate::config::Settings;
use crate::failure::{Exit, usage};
use crate::output;
use crate::output::say;
use crate::roles::open_store;

/// Checks the history in the database.
///
/// # Errors
/// The database cannot be reached.
pub async fn run(settings: &Settings, form: Form, command: AuditCommand) -> anyhow::Result<Exit> {
    let AuditCommand::Verify { since } = command;
    let since = since
        .map(|text| {
            text.parse().map_err(|_| {
                usage(format!("`--since {text}` is not a time")).hint("write it like 2026-01-31T06:00:00Z")
            })
        })
        .transpose()?;
    let store = open_store(settings, "audit").await?;
    crate::roles::require_schema(&store).await?;
    let report = store.audit(since, store.now()).await?;
    if form == Form::Json {
        output::json(&json!({
            "dag_runs": report.runs, "task_instances": report.task_instances, "events": report.events,
            "violations": report.violations,
        }))?;
    } else {
        for violation in &report.violations {
            say!("{} {}: {}", violation.invariant, violation.subject, violation.detail);
        }
        say!(
            "checked {} runs, {} task instances, {} events: {} violations",
            report.runs,
            report.task_instances,
            report.events,
            report.violations.len()
        );
    }
    store.close().await;
    Ok(if report.violations.is_empty() { Exit::Success } else { Exit::Failed })
}
