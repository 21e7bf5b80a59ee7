//! Attempts of `kubernetes_pod`: a pod is created, followed to its end or brought to it, and deleted.

use std::time::Duration;

use flow_model::Timestamp;
use flow_model::limits::XCOM_BYTES_MAX;
use flow_model::log::Stream;
use flow_model::operator::kubernetes_pod::OnFinish;
use flow_model::time::duration_text;
use flow_store::WorkOrder;
use serde_json::Value;
use tokio::sync::watch;

use super::drain::Heard;
use super::folder::AttemptFolder;
use super::process::{self, DRAIN_TIMEOUT, Listener};
use super::script::Output;
use super::{Ended, Ending, Stop, StopSignal, Workshop, stopped, timed_out, timeout_reason};
use crate::environment::names_of_attempt;
use crate::kubernetes::{Access, CONTAINER, Cluster, ClusterError, Identity, Seen, XCOM_FILE, manifest, see};
use crate::log::{AttemptLog, LineSplitter};
use crate::operators::{KubernetesWork, chain};

/// Between two tries to reach the API.
const PAUSE: Duration = Duration::from_secs(1);
/// Tries in a row until the API counts as gone.
const TRIES_MAX: u32 = 30;
/// How long a pod that is left over may take to go, beyond the time between TERM and KILL.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// A change of a pod has at most so many bytes; etcd keeps no larger objects.
const CHANGE_BYTES_MAX: usize = 4 << 20;
/// Bytes of one line of the container's output, with its time: what is more is larger than an XCom may be, too.
const LINE_BYTES_MAX: usize = XCOM_BYTES_MAX + 1024;

/// What the parts of an attempt share.
struct Attempt<'a> {
    workshop: &'a Workshop,
    order: &'a WorkOrder,
    work: &'a KubernetesWork,
    log: &'a AttemptLog,
    cluster: Cluster,
    identity: Identity,
}

/// How a pod came to its end.
enum End {
    ByItself { exit_code: i32, reason: String, message: String },
    Failed(Ending),
    Stopped(Stop),
    TimedOut,
}

pub(super) async fn run(
    workshop: &Workshop,
    order: &WorkOrder,
    work: KubernetesWork,
    log: &AttemptLog,
    mut stop: StopSignal,
) -> Ended {
    let folder = match process::folder(workshop, order) {
        Ok(folder) => folder,
        Err(ending) => return Ended::new(ending),
    };
    let cluster = match connect(&work) {
        Ok(cluster) => cluster,
        Err(why) => return Ended::new(Ending::Failed(why)),
    };
    let attempt = Attempt { workshop, order, work: &work, log, cluster, identity: Identity::of(order) };
    let output = Output::new(workshop, order, log);
    let end = attempt.bring_to_an_end(&output, &mut stop).await;
    let is_stopped = !matches!(end, End::ByItself { .. });
    let ended = match end {
        End::ByItself { exit_code, reason, message } => attempt.conclude(output, &folder, exit_code, &reason, &message),
        End::Failed(ending) => Ended::new(ending),
        End::Stopped(stop) => Ended::new(Ending::Stopped(stop)),
        End::TimedOut => Ended::new(Ending::Failed(timeout_reason(order.task().execution_timeout))),
    };
    let stays = match work.asked.on_finish {
        OnFinish::DeletePod => false,
        OnFinish::DeleteSucceededPod => !matches!(ended.kind, Ending::Success | Ending::Skipped(_)),
        OnFinish::KeepPod => true,
    };
    if is_stopped || !stays {
        attempt.delete().await;
    } else {
        attempt.say(&format!("the pod `{}` stays", attempt.identity.name));
    }
    ended
}

fn connect(work: &KubernetesWork) -> Result<Cluster, String> {
    let access = Access::find(work.asked.config_file.as_deref(), work.asked.cluster_context.as_deref())?;
    let namespace = work.asked.namespace.clone().or_else(|| access.namespace.clone());
    Cluster::new(access, namespace.as_deref().unwrap_or("default"))
}

