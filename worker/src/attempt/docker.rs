//! Attempts of `docker`: a container is created, followed to its end or brought to it, and removed.

use std::path::Path;
use std::time::Duration;

use flow_model::limits::XCOM_FILE_BYTES_MAX;
use flow_model::log::Stream;
use flow_model::operator::docker::{AutoRemove, PullPolicy};
use flow_store::WorkOrder;
use tokio::io::AsyncWriteExt;

use super::drain::Heard;
use super::folder::AttemptFolder;
use super::process::{self, DRAIN_TIMEOUT, Listener};
use super::script::Output;
use super::{Ended, Ending, Stop, StopSignal, Workshop, stopped, timed_out, timeout_reason};
use crate::docker::{
    ARTIFACTS, ContainerEnd, Engine, EngineError, FrameSplitter, Frames, Identity, PullProgress, Reference, XCOM_FILE,
    advice, body, folder_to_put, unpack, unpack_file,
};
use crate::environment::names_of_attempt;
use crate::log::{AttemptLog, LineSplitter};
use crate::operators::{DockerWork, chain};
use crate::output::xcom_file_too_large;

/// Between two lines about a pull.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// What an archive has besides the content of its files.
const ARCHIVE_OVERHEAD_BYTES: u64 = 1 << 20;

/// What the parts of an attempt share.
struct Attempt<'a> {
    workshop: &'a Workshop,
    order: &'a WorkOrder,
    work: &'a DockerWork,
    log: &'a AttemptLog,
    engine: Engine,
    identity: Identity,
}

/// How a container came to its end.
enum End {
    ByItself(ContainerEnd),
    Failed(Ending),
    Stopped(Stop),
    TimedOut,
}

pub(super) async fn run(
    workshop: &Workshop,
    order: &WorkOrder,
    work: DockerWork,
    log: &AttemptLog,
    mut stop: StopSignal,
) -> Ended {
    let folder = match process::folder(workshop, order) {
        Ok(folder) => folder,
        Err(ending) => return Ended::new(ending),
    };
    let engine = match Engine::connect(work.asked.socket.as_deref()).await {
        Ok(engine) => engine,
        Err(error) => return Ended::new(Ending::Failed(error.to_string())),
    };
    let attempt = Attempt { workshop, order, work: &work, log, engine, identity: Identity::of(order) };
    let output = Output::new(workshop, order, log);
    let end = attempt.bring_to_an_end(&output, &mut stop).await;
    let is_stopped = !matches!(end, End::ByItself(_));
    let ended = match end {
        End::ByItself(end) => match attempt.fetch(&folder).await {
            Ok(()) => {
                let skip_on_exit_code = &work.asked.skip_on_exit_code;
                output.conclude(Some(end.exit_code), attempt.told(&end), skip_on_exit_code, &folder)
            }
            Err(ending) => Ended::new(ending),
        },
        End::Failed(ending) => Ended::new(ending),
        End::Stopped(stop) => Ended::new(Ending::Stopped(stop)),
        End::TimedOut => Ended::new(Ending::Failed(timeout_reason(order.task().execution_timeout))),
    };
    let stays = match work.asked.auto_remove {
        AutoRemove::Force => false,
        AutoRemove::Success => !matches!(ended.kind, Ending::Success | Ending::Skipped(_)),
        AutoRemove::Never => true,
    };
    if is_stopped || !stays {
        attempt.remove(&attempt.identity.name).await;
    } else {
        attempt.say(&format!("the container `{}` stays", attempt.identity.name));
    }
    process::keep_artifacts(workshop, order, &folder, log, &mut stop, ended).await
}

