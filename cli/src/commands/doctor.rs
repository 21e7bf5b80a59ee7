//! `flowctl doctor`: looks at everything that an installation stands on, and says what to do.

use std::collections::BTreeSet;

use flow_store::Store;
use serde_json::{Value, json};

use crate::args::Form;
use crate::client::Client;
use crate::config::Settings;
use crate::failure::Exit;
use crate::output;
use crate::output::say;
use crate::roles::{Engine, open_store};

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    result: Result<String, (String, String)>,
}

/// Looks and reports; exits with 1 if something is wrong.
///
/// # Errors
/// The report cannot be printed.
pub async fn run(settings: &Settings, form: Form) -> anyhow::Result<Exit> {
    let mut findings = vec![dag_folder(settings), state_folder(settings), programs(), time_zones()];
    findings.extend(database(settings).await);
    findings.push(queue(settings).await);
    findings.push(web(settings).await);
    let is_well = findings.iter().all(|finding| finding.result.is_ok());
    if form == Form::Json {
        let rows: Vec<Value> = findings
            .iter()
            .map(|finding| match &finding.result {
                Ok(said) => json!({ "check": finding.what, "ok": true, "detail": said }),
                Err((said, hint)) => json!({ "check": finding.what, "ok": false, "detail": said, "hint": hint }),
            })
            .collect();
        output::json(&Value::Array(rows))?;
    } else {
        for finding in &findings {
            match &finding.result {
                Ok(said) => say!("ok    {:<12} {said}", finding.what),
                Err((said, hint)) => {
                    say!("FAIL  {:<12} {said}\n      {:<12} hint: {hint}", finding.what, "");
                }
            }
        }
    }
    Ok(if is_well { Exit::Success } else { Exit::Failed })
}

fn dag_folder(settings: &Settings) -> Finding {
    let folder = &settings.dags.folder;
    let result = match flow_dagfile::Folder::new(folder).scan() {
        Ok(scan) => {
            let broken = scan.changed.iter().filter(|file| file.result.is_err()).count();
            if broken == 0 {
                Ok(format!("{} files in `{}`, all good", scan.total, folder.display()))
            } else {
                Err((
                    format!("{broken} of {} files in `{}` are broken", scan.total, folder.display()),
                    "flowctl dags check".to_owned(),
                ))
            }
        }
        Err(error) => Err((
            format!("cannot read the DAG folder `{}`: {error}", folder.display()),
            format!("mkdir {}, or set `dags.folder`", folder.display()),
        )),
    };
    Finding { what: "dags", result }
}

fn state_folder(settings: &Settings) -> Finding {
    let folder = &settings.state.folder;
    let probe = folder.join(".doctor");
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b"x"));
    let _ = std::fs::remove_file(&probe);
    let result = match written {
        Ok(()) => Ok(format!("`{}` can be written", folder.display())),
        Err(error) => Err((
            format!("cannot write to the state folder `{}`: {error}", folder.display()),
            "set `state.folder` to a folder that this user may write to".to_owned(),
        )),
    };
    Finding { what: "state", result }
}

/// Which rules of time zones count: the newer ones.
fn time_zones() -> Finding {
    let rules = flow_model::schedule::zone_rules();
    let (of, others) = if rules.is_system { ("the system", "those built in") } else { ("flowctl", "the system's") };
    let other = rules.other.as_ref().map_or_else(|| "unknown".to_owned(), Clone::clone);
    Finding { what: "time zones", result: Ok(format!("rules {} of {of}; {others} are {other}", rules.version)) }
}

fn programs() -> Finding {
    let env: Vec<(String, String)> = std::env::var("PATH").map(|path| ("PATH".to_owned(), path)).into_iter().collect();
    let missing: Vec<&str> = ["bash", "python3"]
        .into_iter()
        .filter(|program| flow_worker::environment::find_program(program, "/", &env).is_err())
        .collect();
    let result = if missing.is_empty() {
        Ok("bash and python3 are there for tasks".to_owned())
    } else {
        Err((format!("not on the PATH: {}", missing.join(", ")), format!("apt-get install {}", missing.join(" "))))
    };
    Finding { what: "programs", result }
}