impl Attempt<'_> {
    fn say(&self, text: &str) {
        self.log.system(self.workshop.store.now(), text);
    }

    async fn bring_to_an_end(&self, output: &Output<'_>, stop: &mut StopSignal) -> End {
        let timeout = timed_out(self.order.task().execution_timeout);
        tokio::pin!(timeout);
        tokio::select! {
            created = self.create() => if let Err(ending) = created { return End::Failed(ending) },
            stop = stopped(stop) => return End::Stopped(stop),
            () = &mut timeout => return End::TimedOut,
        }
        let following = self.follow(output);
        tokio::pin!(following);
        let end = tokio::select! {
            end = &mut following => return end,
            stop = stopped(stop) => End::Stopped(stop),
            () = &mut timeout => End::TimedOut,
        };
        self.delete().await;
        // What it says while it stops belongs to the log.
        let _ = tokio::time::timeout(self.workshop.kill_grace + DRAIN_TIMEOUT, following).await;
        end
    }

    async fn create(&self) -> Result<(), Ending> {
        let name = &self.identity.name;
        self.remove_leftovers().await.map_err(|error| refused("look for pods that are left over", &error))?;
        let manifest = manifest(self.work, &self.identity, names_of_attempt(self.order, XCOM_FILE, None));
        self.cluster.create(&manifest).await.map_err(|error| refused(&format!("create the pod `{name}`"), &error))?;
        self.say(&format!("created the pod `{name}` of `{}`", self.work.asked.image));
        Ok(())
    }

    /// What an attempt that nobody carries any more may have left. A pod that has ended in an earlier try stays if the task
    /// wants it so.
    async fn remove_leftovers(&self) -> Result<(), ClusterError> {
        for pod in self.cluster.list(&self.identity.selector()).await? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let may_stay = self.work.asked.on_finish != OnFinish::DeletePod
                && matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            let is_this_try = pod["metadata"]["labels"]["flow/try-number"] == self.identity.try_number.as_str();
            if name.is_empty() || (may_stay && !is_this_try) {
                continue;
            }
            self.say(&format!("deleting the pod `{name}`, which an earlier attempt has left"));
            self.cluster.delete(name, self.workshop.kill_grace).await?;
            let gone = async {
                while self.cluster.pod(name).await?.is_some() {
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(())
            };
            let limit = self.workshop.kill_grace + REMOVAL_TIMEOUT;
            tokio::time::timeout(limit, gone).await.unwrap_or_else(|_| {
                Err(ClusterError::Broken(format!(
                    "the pod `{name}`, which an earlier attempt has left, does not go away"
                )))
            })?;
        }
        Ok(())
    }

    /// Watches the pod and keeps what it writes until it has ended.
    async fn follow(&self, output: &Output<'_>) -> End {
        let (runs, is_running) = watch::channel(false);
        let (over, is_over) = watch::channel(false);
        let heard = Heard::default();
        let reading = self.read(output, is_running, is_over, &heard);
        let watching = async {
            let end = self.watch(&runs).await;
            // One that was never seen running has written something all the same.
            if matches!(end, End::ByItself { .. }) {
                runs.send_replace(true);
            }
            over.send_replace(true);
            end
        };
        tokio::pin!(reading, watching);
        let mut is_read = false;
        let end = loop {
            tokio::select! {
                end = &mut watching => break end,
                () = &mut reading, if !is_read => is_read = true,
            }
        };
        let has_log = *runs.borrow();
        if has_log && !is_read && heard.to_the_end(reading).await.is_none() {
            self.say("the end of the pod's log could not be read");
        }
        end
    }

    /// Looks at the pod until it has ended. Told once that it runs.
    async fn watch(&self, runs: &watch::Sender<bool>) -> End {
        let mut startup = Box::pin(tokio::time::sleep(self.work.asked.startup_timeout));
        let mut last_wait = String::new();
        let mut failures = 0;
        loop {
            let looking = self.next_change(&mut last_wait, runs);
            let looked = tokio::select! {
                looked = looking => looked,
                () = &mut startup, if !*runs.borrow() => return End::Failed(self.not_started(&last_wait)),
            };
            match looked {
                Ok(Some(end)) => return end,
                Ok(None) => failures = 0,
                Err(error @ ClusterError::Refused { .. }) if error.status() != Some(410) => {
                    return End::Failed(refused("watch the pod", &error));
                }
                Err(error) => {
                    failures += 1;
                    if failures >= TRIES_MAX {
                        return End::Failed(Ending::Lost(format!("could not watch the pod: {error}")));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One look at the pod, and then at its changes until the server ends the watch.
    async fn next_change(
        &self,
        last_wait: &mut String,
        runs: &watch::Sender<bool>,
    ) -> Result<Option<End>, ClusterError> {
        let name = &self.identity.name;
        let Some(pod) = self.cluster.pod(name).await? else { return Ok(Some(gone(name))) };
        if let Some(end) = self.judge(&pod, last_wait, runs) {
            return Ok(Some(end));
        }
        let version = pod["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let mut answer = self.cluster.watch(name, &version).await?;
        let mut lines = LineSplitter::with_limit(CHANGE_BYTES_MAX);
        while let Some(bytes) = answer.chunk().await.map_err(|error| ClusterError::Broken(chain(&error)))? {
            let mut changes = Vec::new();
            lines.push(&bytes, |line, _| changes.extend(serde_json::from_str::<Value>(line)));
            for change in changes {
                match change["type"].as_str() {
                    Some("DELETED") => return Ok(Some(gone(name))),
                    // The version is too old, for instance: the next look begins anew.
                    Some("ERROR") => return Ok(None),
                    _ => {
                        if let Some(end) = self.judge(&change["object"], last_wait, runs) {
                            return Ok(Some(end));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    fn judge(&self, pod: &Value, last_wait: &mut String, runs: &watch::Sender<bool>) -> Option<End> {
        match see(pod) {
            Seen::Waiting { for_what, is_hopeless } => {
                if *last_wait != for_what {
                    self.say(&format!("waiting for the pod: {for_what}"));
                    *last_wait = for_what;
                }
                is_hopeless.then(|| {
                    let name = &self.identity.name;
                    End::Failed(Ending::Failed(format!("the pod `{name}` cannot start: {last_wait}\nhint: `kubectl describe pod` says more, if on_finish = \"keep_pod\"")))
                })
            }
            Seen::Running => {
                if !runs.send_replace(true) {
                    self.say("the pod runs");
                }
                None
            }
            Seen::Ended { exit_code, reason, message } => Some(End::ByItself { exit_code, reason, message }),
            Seen::Lost(why) => Some(End::Failed(Ending::Lost(format!("the cluster took the pod away: {why}")))),
        }
    }

    fn not_started(&self, last_wait: &str) -> Ending {
        let limit = duration_text::format(self.work.asked.startup_timeout);
        let hint = match last_wait {
            wait if wait.contains("ImagePull") => {
                "is the name of the image right, and may the cluster pull it (imagePullSecrets)?"
            }
            wait if wait.contains("Unschedulable") => {
                "ask for less with `resources`, look at `node_selector` and `tolerations`, or raise `startup_timeout`"
            }
            _ => "raise `startup_timeout` if the cluster needs longer",
        };
        Ending::Failed(format!("the pod did not start within {limit}: {last_wait}\nhint: {hint}"))
    }

    /// Reads the log from the start of the container on; should the connection break, from where it was.
    async fn read(
        &self,
        output: &Output<'_>,
        mut is_running: watch::Receiver<bool>,
        mut is_over: watch::Receiver<bool>,
        heard: &Heard,
    ) {
        if is_running.wait_for(|runs| *runs).await.is_err() {
            return;
        }
        let (mut last, mut failures): (Option<Timestamp>, u32) = (None, 0);
        while failures < TRIES_MAX {
            let (was_over, before) = (*is_over.borrow(), last);
            let done = self.read_on(output, &mut last, heard).await;
            if was_over {
                if let Err(error) = done {
                    self.say(&format!("the end of the pod's log could not be read: {error}"));
                }
                return;
            }
            failures = if done.is_ok() || last != before { 0 } else { failures + 1 };
            // Once it is over, one more look finds the rest.
            let _ = tokio::time::timeout(PAUSE, is_over.wait_for(|over| *over)).await;
        }
    }

    async fn read_on(
        &self,
        output: &Output<'_>,
        last: &mut Option<Timestamp>,
        heard: &Heard,
    ) -> Result<(), ClusterError> {
        let since = last.map(|at| at.to_string());
        let mut answer = self.cluster.log(&self.identity.name, CONTAINER, since.as_deref()).await?;
        let known = *last;
        let mut splitter = LineSplitter::with_limit(LINE_BYTES_MAX);
        let mut keep = |line: &str, cut: u64| {
            let (at, text) = match line.split_once(' ').map(|(at, text)| (at.parse::<Timestamp>(), text)) {
                Some((Ok(at), text)) => (Some(at), text),
                _ => (None, line),
            };
            // What comes again has been kept.
            if known.is_some() && at <= known {
                return;
            }
            *last = at.or(*last);
            output.bytes(text.as_bytes());
            output.bytes(b"\n");
            output.line(Stream::Stdout, text, cut);
        };
        while let Some(bytes) = answer.chunk().await.map_err(|error| ClusterError::Broken(chain(&error)))? {
            splitter.push(&bytes, &mut keep);
            heard.again();
        }
        splitter.finish(&mut keep);
        Ok(())
    }

    fn conclude(&self, output: Output<'_>, folder: &AttemptFolder, code: i32, reason: &str, message: &str) -> Ended {
        if let Err(error) = std::fs::write(folder.xcom_file(), message) {
            return Ended::new(Ending::Lost(format!("cannot keep what the pod has left: {error}")));
        }
        let told = match (reason, code) {
            ("OOMKilled", code) => {
                let limit = self.work.asked.resources.limits.get("memory");
                let limit = limit.map_or_else(|| "what there is".to_owned(), |limit| format!("its limit of {limit}"));
                format!(
                    "out of memory (exit code {code}): it needed more than {limit}\nhint: raise `memory` in `resources.limits`"
                )
            }
            ("" | "Error" | "Completed", code) => format!("exit code {code}"),
            (reason, code) => format!("exit code {code} ({reason})"),
        };
        output.conclude(Some(code), told, &self.work.asked.skip_on_exit_code, folder)
    }

    async fn delete(&self) {
        let name = &self.identity.name;
        if let Err(error) = self.cluster.delete(name, self.workshop.kill_grace).await {
            self.say(&format!("could not delete the pod `{name}`: {error}"));
        }
    }
}

fn gone(name: &str) -> End {
    End::Failed(Ending::Lost(format!("the pod `{name}` is gone: somebody deleted it, or its node died")))
}

/// What an error means that the task did not make.
fn refused(what: &str, error: &ClusterError) -> Ending {
    match error {
        ClusterError::Broken(_) => {
            Ending::Failed(format!("could not {what}: {error}\nhint: can the worker reach the cluster?"))
        }
        ClusterError::Refused { status, .. } => {
            let hint = match status {
                401 => "\nhint: is the token or certificate of the kubeconfig still valid?",
                403 => {
                    "\nhint: the login needs rights on `pods` and `pods/log` in that namespace; docs/kubernetes.md lists them"
                }
                404 => "\nhint: is there that namespace? `kubectl get namespaces` lists them",
                _ => "",
            };
            Ending::Failed(format!("could not {what}: {error}{hint}"))
        }
    }
}

#[cfg(test)]
mod tests;
