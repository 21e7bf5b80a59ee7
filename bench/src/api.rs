//! The REST API as the workloads need it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// How often the end of a run is looked for: seldom enough not to disturb what is measured.
const POLL: Duration = Duration::from_millis(20);
/// Task instances that are asked for at once.
const PAGE: usize = 1_000;

/// A client of one installation.
pub(crate) struct Api {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// A finished task instance; instants are microseconds since 1970.
pub(crate) struct FinishedTask {
    pub(crate) task_id: String,
    pub(crate) queued: i64,
    pub(crate) started: i64,
    pub(crate) ended: i64,
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> Result<Self> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        Ok(Api { client, url: url.to_owned(), token: token.to_owned() })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.request(Method::GET, path, None).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::PATCH, path, Some(body)).await
    }

    /// Asks for a page or an answer of the API, and reads it to its end.
    pub(crate) async fn page(&self, path: &str) -> Result<String> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.send().await.with_context(|| format!("GET {path} failed"))?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "GET {path} was answered {status}: {text}");
        Ok(text)
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path} failed"))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method} {path} was answered {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} was not answered with JSON"))
    }

    /// DAGs that are visible.
    pub(crate) async fn dag_count(&self) -> Result<u64> {
        self.get("/api/v2/dags?limit=1").await?["total_entries"].as_u64().context("no total_entries")
    }

    /// Waits until so many DAGs are visible; fails when files cannot be read.
    pub(crate) async fn dags_visible(&self, count: usize) -> Result<()> {
        let count = u64::try_from(count)?;
        let mut tries = 0_u32;
        while self.dag_count().await? < count {
            tries += 1;
            if tries.is_multiple_of(200) {
                let errors = self.get("/api/v2/importErrors?limit=1").await?;
                ensure!(errors["total_entries"] == 0, "DAG files cannot be read: {errors}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Starts a run and returns its id.
    pub(crate) async fn trigger(&self, dag_id: &str) -> Result<String> {
        let run = self.request(Method::POST, &format!("/api/v2/dags/{dag_id}/dagRuns"), Some(&json!({}))).await?;
        Ok(run["dag_run_id"].as_str().context("no dag_run_id")?.to_owned())
    }

    /// The id of the newest run.
    pub(crate) async fn newest_run(&self, dag_id: &str) -> Result<String> {
        let runs = self.get(&format!("/api/v2/dags/{dag_id}/dagRuns?limit=1&order_by=-id")).await?;
        Ok(runs["dag_runs"][0]["dag_run_id"].as_str().context("there is no run")?.to_owned())
    }

    /// Waits for a run's end and returns when it was, in microseconds since 1970; fails unless it succeeded.
    pub(crate) async fn wait(&self, dag_id: &str, run_id: &str) -> Result<i64> {
        let path = run_path(dag_id, run_id);
        loop {
            let run = self.get(&path).await?;
            match run["state"].as_str() {
                Some("success") => return instant(&run, "end_date"),
                Some("failed") => bail!("run {run_id} of {dag_id} failed: {}", run["reason"]),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The tasks of a run that has ended.
    pub(crate) async fn tasks(&self, dag_id: &str, run_id: &str) -> Result<Vec<FinishedTask>> {
        let run = run_path(dag_id, run_id);
        let mut tasks = Vec::new();
        loop {
            let path = format!("{run}/taskInstances?limit={PAGE}&offset={}", tasks.len());
            let answer = self.get(&path).await?;
            let page = answer["task_instances"].as_array().context("no task_instances")?;
            for task in page {
                tasks.push(FinishedTask {
                    task_id: task["task_id"].as_str().context("no task_id")?.to_owned(),
                    queued: instant(task, "queued_when").or_else(|_| instant(task, "start_date"))?,
                    started: instant(task, "start_date")?,
                    ended: instant(task, "end_date")?,
                });
            }
            if page.is_empty() || Some(u64::try_from(tasks.len())?) >= answer["total_entries"].as_u64() {
                return Ok(tasks);
            }
        }
    }

    /// The last line that a task printed.
    pub(crate) async fn return_value(&self, dag_id: &str, run_id: &str, task_id: &str) -> Result<Value> {
        let run = run_path(dag_id, run_id);
        let path = format!("{run}/taskInstances/{task_id}/xcomEntries/return_value");
        Ok(self.get(&path).await?["value"].take())
    }
}

fn run_path(dag_id: &str, run_id: &str) -> String {
    format!("/api/v2/dags/{dag_id}/dagRuns/{}", encoded(run_id))
}

/// A run id as part of a path: only `+` in it means something else.
pub(crate) fn encoded(run_id: &str) -> String {
    run_id.replace('+', "%2B")
}

fn instant(body: &Value, field: &str) -> Result<i64> {
    let text = body[field].as_str().with_context(|| format!("`{field}` is missing in {body}"))?;
    let instant: jiff::Timestamp = text.parse().with_context(|| format!("`{field}` is no instant"))?;
    Ok(instant.as_microsecond())
}

/// This machine's clock, which the servers read too: microseconds since 1970.
pub(crate) fn clock() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "what a client sees is measured from outside, without a store")]
    jiff::Timestamp::now().as_microsecond()
}
