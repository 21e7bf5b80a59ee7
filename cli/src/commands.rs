//! The commands.

mod approvals;
mod artifacts;
mod audit;
mod callbacks;
mod connections;
mod cron;
mod dags;
mod db;
mod doctor;
mod import;
mod init;
mod pools;
mod runs;
mod secrets;
mod tasks;
mod tokens;
mod trigger;
mod variables;
mod xcoms;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Cli, Command, ConfigCommand, DagsCommand, Form, XcomCommand};
use crate::client::Client;
use crate::config::{self, Settings};
use crate::failure::{Exit, Failure, usage};
use crate::roles;

/// Runs a command and returns its exit code.
///
/// # Errors
/// The command failed; a `Failure` among the causes says with which exit code.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut overrides = cli.global.overrides()?;
    overrides.extend(cli.command.overrides());
    let load = || config::load(cli.global.config.as_deref(), overrides);
    let form = cli.global.output;
    if form == Form::Github && !matches!(cli.command, Command::Dags(DagsCommand::Check { .. })) {
        let failure = Failure::new(Exit::Usage, "only `flowctl dags check` prints for GitHub's workflows");
        return Err(failure.hint("take `-o json`").into());
    }
    let exit = match cli.command {
        Command::Standalone(_) => return Box::pin(roles::standalone(load()?)).await,
        Command::Scheduler(_) => return roles::scheduler(load()?).await,
        Command::Worker(_) => return roles::worker(load()?).await,
        Command::Triggerer(_) => return roles::triggerer(load()?).await,
        Command::Web(_) => return roles::web(load()?).await,
        Command::Trigger(args) => trigger::run(&Client::find(&load()?)?, form, args).await?,
        Command::Dags(command) => dags::run(load()?, form, command).await?,
        Command::Runs(command) => runs::run(&Client::find(&load()?)?, form, command).await?,
        Command::Tasks(command) => tasks::run(&Client::find(&load()?)?, form, command).await?,
        Command::Cron(args) => cron::run(form, &args)?,
        Command::Pools(command) => pools::run(&Client::find(&load()?)?, form, command).await?,
        Command::Db(command) => db::run(&load()?, form, command).await?,
        Command::Audit(command) => audit::run(&load()?, form, command).await?,
        Command::Tokens(command) => tokens::run(&load()?, form, command).await?,
        Command::Init => init::run(&load()?)?,
        Command::Login => tokens::login(&load()?).await?,
        Command::Doctor => doctor::run(&load()?, form).await?,
        Command::Config(ConfigCommand::Show) => show_config(load()?, form)?,
        Command::Approvals(command) => approvals::run(&Client::find(&load()?)?, form, command).await?,
        Command::Artifacts(command) => artifacts::run(&Client::find(&load()?)?, form, command).await?,
        Command::Xcoms(command) => xcoms::run(&Client::find(&load()?)?, form, command).await?,
        Command::Callbacks(args) => callbacks::run(&Client::find(&load()?)?, form, args).await?,
        Command::Variables(command) => variables::run(&load()?, form, command).await?,
        Command::Connections(command) => connections::run(&load()?, form, command).await?,
        Command::Secrets(command) => secrets::run(&load()?, form, command).await?,
        Command::Xcom(XcomCommand::Push { key, value }) => push_xcom(&key, &value)?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "flowctl", &mut std::io::stdout());
            Exit::Success
        }
        Command::Warden { .. } => unreachable!("main runs the warden without a runtime"),
    };
    Ok(exit.into())
}

fn show_config(mut settings: Settings, form: Form) -> anyhow::Result<Exit> {
    if !settings.client.token.is_empty() {
        settings.client.token = "(set)".to_owned();
    }
    for secret in [&mut settings.secrets.keys, &mut settings.secrets.vault_token] {
        if !secret.is_empty() {
            *secret = "(set)".to_owned();
        }
    }
    let mut url = settings.database_url();
    if let (Some(scheme), Some(at)) = (url.find("://"), url.rfind('@'))
        && let Some(colon) = url[scheme + 3..at].find(':')
    {
        url.replace_range(scheme + 3 + colon + 1..at, "***");
    }
    settings.database.url = url;
    if form == Form::Json {
        let mut shown = serde_json::to_value(&settings)?;
        shown["limits"] = flow_model::limits::all().map(|limit| (limit.name, limit.value)).collect();
        crate::output::json(&shown)?;
    } else {
        anstream::print!("{}", toml::to_string(&settings)?);
        // Comments, so that what is printed can be taken as a configuration file.
        anstream::println!("\n# Limits that no setting changes:");
        for limit in flow_model::limits::all() {
            anstream::println!("# {} = {}  # {}", limit.name, limit.value, limit.meaning);
        }
    }
    Ok(Exit::Success)
}

fn push_xcom(key: &str, value: &str) -> anyhow::Result<Exit> {
    let Some(path) = std::env::var_os("FLOW_XCOM_FILE") else {
        return Err(usage("`flowctl xcom push` works inside a task only: FLOW_XCOM_FILE is not set").into());
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
    flow_worker::output::append_to_xcom_file(std::path::Path::new(&path), key, &value)?;
    Ok(Exit::Success)
}
