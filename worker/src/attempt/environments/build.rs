//! Builds an environment: by `uv` if the worker has it, else by `venv` and `pip`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use flow_model::log::Stream;
use flow_model::operator::Requirements;
use flow_model::time::duration_text;

use super::super::process::{self, End, Listener};
use super::super::{Ended, Ending, StopSignal, published};
use super::{Need, USED, WHOLE};
use crate::environment::find_program;
use crate::operators::{ProcessWork, Program};

/// Characters of the builder's last words in the reason of a failure.
const WORDS_CHARACTERS_MAX: usize = 500;

/// What an environment is made of.
pub(in crate::attempt) struct Recipe {
    /// The interpreter's path.
    pub interpreter: String,
    pub requirements: Requirements,
    /// Where paths in requirements begin.
    pub home: PathBuf,
}

/// Builds the environment in its folder.
///
/// # Errors
/// How the attempt ends without it.
pub(super) async fn build(need: &Need<'_>, recipe: &Recipe, folder: &Path, stop: StopSignal) -> Result<(), Ended> {
    let lost = |what: &str, error: std::io::Error| Ended::new(Ending::Lost(format!("cannot {what}: {error}")));
    // What a worker that died has left.
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|error| lost("remove half of a Python environment", error))?;
    }
    create(need, folder).map_err(|error| lost("create the folder of a Python environment", error))?;
    let list = match &recipe.requirements {
        Requirements::List(list) => need
            .folder
            .write(".flow/requirements.txt", format!("{}\n", list.join("\n")).as_bytes())
            .map_err(|error| lost("write the requirements", error))?,
        Requirements::File(path) => need.folder.path().join(published::place_of(need.order, path)),
    };
    let steps = steps(need, recipe, folder, &list);
    let began = std::time::Instant::now();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    say(need, &format!("building the Python environment {name} with {}", steps.tool));
    for argv in steps.commands {
        run(need, recipe, argv, stop.clone()).await?;
    }
    let size = size_of(folder);
    let written = std::fs::write(folder.with_extension(USED), "")
        .and_then(|()| std::fs::write(folder.with_extension(WHOLE), size.to_string()));
    written.map_err(|error| lost("finish the Python environment", error))?;
    let took = duration_text::format(std::time::Duration::from_secs(began.elapsed().as_secs().max(1)));
    say(need, &format!("the Python environment is ready: {} MiB in {took}", size >> 20));
    Ok(())
}

/// The environment's folder, which belongs to the user that builds it.
fn create(need: &Need<'_>, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir(folder)?;
    match &need.workshop.run_as {
        Some(user) => user.own(folder),
        None => Ok(()),
    }
}

fn say(need: &Need<'_>, text: &str) {
    need.log.system(need.workshop.store.now(), text);
}

struct Steps {
    tool: &'static str,
    commands: Vec<Vec<String>>,
}

fn steps(need: &Need<'_>, recipe: &Recipe, folder: &Path, list: &Path) -> Steps {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (folder, list, home) = (text(folder), text(list), text(&recipe.home));
    let python = format!("{folder}/bin/python");
    let env = need.workshop.environment.of_attempt(
        need.order,
        &need.folder.xcom_file(),
        &need.folder.artifacts(),
        need.env.to_vec(),
    );
    let command = |argv: &[&str]| argv.iter().map(|argument| (*argument).to_owned()).collect();
    if let Ok(uv) = find_program("uv", &home, &env) {
        return Steps {
            tool: "uv",
            commands: vec![
                command(&[&uv, "venv", "--no-project", "--python", &recipe.interpreter, &folder]),
                command(&[&uv, "pip", "install", "--python", &python, "-r", &list]),
            ],
        };
    }
    Steps {
        tool: "venv and pip",
        commands: vec![
            command(&[&recipe.interpreter, "-m", "venv", &folder]),
            command(&[&python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", &list]),
        ],
    }
}

/// Runs a step; what it writes goes into the task's log.
async fn run(need: &Need<'_>, recipe: &Recipe, argv: Vec<String>, stop: StopSignal) -> Result<(), Ended> {
    let shown = argv.iter().take(4).cloned().collect::<Vec<_>>().join(" ");
    let mut argv = argv.into_iter();
    let timeout = need.workshop.environments.build_timeout;
    let work = ProcessWork {
        program: Program::Named(argv.next().unwrap_or_default()),
        args: argv.collect(),
        env: need.env.to_vec(),
        cwd: Some(recipe.home.to_string_lossy().into_owned()),
        stdin: None,
        skip_on_exit_code: Vec::new(),
        timeout: Some(timeout),
    };
    let words = Words { need, last: Mutex::default() };
    let failed = |why: String| Ended::new(Ending::Failed(format!("cannot build the Python environment: {why}")));
    let end = process::execute(need.workshop, need.order, work, need.folder, need.log, stop, &words).await?;
    match end {
        End::Exited { code: Some(0), .. } => Ok(()),
        End::Exited { .. } => {
            let last = words.last.into_inner().unwrap_or_else(PoisonError::into_inner);
            let said = if last.is_empty() { format!("`{shown}` failed and said nothing") } else { last };
            Err(failed(format!("{said}\nhint: the task's log has all that was said")))
        }
        End::TimedOut(_) => Err(failed(format!(
            "it took longer than {}\nhint: raise `worker.python_build_timeout`",
            duration_text::format(timeout)
        ))),
        End::Refused(why) => Err(failed(why)),
        End::Stopped(stop) => Err(Ended::new(Ending::Stopped(stop))),
        End::WardenGone => Err(Ended::new(Ending::Lost("the warden process died".to_owned()))),
    }
}

/// Keeps what a builder says in the log, and its complaint.
struct Words<'a> {
    need: &'a Need<'a>,
    last: Mutex<String>,
}

impl Listener for Words<'_> {
    fn bytes(&self, _: &[u8]) {}

    fn line(&self, stream: Stream, text: &str, cut: u64) {
        self.need.log.line(self.need.workshop.store.now(), stream, text, cut);
        let line = text.trim();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_complaint = |line: &str| line.to_ascii_lowercase().contains("error") || line.starts_with('×');
        if !line.is_empty() && (is_complaint(line) || !is_complaint(&last)) {
            *last = line.chars().take(WORDS_CHARACTERS_MAX).collect();
        }
    }
}

/// Bytes of everything in a folder.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size_of(&entry.path()),
        _ => entry.metadata().map_or(0, |metadata| metadata.len()),
    };
    entries.flatten().map(size).sum()
}
