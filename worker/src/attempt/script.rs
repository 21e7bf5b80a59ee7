//! Attempts of `bash`, `command` and `python`: the exit code is the result, standard output the output.

use std::sync::{Mutex, PoisonError};

use flow_model::control::FailureWatch;
use flow_model::log::Stream;
use flow_store::{Store, WorkOrder};
use serde_json::{Map, Value};

use super::channel::{Channel, Heard, Said};
use super::control::meaning;
use super::environments::{self, Need};
use super::folder::AttemptFolder;
use super::process::{self, End, Listener};
use super::{Ended, Ending, StopSignal, Workshop};
use crate::environment::HINT_FILES;
use crate::log::AttemptLog;
use crate::operators::{ProcessWork, Program};
use crate::output::{OutputCapture, read_xcom_file};

/// The exit code of a shell that has not found a command.
const COMMAND_NOT_FOUND: i32 = 127;
const HINT_COMMAND: &str = "\nhint: a program must be installed on the worker, and be on the task's `PATH`; a file of yours is named in `files`, and started as `./name`";

pub(super) async fn run(
    workshop: &Workshop,
    order: &WorkOrder,
    work: ProcessWork,
    log: &AttemptLog,
    mut stop: StopSignal,
) -> Ended {
    let folder = match process::folder(workshop, order) {
        Ok(folder) => folder,
        Err(ending) => return Ended::new(ending),
    };
    let mut work = work;
    // Kept until the task has ended: nobody removes it meanwhile.
    let environment = match &work.program {
        Program::Python(python) if python.requirements.is_some() => {
            let folder = match process::folder_beside(workshop, order, "build") {
                Ok(folder) => folder,
                Err(ending) => return Ended::new(ending),
            };
            let need = Need { workshop, order, folder: &folder, log, env: &work.env };
            match environments::ready(&need, python, &mut stop).await {
                Ok(environment) => environment,
                Err(ended) => return ended,
            }
        }
        _ => None,
    };
    if let (Program::Python(python), Some(environment)) = (&mut work.program, &environment) {
        python.interpreter = environment.interpreter();
    }
    let channel = match &mut work.program {
        Program::Python(python) => match open(workshop, order, log, std::mem::take(&mut python.with), &folder) {
            Ok(channel) => Some(channel),
            Err(ending) => return Ended::new(ending),
        },
        _ => None,
    };
    let skip_on_exit_code = work.skip_on_exit_code.clone();
    let listener = Output::new(workshop, order, log);
    let executing = process::execute(workshop, order, work, &folder, log, stop.clone(), &listener);
    let end = match &channel {
        Some(channel) => tokio::select! {
            end = executing => end,
            never = channel.serve() => match never {},
        },
        None => executing.await,
    };
    let heard = channel.map(Channel::finish).unwrap_or_default();
    match end {
        Ok(end) => {
            let ended = conclude(end, &skip_on_exit_code, listener, heard, &folder);
            process::keep_artifacts(workshop, order, &folder, log, &mut stop, ended).await
        }
        Err(ended) => ended,
    }
}

fn open<'a>(
    workshop: &'a Workshop,
    order: &'a WorkOrder,
    log: &'a AttemptLog,
    with: Map<String, Value>,
    folder: &AttemptFolder,
) -> Result<Channel<'a>, Ending> {
    let opened =
        std::fs::create_dir_all(folder.engine()).and_then(|()| Channel::open(workshop, order, log, with, folder));
    opened.map_err(|error| Ending::Lost(format!("cannot open the socket between the task and its worker: {error}")))
}

/// Keeps what a program writes: in the log, and as the task's output.
pub(super) struct Output<'a> {
    store: &'a Store,
    log: &'a AttemptLog,
    capture: Mutex<OutputCapture>,
    watch: Mutex<FailureWatch<'a>>,
    /// The last file of which the program has said that there is none.
    missing: Mutex<Option<String>>,
}

impl<'a> Output<'a> {
    pub fn new(workshop: &'a Workshop, order: &'a WorkOrder, log: &'a AttemptLog) -> Self {
        Output {
            store: &workshop.store,
            log,
            capture: Mutex::new(OutputCapture::new(order.task().output)),
            watch: Mutex::new(FailureWatch::new(&order.task().control.failure_rules)),
            missing: Mutex::default(),
        }
    }

