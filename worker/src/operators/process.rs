//! The operators that start a process: `bash`, `command`, `python`.

use std::time::Duration;

use flow_model::Task;
use flow_model::operator::{Bash, Command, Python, Requirements};
use serde_json::{Map, Value, json};

use crate::template::{Renderer, TemplateError};

/// A script longer than this goes into a file: Linux takes no argument longer than 128 KiB.
const INLINE_BYTES_MAX: usize = 100 * 1024;

/// A process to start.
#[derive(Debug)]
pub struct ProcessWork {
    /// What to run.
    pub program: Program,
    /// Its arguments, after those that the program form itself needs.
    pub args: Vec<String>,
    /// Variables on top of the worker's environment.
    pub env: Vec<(String, String)>,
    /// Its working directory; the attempt's own folder where the task names none.
    pub cwd: Option<String>,
    /// Text for its standard input.
    pub stdin: Option<String>,
    /// Exit codes that mean "skipped".
    pub skip_on_exit_code: Vec<i32>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What is run.
#[derive(Debug)]
pub enum Program {
    /// A program by name or path.
    Named(String),
    /// The executable of a plugin, by its name or absolute path.
    Plugin {
        /// The name.
        name: String,
    },
    /// Code passed as an argument: `bash -c <code> bash`.
    BashCode(String),
    /// Python code, run so that it can speak with the worker.
    Python(Box<PythonProgram>),
    /// A script that is put into the attempt's folder and run by an interpreter.
    Script {
        /// The interpreter, by name or path.
        interpreter: String,
        /// The script.
        file: ScriptFile,
    },
}

/// Python code and what it is given.
#[derive(Debug)]
pub struct PythonProgram {
    /// The interpreter, by name or path.
    pub interpreter: String,
    /// What is run.
    pub code: PythonCode,
    /// The arguments of a function, rendered.
    pub with: Map<String, Value>,
    /// Packages that it needs.
    pub requirements: Option<Requirements>,
    /// Versions of Python that it runs with.
    pub requires_python: Option<String>,
}

/// What Python runs.
#[derive(Debug)]
pub enum PythonCode {
    /// Text of the DAG file, or a script that was published with it.
    Script(ScriptFile),
    /// A function: `package.module:function`.
    Call(String),
}

/// Where a script comes from.
#[derive(Debug)]
pub enum ScriptFile {
    /// Text of the DAG file.
    Inline {
        /// The name it gets.
        name: String,
        /// Its text.
        text: String,
    },
    /// What a file that was published with the DAG version, and is a template, has come to.
    Rendered {
        /// Its path beside the DAG file.
        path: String,
        /// Its text.
        text: String,
    },
    /// A file that was published with the DAG version.
    Published {
        /// Its path beside the DAG file.
        path: String,
    },
}

pub(super) fn bash(
    task: &Task,
    bash: &Bash,
    file: Option<&str>,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<ProcessWork, TemplateError> {
    let Some(path) = &bash.script else {
        let code = bash.command.as_deref().unwrap_or_default();
        let input = Input { args: &bash.args, stdin: bash.stdin.as_deref() };
        return shell(task, code, &input, &bash.skip_on_exit_code, renderer, rendered);
    };
    let mut env = environment(task, renderer, rendered)?;
    let text = file.map(|text| renderer.shell_file("script", text, bash.template)).transpose()?.flatten();
    let file = match text {
        Some(script) => {
            rendered.insert("script".to_owned(), json!(script.shown));
            env.extend(script.variables);
            ScriptFile::Rendered { path: path.clone(), text: script.code }
        }
        None => ScriptFile::Published { path: path.clone() },
    };
    let program = Program::Script { interpreter: "bash".to_owned(), file };
    let args = arguments(&bash.args, renderer, rendered)?;
    let stdin = standard_input(bash.stdin.as_deref(), &[], renderer, rendered)?;
    finish(task, program, args, env, stdin, &bash.skip_on_exit_code, renderer)
}

/// The text of standard input. `argv`: the command that reads it, where no shell stands in between.
fn standard_input(
    stdin: Option<&str>,
    argv: &[String],
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Option<String>, TemplateError> {
    let stdin = stdin.map(|text| renderer.standard_input("stdin", argv, text)).transpose()?;
    if let Some(stdin) = &stdin {
        rendered.insert("stdin".to_owned(), json!(stdin));
    }
    Ok(stdin)
}

/// What a program is given besides its code: templates.
pub(super) struct Input<'a> {
    /// Its arguments.
    pub args: &'a [String],
    /// Text for its standard input.
    pub stdin: Option<&'a str>,
}

/// Shell code that is a template.
pub(super) fn shell(
    task: &Task,
    code: &str,
    input: &Input<'_>,
    skip_on_exit_code: &[i32],
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<ProcessWork, TemplateError> {
    let mut env = environment(task, renderer, rendered)?;
    let script = renderer.shell("bash", code)?;
    rendered.insert("command".to_owned(), json!(script.shown));
    env.extend(script.variables);
    let program = if script.code.len() > INLINE_BYTES_MAX {
        let file = ScriptFile::Inline { name: "command.sh".to_owned(), text: script.code };
        Program::Script { interpreter: "bash".to_owned(), file }
    } else {
        Program::BashCode(script.code)
    };
    let args = arguments(input.args, renderer, rendered)?;
    let stdin = standard_input(input.stdin, &[], renderer, rendered)?;
    finish(task, program, args, env, stdin, skip_on_exit_code, renderer)
}

pub(crate) fn command(
    task: &Task,
    command: &Command,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<ProcessWork, TemplateError> {
    let env = environment(task, renderer, rendered)?;
    let argv = renderer.arguments("argv", &command.argv)?;
    rendered.insert("argv".to_owned(), json!(argv));
    let stdin = standard_input(command.stdin.as_deref(), &argv, renderer, rendered)?;
    let mut argv = argv.into_iter();
    let program = Program::Named(argv.next().unwrap_or_default());
    finish(task, program, argv.collect(), env, stdin, &command.skip_on_exit_code, renderer)
}

pub(super) fn python(
    task: &Task,
    python: &Python,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<ProcessWork, TemplateError> {
    let mut env = environment(task, renderer, rendered)?;
    // Lines appear in the log when they are printed, not when a buffer is full.
    if !env.iter().any(|(name, _)| name == "PYTHONUNBUFFERED") {
        env.push(("PYTHONUNBUFFERED".to_owned(), "1".to_owned()));
    }
    let code = match (&python.call, &python.script) {
        (Some(target), _) => PythonCode::Call(target.clone()),
        (None, Some(path)) => PythonCode::Script(ScriptFile::Published { path: path.clone() }),
        // In a file of its own, so that tracebacks show the lines.
        (None, None) => PythonCode::Script(ScriptFile::Inline {
            name: format!("{}.py", task.task_id),
            text: python.code.clone().unwrap_or_default(),
        }),
    };
    let with = given(&python.with, renderer, rendered)?;
    let program = Program::Python(Box::new(PythonProgram {
        interpreter: python.interpreter.clone(),
        code,
        with,
        requirements: python.requirements.clone(),
        requires_python: python.requires_python.clone(),
    }));
    let args = arguments(&python.args, renderer, rendered)?;
    let stdin = standard_input(python.stdin.as_deref(), &[], renderer, rendered)?;
    finish(task, program, args, env, stdin, &python.skip_on_exit_code, renderer)
}

/// The arguments of a function.
fn given(
    with: &Map<String, Value>,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Map<String, Value>, TemplateError> {
    let mut given = Map::new();
    for (name, value) in with {
        given.insert(name.clone(), renderer.json(&format!("with.{name}"), value)?);
    }
    if !given.is_empty() {
        rendered.insert("with".to_owned(), Value::Object(given.clone()));
    }
    Ok(given)
}

pub(super) fn environment(
    task: &Task,
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Vec<(String, String)>, TemplateError> {
    let env: Vec<(String, String)> = task
        .env
        .iter()
        .map(|(name, value)| Ok((name.clone(), renderer.variable(&format!("env.{name}"), name, value)?)))
        .collect::<Result<_, TemplateError>>()?;
    if !env.is_empty() {
        rendered.insert("env".to_owned(), env.iter().map(|(name, value)| (name.clone(), json!(value))).collect());
    }
    Ok(env)
}

fn arguments(
    args: &[String],
    renderer: &Renderer,
    rendered: &mut Map<String, Value>,
) -> Result<Vec<String>, TemplateError> {
    let args: Vec<String> = args.iter().map(|argument| renderer.text("args", argument)).collect::<Result<_, _>>()?;
    if !args.is_empty() {
        rendered.insert("args".to_owned(), json!(args));
    }
    Ok(args)
}

pub(super) fn finish(
    task: &Task,
    program: Program,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Option<String>,
    skip_on_exit_code: &[i32],
    renderer: &Renderer,
) -> Result<ProcessWork, TemplateError> {
    let cwd = task.cwd.as_ref().map(|cwd| renderer.path("cwd", cwd, str::to_owned)).transpose()?;
    let timeout = task.execution_timeout;
    Ok(ProcessWork { program, args, env, cwd, stdin, skip_on_exit_code: skip_on_exit_code.to_vec(), timeout })
}
