//! The arguments about DAGs and their runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::whole_number;

#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// The DAG
    pub dag: String,
    /// Configuration of the run: a JSON object, or @file
    #[arg(long, value_name = "JSON")]
    pub conf: Option<String>,
    /// One param, checked against its declaration; wins over --conf
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub params: Vec<String>,
    /// Logical date [default: now]; `none` for a run without one
    #[arg(long, value_name = "TIME")]
    pub logical_date: Option<String>,
    /// Where the data interval of the run begins [default: the last complete one before the logical date]
    #[arg(long, value_name = "TIME", requires = "data_interval_end")]
    pub data_interval_start: Option<String>,
    /// Where it ends
    #[arg(long, value_name = "TIME", requires = "data_interval_start")]
    pub data_interval_end: Option<String>,
    /// Id of the run [default: manual__<time>]
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// A note for people
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Wait for the end of the run; the exit code tells its result
    #[arg(long)]
    pub wait: bool,
    /// Wait, and print every move of its tasks
    #[arg(long)]
    pub follow: bool,
}

#[derive(Debug, Subcommand)]
pub enum DagsCommand {
    /// List DAGs
    List {
        /// Only ids that contain this text
        pattern: Option<String>,
        /// Only paused ones
        #[arg(long)]
        paused: bool,
    },
    /// Show a DAG
    Show {
        /// The DAG
        dag: String,
        /// Print its TOML source
        #[arg(long)]
        source: bool,
    },
    /// Check DAG files without a server: all errors, with line, column and hint
    Check {
        /// Files or folders [default: the DAG folder]
        paths: Vec<PathBuf>,
    },
    /// Say when a DAG runs next
    Next {
        /// The DAG
        dag: String,
        /// How many times
        #[arg(value_parser = whole_number::<usize>, short = 'n', long, default_value_t = 5)]
        count: usize,
    },
    /// Pause a DAG: nothing new of it starts
    Pause {
        /// The DAG
        dag: String,
    },
    /// Let a paused DAG run again
    Unpause {
        /// The DAG
        dag: String,
    },
    /// Explain what can stand in a DAG file: its keys, and every operator
    Reference {
        /// `dag`, `schedule`, `task_group`, `task`, `notifier`, `sensor`, or an operator [default: list them all]
        name: Option<String>,
    },
    /// Print the JSON Schema of DAG files, for editors
    Schema,
}

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List runs, newest first
    List {
        /// The DAG [default: all]
        dag: Option<String>,
        /// Only runs in this state
        #[arg(long)]
        state: Option<String>,
        /// Only runs that are in their state for this reason: cancelled, marked, dagrun_timeout, cleared
        #[arg(long)]
        reason: Option<String>,
        /// How many at most
        #[arg(value_parser = whole_number::<usize>, short = 'n', long, default_value_t = 25)]
        limit: usize,
    },
    /// Show a run and its tasks
    Show {
        /// The DAG
        dag: String,
        /// The run [default: the newest]
        run: Option<String>,
    },
    /// End a run now: what runs is killed, the rest is skipped. Teardowns of what was set up still run; a second cancel ends
    /// them, too
    Cancel {
        /// The DAG
        dag: String,
        /// The run [default: the newest]
        run: Option<String>,
    },
}

/// Which run.
#[derive(Debug, Args)]
pub struct RunArg {
    /// The run [default: the newest]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// Which instance of a mapped task.
#[derive(Debug, Args)]
pub struct InstanceArg {
    /// This instance of a mapped task
    #[arg(value_parser = whole_number::<i64>, long, value_name = "N")]
    pub map_index: Option<i64>,
}
