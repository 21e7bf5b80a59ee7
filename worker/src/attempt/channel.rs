//! What a Python task and its worker say to each other while it runs: over a Unix socket in the attempt's folder.
//!
//! One question is one connection: JSON until the end of what is sent, then one JSON answer. So it works from threads and
//! from forked processes, values have no other limit than an XCom's, and nothing of it stands in a command line or on disk.

mod context;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use flow_model::dag::RETURN_VALUE;
use flow_model::limits::{REASON_CHARACTERS_MAX, TASK_QUESTIONS_MAX, XCOM_BYTES_MAX, XCOM_FILE_BYTES_MAX};
use flow_store::{NewXCom, WorkOrder, XComInstances, XComPull, XComRun, check_xcom_key, json_text};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::folder::AttemptFolder;
use super::{PrepareError, Workshop, fetch};
use crate::log::AttemptLog;
use crate::output::{check_size, xcom_file_too_large};
use crate::template::Wanted;

/// Bytes of a question: a value, and what stands around it.
const QUESTION_BYTES_MAX: usize = XCOM_BYTES_MAX + 64 * 1024;

/// How a task says that it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Skip(String),
    Fail {
        reason: String,
        retry: bool,
    },
    /// An exception that nobody caught.
    Error(String),
}

/// What a task asks.
#[derive(Debug)]
enum Question {
    Start,
    Previous,
    XCom(Pull),
    Conn(Named),
    Var(Named),
    Push(Pushed),
    End(End),
}

impl Question {
    fn read(bytes: &[u8]) -> Result<Question, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_slice(bytes)?;
        let what = fields.remove("ask").unwrap_or_default();
        let fields = Value::Object(fields);
        Ok(match what.as_str().unwrap_or_default() {
            "start" => Question::Start,
            "previous" => Question::Previous,
            "xcom" => Question::XCom(serde_json::from_value(fields)?),
            "conn" => Question::Conn(serde_json::from_value(fields)?),
            "var" => Question::Var(serde_json::from_value(fields)?),
            "push" => Question::Push(serde_json::from_value(fields)?),
            "end" => Question::End(serde_json::from_value(fields)?),
            _ => return Err(serde::de::Error::custom(format!("there is no question `{what}`"))),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Pull {
    task_id: String,
    key: String,
    /// One number, or a list of them.
    map_indexes: Value,
    run_id: Option<String>,
    include_prior_dates: bool,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Pushed {
    key: String,
    value: Value,
}

#[derive(Debug, Deserialize)]
struct End {
    kind: Kind,
    reason: String,
    retry: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Skip,
    Fail,
    Error,
}

/// The worker's end.
pub(super) struct Channel<'a> {
    workshop: &'a Workshop,
    order: &'a WorkOrder,
    log: &'a AttemptLog,
    /// The arguments of a function.
    with: Map<String, Value>,
    listener: UnixListener,
    heard: Mutex<Heard>,
}

/// What the task has told so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub xcoms: Vec<NewXCom>,
    pub said: Option<Said>,
}

impl<'a> Channel<'a> {
    /// Listens in the attempt's folder, which nobody else may enter.
    pub fn open(
        workshop: &'a Workshop,
        order: &'a WorkOrder,
        log: &'a AttemptLog,
        with: Map<String, Value>,
        folder: &AttemptFolder,
    ) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder.engine())?;
        let listener = listen(&folder.socket())?;
        Ok(Channel { workshop, order, log, with, listener, heard: Mutex::default() })
    }