    /// What helps with an exit code: the shell finds no command, or the program no file of the author's.
    fn hint(&self, code: i32, folder: &AttemptFolder) -> &'static str {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |path: &str| !path.starts_with('/') || path.starts_with(&*folder.path().to_string_lossy());
        match &*missing {
            Some(path) if code != 0 && is_ours(path) => HINT_FILES,
            None if code == COMMAND_NOT_FOUND => HINT_COMMAND,
            _ => "",
        }
    }

    /// What the end of the program means. `told` says in words how it ended; `folder` is where it left named values.
    pub fn conclude(self, code: Option<i32>, told: String, skip_on_exit_code: &[i32], folder: &AttemptFolder) -> Ended {
        let kind = match code {
            Some(0) => Ending::Success,
            Some(code) if skip_on_exit_code.contains(&code) => Ending::Skipped(told),
            code => meaning(self.watch.into_inner().unwrap_or_else(PoisonError::into_inner).decide(code), told),
        };
        let mut ended = Ended { kind, exit_code: code, xcoms: Vec::new(), skips: Vec::new() };
        if matches!(ended.kind, Ending::Success) {
            let capture = self.capture.into_inner().unwrap_or_else(PoisonError::into_inner);
            match read_xcom_file(&folder.xcom_file(), folder.owner()).and_then(|named| Ok((named, capture.finish()?))) {
                Ok((mut xcoms, output)) => {
                    // A value that the task names `return_value` itself wins over its output.
                    xcoms.extend(output.filter(|output| !xcoms.iter().any(|xcom| xcom.key == output.key)));
                    ended.xcoms = xcoms;
                }
                Err(why) => ended.kind = Ending::Failed(why),
            }
        }
        ended
    }
}

impl Listener for Output<'_> {
    fn bytes(&self, bytes: &[u8]) {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner).bytes(bytes);
    }

    fn line(&self, stream: Stream, text: &str, cut: u64) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).line(text);
        if let Some(path) = missing_file(text).filter(|_| stream == Stream::Stderr) {
            *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        }
        self.log.line(self.store.now(), stream, text, cut);
    }
}

/// The file of which a line says that it does not exist, in the words of the C library: `cat: a.csv: No such file or directory`.
fn missing_file(line: &str) -> Option<&str> {
    let before = line.strip_suffix("No such file or directory")?;
    let before = before.strip_suffix("[Errno 2] ").unwrap_or(before).trim_end_matches([':', ' ']);
    let path = before.rsplit([':', ' ']).next()?.trim_matches(['\'', '"', '`', '‘', '’']);
    (!path.is_empty()).then_some(path)
}

fn conclude(end: End, skip_on_exit_code: &[i32], output: Output<'_>, heard: Heard, folder: &AttemptFolder) -> Ended {
    let (code, signal) = match end {
        End::Exited { code, signal } => (code, signal),
        End::Stopped(stop) => return Ended::new(Ending::Stopped(stop)),
        End::TimedOut(reason) | End::Refused(reason) => return Ended::new(Ending::Failed(reason)),
        End::WardenGone => return Ended::new(Ending::Lost("the warden process died".to_owned())),
    };
    let told = match (code, signal) {
        (Some(code), _) => format!("exit code {code}{}", output.hint(code, folder)),
        (None, Some(9)) => "killed by signal 9 (KILL): out of memory, or killed by somebody".to_owned(),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
    };
    let ending = |kind| Ended { kind, exit_code: code, xcoms: Vec::new(), skips: Vec::new() };
    match heard.said.filter(|_| code.is_some_and(|code| code != 0)) {
        Some(Said::Skip(reason)) => ending(Ending::Skipped(reason)),
        Some(Said::Fail { reason, retry: false }) => ending(Ending::FailedForGood(reason)),
        Some(Said::Fail { reason, .. } | Said::Error(reason)) => {
            output.conclude(code, reason, skip_on_exit_code, folder)
        }
        None => {
            let mut ended = output.conclude(code, told, skip_on_exit_code, folder);
            if matches!(ended.kind, Ending::Success) {
                // What was pushed takes the place of what was printed.
                ended.xcoms.retain(|xcom| heard.xcoms.iter().all(|pushed| pushed.key != xcom.key));
                ended.xcoms.extend(heard.xcoms);
            }
            ended
        }
    }
}

#[cfg(test)]
mod tests {
    use super::missing_file;

    #[test]
    fn what_is_missing_is_read_from_the_programs_words() {
        let cases = [
            ("cat: data/a.csv: No such file or directory", Some("data/a.csv")),
            ("bash: line 1: ./x.sh: No such file or directory", Some("./x.sh")),
            ("bash: load.sh: No such file or directory", Some("load.sh")),
            ("python3: can't open file '/t/a/x.py': [Errno 2] No such file or directory", Some("/t/a/x.py")),
            ("ls: cannot access 'x': No such file or directory", Some("x")),
            ("psql: error: q.sql: No such file or directory", Some("q.sql")),
            ("No such file or directory", None),
            ("all is well", None),
        ];
        for (line, path) in cases {
            assert_eq!(missing_file(line), path, "{line}");
        }
    }
}