async fn database(settings: &Settings) -> Vec<Finding> {
    let store = match open_store(settings, "doctor").await {
        Ok(store) => store,
        Err(error) => {
            let hint = "is it up? Is `database.url` right?".to_owned();
            return vec![Finding { what: "database", result: Err((format!("{error:#}"), hint)) }];
        }
    };
    let schema = match store.require_current_schema().await {
        Ok(()) => Ok("is the one of this flowctl".to_owned()),
        Err(error) => Err((error.to_string(), "flowctl db migrate".to_owned())),
    };
    let reached = match store.ping().await {
        Err(error) => Err((error.to_string(), "look into the database's log".to_owned())),
        Ok(()) if schema.is_err() => Ok(format!("{:?} answers", store.kind())),
        Ok(()) => writes(&store).await,
    };
    let mut findings = vec![Finding { what: "database", result: reached }, Finding { what: "schema", result: schema }];
    if findings.iter().all(|finding| finding.result.is_ok()) {
        findings.push(pools(settings, &store).await);
        findings.push(secrets(settings, &store).await);
    }
    store.close().await;
    findings
}

/// A database that is full, a standby or read-only answers, too.
async fn writes(store: &Store) -> Result<String, (String, String)> {
    let pooler = if store.is_pooled() { ", through a pooler in transaction mode" } else { "" };
    match store.check_writes().await {
        Ok(()) => Ok(format!("{:?} answers and can be written{pooler}", store.kind())),
        Err(error) if error.is_full() => Err((error.to_string(), "make room on the database's disk".to_owned())),
        Err(error) => {
            Err((error.to_string(), "is it a standby, or read-only? Look into the database's log".to_owned()))
        }
    }
}

/// Tasks whose pool is not there wait for it, however long.
async fn pools(settings: &Settings, store: &Store) -> Finding {
    let result = match store.pools_in_use().await {
        Err(error) => Err((error.to_string(), "look into the database's log".to_owned())),
        Ok(pools) => {
            let scan = flow_dagfile::Folder::new(&settings.dags.folder).scan().unwrap_or_default();
            let dags = scan.changed.iter().filter_map(|file| file.result.as_ref().ok());
            let named: BTreeSet<&str> =
                dags.flat_map(|checked| &checked.dag.tasks).map(|task| task.pool.as_str()).collect();
            let missing = named.iter().find(|name| !pools.iter().any(|pool| pool.name == **name));
            match missing {
                None => Ok("those that tasks name are there".to_owned()),
                Some(name) => Err((
                    format!("tasks name the pool `{name}`, which is not there: they wait"),
                    format!("flowctl pools set {name} <slots>"),
                )),
            }
        }
    };
    Finding { what: "pools", result }
}

async fn secrets(settings: &Settings, store: &Store) -> Finding {
    let hint = || "`flowctl secrets status` shows the keys; add the missing ones, or set the values anew".to_owned();
    let result = match crate::roles::secrets::open(settings, store.clone()) {
        Err(error) => Err((format!("{error:#}"), "`flowctl secrets generate-key` makes a key".to_owned())),
        Ok(secrets) => match store.sealed_rows().await {
            Err(error) => Err((error.to_string(), "look into the database's log".to_owned())),
            Ok(rows) => match rows.iter().filter(|row| secrets.open_row(row).is_err()).count() {
                0 if rows.is_empty() && !secrets.keys().can_seal() => {
                    Ok("there is no key, and nothing that would need one".to_owned())
                }
                0 => Ok(format!("{} variables and connections of the store can be decrypted", rows.len())),
                lost => Err((format!("{lost} of {} values of the store cannot be decrypted", rows.len()), hint())),
            },
        },
    };
    Finding { what: "secrets", result }
}

async fn queue(settings: &Settings) -> Finding {
    let result = match Engine::open_queue(settings) {
        Ok(queue) => match queue.ping().await {
            Ok(()) if queue.is_external() => Ok("Redis answers and can be written".to_owned()),
            Ok(()) => Ok("in process: for `flowctl standalone` only".to_owned()),
            Err(error) => {
                let hint = error.hint().unwrap_or("is it up? Is `queue.url` right?");
                Err((error.to_string(), hint.to_owned()))
            }
        },
        Err(error) => Err((format!("{error:#}"), "set `queue.url`".to_owned())),
    };
    Finding { what: "queue", result }
}

async fn web(settings: &Settings) -> Finding {
    let result = match Client::find(settings) {
        Ok(client) => match client.get("/api/v2/version").await {
            Ok(version) => Ok(format!("{} answers with version {}", client.url(), output::cell(&version["version"]))),
            Err(error) => Err((format!("{error:#}"), "is it up? Is the token right?".to_owned())),
        },
        Err(error) => Err((format!("{error:#}"), "start `flowctl standalone`, or set `client.url`".to_owned())),
    };
    Finding { what: "web", result }
}
