//! The arguments about what tasks leave and ask.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::runs::RunArg;
use super::whole_number;

#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List open questions
    List {
        /// Only those of this DAG
        dag: Option<String>,
        /// Also those that are answered
        #[arg(long)]
        all: bool,
    },
    /// Answer a question
    Answer {
        /// The DAG
        dag: String,
        /// The task that asks
        task: String,
        /// What is chosen, e.g. `Approve`
        #[arg(value_name = "CHOICE")]
        options: Vec<String>,
        /// What is filled in
        #[arg(short, long = "param", value_name = "KEY=VALUE")]
        params: Vec<String>,
        /// Of this instance of a mapped task
        #[arg(value_parser = whole_number::<i64>, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
}

#[derive(Debug, Args)]
pub struct CallbacksArgs {
    /// The DAG
    pub dag: String,
    #[command(flatten)]
    pub run: RunArg,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// List the files of a run
    List {
        /// The DAG
        dag: String,
        /// Only those of this task
        task: Option<String>,
        #[command(flatten)]
        run: RunArg,
    },
    /// Download a file
    Get {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        name: String,
        /// The try that left it [default: the newest]
        #[arg(value_parser = whole_number::<u32>, long = "try", value_name = "N")]
        try_number: Option<u32>,
        /// Of this instance of a mapped task
        #[arg(value_parser = whole_number::<i64>, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        /// Where to; `-` is stdout [default: its name in this folder]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        run: RunArg,
    },
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` is stdin
    pub file: String,
    /// What happens to those that exist already; with `fail` nothing is set if there are any
    #[arg(long, short = 'a', value_enum, default_value_t, value_name = "ACTION")]
    pub action_on_existing_key: OnExisting,
}

/// What an import does with what exists already, as Airflow calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OnExisting {
    /// It is set anew
    #[default]
    Overwrite,
    /// It stays as it is
    Skip,
    /// Nothing at all is set
    Fail,
}

#[derive(Debug, Subcommand)]
pub enum XcomsCommand {
    /// List the values of a run
    List {
        /// The DAG
        dag: String,
        /// Only those of this task
        task: Option<String>,
        #[command(flatten)]
        run: RunArg,
    },
    /// Print a value: text as it is, anything else as JSON
    Get {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        #[arg(default_value = "return_value")]
        key: String,
        /// Of this instance of a mapped task
        #[arg(value_parser = whole_number::<i64>, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
    /// Set a value of a task that has succeeded
    Set {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        key: String,
        /// Its value: JSON, or text
        value: String,
        /// Of this instance of a mapped task
        #[arg(value_parser = whole_number::<i64>, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
    /// Delete a value
    Delete {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        /// Its name
        key: String,
        /// Of this instance of a mapped task
        #[arg(value_parser = whole_number::<i64>, long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        map_index: i64,
        #[command(flatten)]
        run: RunArg,
    },
    /// Print the values of a run as JSON, for `import`
    Export {
        /// The DAG
        dag: String,
        /// Only those of this task
        task: Option<String>,
        #[command(flatten)]
        run: RunArg,
    },
    /// Set the values of a run from a file that `export` has written
    Import {
        /// The DAG
        dag: String,
        #[command(flatten)]
        import: ImportArgs,
        #[command(flatten)]
        run: RunArg,
    },
}

#[derive(Debug, Subcommand)]
pub enum XcomCommand {
    /// Leave a value for other tasks (inside a task's process)
    Push {
        /// Its name
        key: String,
        /// Its value: JSON, or text
        value: String,
    },
}