    /// Answers until it is dropped.
    pub async fn serve(&self) -> std::convert::Infallible {
        let mut answering = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if answering.len() < TASK_QUESTIONS_MAX => match accepted {
                    Ok((stream, _)) => answering.push(self.converse(stream)),
                    // No descriptor is left at the moment: those who ask wait.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                },
                Some(()) = answering.next(), if !answering.is_empty() => {}
            }
        }
    }

    /// What was heard.
    pub fn finish(self) -> Heard {
        self.heard.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn converse(&self, mut stream: UnixStream) {
        let answer = match read(&mut stream).await {
            Ok(question) => match self.answer(&question).await {
                Ok(value) => json!({ "ok": value }),
                Err(why) => json!({ "error": why }),
            },
            // Whoever asked is gone.
            Err(_) => return,
        };
        let _ = stream.write_all(answer.to_string().as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    async fn answer(&self, read: &Read) -> Result<Value, String> {
        if read.length > QUESTION_BYTES_MAX {
            check_size("value", read.length)?;
        }
        let question =
            Question::read(&read.bytes).map_err(|error| format!("the worker does not understand: {error}"))?;
        match question {
            Question::Start => {
                let mut context = context::of(self.order);
                for (name, value) in &self.order.map_values {
                    context.entry(name).or_insert_with(|| value.clone());
                }
                Ok(json!({ "context": context, "with": self.with }))
            }
            Question::Previous => Ok(context::previous(self.find(&Wanted::PreviousSuccess).await?.as_ref())),
            Question::XCom(pull) => self.pull(pull).await,
            Question::Conn(Named { name }) => {
                let found = self.find(&Wanted::Connection(name.clone())).await?;
                Ok(match found.map(|fields| context::connection(&name, fields)).transpose()? {
                    Some(fields) => json!({ "found": true, "value": fields }),
                    None => absent(&crate::template::missing(true, &name).to_string()),
                })
            }
            Question::Var(Named { name }) => Ok(match self.find(&Wanted::Variable(name.clone())).await? {
                Some(value) => json!({ "found": true, "value": value }),
                None => absent(&crate::template::missing(false, &name).to_string()),
            }),
            Question::Push(Pushed { key, value }) => self.push(&key, &value).map(|()| Value::Null),
            Question::End(end) => {
                self.end(end);
                Ok(Value::Null)
            }
        }
    }

    fn end(&self, end: End) {
        let reason: String = end.reason.chars().take(REASON_CHARACTERS_MAX).collect();
        let said = match end.kind {
            Kind::Skip => Said::Skip(reason),
            Kind::Fail => Said::Fail { reason, retry: end.retry },
            Kind::Error => Said::Error(reason),
        };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).said = Some(said);
    }

    async fn pull(&self, pull: Pull) -> Result<Value, String> {
        let run = match (pull.run_id, pull.include_prior_dates) {
            (Some(_), true) => return Err("`run_id` and `include_prior_dates` exclude each other".to_owned()),
            (Some(run_id), false) => XComRun::Named(run_id),
            (None, true) => XComRun::ThisOrEarlier,
            (None, false) => XComRun::This,
        };
        let task_id = match &run {
            XComRun::This => self.known_task(&pull.task_id)?,
            _ => pull.task_id,
        };
        let instances = instances(&pull.map_indexes)?;
        let wanted = Wanted::Value(XComPull { task_id: task_id.clone(), key: pull.key.clone(), instances, run });
        Ok(match self.find(&wanted).await? {
            Some(value) => json!({ "found": true, "value": value }),
            None if pull.key == RETURN_VALUE => absent(&format!(
                "task `{task_id}` has left no output\nhint: does it come before this one, and leave one? Give a `default` if it need not"
            )),
            None => absent(&format!(
                "task `{task_id}` has left no value named `{}`\nhint: does it come before this one, and push it? Give a `default` if it need not",
                pull.key
            )),
        })
    }

    /// A task by its id, in which the groups around this task may be left out.
    fn known_task(&self, name: &str) -> Result<String, String> {
        let graph = &self.order.graph;
        let around = graph.groups_of(self.order.task_index).map(|group| format!("{}.{name}", group.group_id));
        let found = around.chain([name.to_owned()]).find(|name| graph.index_of(name).is_some());
        found.ok_or_else(|| {
            let ids = graph.dag.tasks.iter().map(|task| format!("`{}`", task.task_id)).collect::<Vec<_>>().join(", ");
            format!("there is no task `{name}` in this DAG\nhint: its tasks are {ids}")
        })
    }

    async fn find(&self, wanted: &Wanted) -> Result<Option<Value>, String> {
        fetch(self.workshop, self.order, wanted, self.log.masker()).await.map_err(|error| match error {
            PrepareError::Template(why) | PrepareError::Secrets(why) => why,
            PrepareError::Store(error) => error.to_string(),
        })
    }

    fn push(&self, key: &str, value: &Value) -> Result<(), String> {
        check_xcom_key(key).map_err(|why| why.replace("; hint: ", "\nhint: "))?;
        let value = json_text(value);
        check_size(key, value.len())?;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.xcoms.retain(|known| known.key != key);
        let total: usize = heard.xcoms.iter().map(|xcom| xcom.value.len()).sum();
        if (total + value.len()) as u64 > XCOM_FILE_BYTES_MAX {
            return Err(xcom_file_too_large());
        }
        heard.xcoms.push(NewXCom { key: key.to_owned(), value });
        Ok(())
    }
}

fn instances(map_indexes: &Value) -> Result<XComInstances, String> {
    let index = |value: &Value| value.as_i64().ok_or("`map_indexes` is a whole number, or a list of them".to_owned());
    Ok(match map_indexes {
        Value::Null => XComInstances::All,
        Value::Array(indexes) => XComInstances::Several(indexes.iter().map(index).collect::<Result<_, _>>()?),
        one => XComInstances::One(index(one)?),
    })
}

fn absent(why: &str) -> Value {
    json!({ "found": false, "why": why })
}

/// Listens at a path, however long: a socket's own name has 107 bytes at most.
fn listen(path: &std::path::Path) -> std::io::Result<UnixListener> {
    use std::os::fd::AsRawFd;
    let (parent, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let parent = std::fs::File::open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
    let listener = UnixListener::bind(&short)?;
    // The folder decides who may come here.
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

struct Read {
    bytes: Vec<u8>,
    /// Of all that was sent; what is too much is not kept.
    length: usize,
}

async fn read(stream: &mut UnixStream) -> std::io::Result<Read> {
    let mut read = Read { bytes: Vec::new(), length: 0 };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(read);
        }
        read.length += length;
        if read.length <= QUESTION_BYTES_MAX {
            read.bytes.extend_from_slice(&buffer[..length]);
        }
    }
}

#[cfg(test)]
mod tests;
