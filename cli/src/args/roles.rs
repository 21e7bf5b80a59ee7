//! The arguments of the roles.

use std::path::PathBuf;

use clap::Args;

use super::whole_number;

#[derive(Debug, Args)]
pub struct StateArgs {
    /// Folder for locks and attempts [default: .flow]
    #[arg(long, value_name = "FOLDER")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StandaloneArgs {
    /// DAG folder [default: dags]
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    /// Address and port of the web UI [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<String>,
    /// Attempts at once [default: 32]
    #[arg(value_parser = whole_number::<u32>, long, value_name = "N")]
    pub concurrency: Option<u32>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct SchedulerArgs {
    /// DAG folder [default: dags]
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Queues it serves [default: default]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub queues: Vec<String>,
    /// Attempts at once [default: 32]
    #[arg(value_parser = whole_number::<u32>, long, value_name = "N")]
    pub concurrency: Option<u32>,
    #[command(flatten)]
    pub state: StateArgs,
}

#[derive(Debug, Args)]
pub struct WebArgs {
    /// Address and port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<String>,
    /// DAG folder, to show where files are [default: dags]
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    #[command(flatten)]
    pub state: StateArgs,
}