impl Attempt<'_> {
    fn say(&self, text: &str) {
        self.log.system(self.workshop.store.now(), text);
    }

    /// From what earlier attempts have left to the end of the container, and of its output.
    async fn bring_to_an_end(&self, output: &Output<'_>, stop: &mut StopSignal) -> End {
        let timeout = timed_out(self.order.task().execution_timeout);
        tokio::pin!(timeout);
        tokio::select! {
            prepared = self.prepare() => if let Err(ending) = prepared { return End::Failed(ending) },
            stop = stopped(stop) => return End::Stopped(stop),
            () = &mut timeout => return End::TimedOut,
        }
        // Not dropped half-way: a container that is started by a request without a listener would run unseen.
        if let Err(ending) = self.start().await {
            return End::Failed(ending);
        }
        let following = self.follow(output);
        tokio::pin!(following);
        let end = tokio::select! {
            end = &mut following => return end,
            stop = stopped(stop) => End::Stopped(stop),
            () = &mut timeout => End::TimedOut,
        };
        let grace = self.workshop.kill_grace;
        let (told, _) = tokio::join!(
            self.engine.stop(&self.identity.name, grace),
            // What it says while it stops belongs to the log.
            tokio::time::timeout(grace + DRAIN_TIMEOUT, following),
        );
        if let Err(error) = told {
            self.say(&format!("could not stop the container `{}`: {error}", self.identity.name));
        }
        end
    }

    /// Removes what is in the way, and has the image there and the container created.
    async fn prepare(&self) -> Result<(), Ending> {
        self.remove_leftovers().await.map_err(|error| self.refused("remove what earlier attempts have left", error))?;
        if self.work.asked.pull == PullPolicy::Always {
            self.pull().await?;
        }
        let created = match self.create().await {
            Err(error) if error.is_missing_image() && self.work.asked.pull == PullPolicy::Missing => {
                self.pull().await?;
                self.create().await
            }
            created => created,
        };
        let image = &self.work.asked.image;
        let warnings = created.map_err(|error| {
            if error.is_missing_image() && self.work.asked.pull == PullPolicy::Never {
                return Ending::Failed(format!(
                    "the Docker daemon does not have the image `{image}`: {error}\nhint: pull it on the worker's machine, or let the task do so with pull = \"missing\""
                ));
            }
            self.refused(&format!("create a container of `{image}`"), error)
        })?;
        for warning in warnings {
            self.say(&format!("Docker warns: {warning}"));
        }
        Ok(())
    }

    async fn create(&self) -> Result<Vec<String>, EngineError> {
        let env = names_of_attempt(self.order, XCOM_FILE, Some(ARTIFACTS));
        let body = body(self.work, &self.identity, env);
        self.engine.create(&self.identity.name, self.work.asked.platform.as_deref(), &body).await
    }

    async fn start(&self) -> Result<(), Ending> {
        let name = &self.identity.name;
        let refused = |error| self.refused(&format!("start the container of `{}`", self.work.asked.image), error);
        let folder = folder_to_put()
            .map_err(|error| Ending::Lost(format!("cannot make the folder for the container: {error}")))?;
        self.engine.put(name, folder).await.map_err(refused)?;
        self.engine.start(name).await.map_err(refused)?;
        self.say(&format!("started the container `{name}` of `{}`", self.work.asked.image));
        Ok(())
    }

    /// What an attempt that nobody carries any more may have left: containers that run or have been created, and all of this
    /// very try, which is being run again. One that has ended in an earlier try stays if the task wants it so.
    async fn remove_leftovers(&self) -> Result<(), EngineError> {
        let this_try = self.identity.try_number.to_string();
        for container in self.engine.list(&self.identity.filters()).await? {
            let may_stay = self.work.asked.auto_remove != AutoRemove::Force
                && matches!(container.state.as_str(), "exited" | "dead");
            if !may_stay || container.labels.get("flow.try_number") == Some(&this_try) {
                self.say(&format!("removing the container {:.12}, which an earlier attempt has left", container.id));
                self.engine.remove(&container.id).await?;
            }
        }
        Ok(())
    }

    async fn pull(&self) -> Result<(), Ending> {
        let image = self.work.asked.image.as_str();
        let registry = match &self.work.asked.docker_conn_id {
            None => None,
            Some(conn_id) => {
                let found = self.workshop.secrets.connection(conn_id).await;
                Some(found.map_err(|error| Ending::Failed(format!("cannot log in to the registry: {error}")))?)
            }
        };
        if let Some(registry) = &registry {
            self.log.masker().learn_connection(registry);
        }
        self.say(&format!("pulling `{image}`"));
        let (reference, platform) = (Reference::parse(image), self.work.asked.platform.as_deref());
        let pulling = self.engine.pull(&reference, platform, registry.as_ref()).await;
        let failed = |why: &str| {
            let hint = if registry.is_some() {
                "is the name right, and may the connection's login read it?"
            } else {
                "is the name right? An image that is not public needs `docker_conn_id`, a connection with login and password"
            };
            let hint = advice(why).unwrap_or(hint);
            Ending::Failed(format!("could not pull `{image}`: {why}\nhint: {hint}"))
        };
        let mut answer = match pulling {
            Ok(answer) => answer,
            Err(EngineError::Refused { message, .. }) => return Err(failed(&message)),
            Err(error) => return Err(self.refused("pull", error)),
        };
        let mut progress = PullProgress::default();
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        ticks.reset();
        loop {
            tokio::select! {
                chunk = answer.chunk() => match chunk {
                    Ok(Some(bytes)) => progress.push(&bytes),
                    Ok(None) => break,
                    Err(error) => return Err(self.refused("pull", EngineError::Broken(chain(&error)))),
                },
                _ = ticks.tick() => progress.summary().into_iter().for_each(|summary| self.say(&summary)),
            }
        }
        if let Some(summary) = progress.summary() {
            self.say(&summary);
        }
        let last = progress.finish().map_err(|why| failed(&why))?;
        self.say(last.strip_prefix("Status: ").unwrap_or(&last));
        Ok(())
    }

    /// Keeps what the container writes until it has ended.
    async fn follow(&self, output: &Output<'_>) -> End {
        let name = &self.identity.name;
        let heard = Heard::default();
        let reading = async {
            let mut answer = self.engine.logs(name).await?;
            let (mut frames, mut lines) = (FrameSplitter::default(), Lines::new(output));
            while let Some(bytes) = answer.chunk().await.map_err(|error| EngineError::Broken(chain(&error)))? {
                frames.push(&bytes, &mut lines).map_err(EngineError::Broken)?;
                heard.again();
            }
            lines.finish();
            if frames.is_between_frames() {
                Ok(())
            } else {
                Err(EngineError::Broken("the output ended in the middle".to_owned()))
            }
        };
        let waiting = self.engine.wait(name);
        tokio::pin!(reading, waiting);
        let (mut read, waited) = tokio::select! {
            waited = &mut waiting => (None, waited),
            read = &mut reading => (Some(read), waiting.await),
        };
        if read.is_none() && waited.is_ok() {
            // The daemon hands out the rest, which may be long.
            read = heard.to_the_end(reading).await;
            if read.is_none() {
                self.say("the Docker daemon does not hand out the end of the container's output: it may be incomplete");
            }
        }
        let end = match waited {
            Ok(()) => self.engine.end_of(name).await,
            Err(error) => Err(error),
        };
        match (end, read) {
            (Ok(_), Some(Err(error))) => {
                End::Failed(Ending::Lost(format!("could not read the container's output: {error}")))
            }
            (Ok(end), _) => End::ByItself(end),
            (Err(error), _) => End::Failed(self.refused("wait for the container", error)),
        }
    }

    /// Gets the named XComs and the files for people into the attempt's folder.
    async fn fetch(&self, folder: &AttemptFolder) -> Result<(), Ending> {
        let lost = |why: &dyn std::fmt::Display| {
            Ending::Lost(format!("could not fetch what the container `{}` has left: {why}", self.identity.name))
        };
        let archive = folder.path().join(".archive.tar");
        let (xcoms, artifacts) = (folder.xcom_file(), folder.artifacts());
        match self.download(XCOM_FILE, XCOM_FILE_BYTES_MAX, &archive).await.map_err(|error| lost(&error))? {
            Download::Nothing => {}
            Download::TooLarge => return Err(Ending::Failed(xcom_file_too_large())),
            Download::Done => {
                unpacked(&archive, move |file| unpack_file(file, &xcoms)).await.map_err(|error| lost(&error))?;
            }
        }
        let bytes_max = self.workshop.artifact_limits.total_bytes;
        match self.download(ARTIFACTS, bytes_max, &archive).await.map_err(|error| lost(&error))? {
            Download::Nothing => {}
            Download::TooLarge => {
                self.say(&format!("artifacts not kept: all together they are larger than {} MiB", bytes_max >> 20));
            }
            Download::Done => {
                unpacked(&archive, move |file| unpack(file, &artifacts)).await.map_err(|error| lost(&error))?;
            }
        }
        Ok(())
    }

    async fn download(&self, path: &str, bytes_max: u64, to: &Path) -> Result<Download, EngineError> {
        let broken = |error: &dyn std::error::Error| EngineError::Broken(chain(error));
        let Some(mut answer) = self.engine.get(&self.identity.name, path).await? else { return Ok(Download::Nothing) };
        let mut file = tokio::fs::File::create(to).await.map_err(|error| broken(&error))?;
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await.map_err(|error| broken(&error))? {
            bytes += chunk.len() as u64;
            if bytes > bytes_max + ARCHIVE_OVERHEAD_BYTES {
                return Ok(Download::TooLarge);
            }
            file.write_all(&chunk).await.map_err(|error| broken(&error))?;
        }
        file.flush().await.map_err(|error| broken(&error))?;
        Ok(Download::Done)
    }

    fn told(&self, end: &ContainerEnd) -> String {
        let code = end.exit_code;
        if end.is_out_of_memory && code != 0 {
            let limit = self.work.asked.limits.memory.as_deref();
            let limit = limit.map_or_else(|| "what there is".to_owned(), |limit| format!("its limit of {limit}"));
            return format!(
                "out of memory (exit code {code}): it needed more than {limit}\nhint: raise `limits.memory`"
            );
        }
        match (end.error.as_str(), code) {
            ("", 137) => "exit code 137: killed by signal 9 (KILL)".to_owned(),
            ("", code) => format!("exit code {code}"),
            (error, code) => format!("exit code {code}: {error}"),
        }
    }

    /// What an error means that the task did not make.
    fn refused(&self, what: &str, error: EngineError) -> Ending {
        match error {
            EngineError::Broken(_) => Ending::Lost(format!("could not {what}: {error}")),
            EngineError::Away(_) => Ending::Failed(format!("could not {what}: {error}")),
            EngineError::Refused { ref message, .. } => {
                let hint = advice(message).map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                Ending::Failed(format!("could not {what}: {error}{hint}"))
            }
        }
    }

    async fn remove(&self, name: &str) {
        if let Err(error) = self.engine.remove(name).await {
            self.say(&format!("could not remove the container `{name}`: {error}"));
        }
    }
}

/// What came of a download.
enum Download {
    Nothing,
    TooLarge,
    Done,
}

/// Reads an archive where waiting for the disk holds nobody up.
async fn unpacked(
    archive: &Path,
    unpack: impl FnOnce(std::fs::File) -> std::io::Result<()> + Send + 'static,
) -> std::io::Result<()> {
    let archive = archive.to_owned();
    tokio::task::spawn_blocking(move || unpack(std::fs::File::open(archive)?)).await?
}

/// Cuts the container's output into lines.
struct Lines<'a, 'b> {
    output: &'a Output<'b>,
    stdout: LineSplitter,
    stderr: LineSplitter,
}

impl<'a, 'b> Lines<'a, 'b> {
    fn new(output: &'a Output<'b>) -> Self {
        Lines { output, stdout: LineSplitter::default(), stderr: LineSplitter::default() }
    }

    /// Lines without an end.
    fn finish(&mut self) {
        self.stdout.finish(|text, cut| self.output.line(Stream::Stdout, text, cut));
        self.stderr.finish(|text, cut| self.output.line(Stream::Stderr, text, cut));
    }
}

impl Frames for Lines<'_, '_> {
    fn content(&mut self, stream: Stream, bytes: &[u8]) {
        let output = self.output;
        if stream == Stream::Stdout {
            output.bytes(bytes);
            self.stdout.push(bytes, |text, cut| output.line(Stream::Stdout, text, cut));
        } else {
            self.stderr.push(bytes, |text, cut| output.line(Stream::Stderr, text, cut));
        }
    }
}

#[cfg(test)]
mod tests;
