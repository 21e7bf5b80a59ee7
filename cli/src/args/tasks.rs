//! The arguments about task instances.

use clap::Subcommand;

use super::runs::{InstanceArg, RunArg};
use super::whole_number;

#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List the task instances of a run
    List {
        /// The DAG
        dag: String,
        /// Only those of these tasks, or of the tasks in these groups [default: all]
        tasks: Vec<String>,
        #[command(flatten)]
        run: RunArg,
        /// Only those in this state; may be repeated
        #[arg(long)]
        state: Vec<String>,
        /// How many at most
        #[arg(value_parser = whole_number::<usize>, long, value_name = "N", default_value_t = 1_000)]
        limit: usize,
    },
    /// Print the log of a task
    Logs {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
        /// The try [default: the newest]
        #[arg(value_parser = whole_number::<u32>, long = "try", value_name = "N", default_value_t = 0)]
        try_number: u32,
        /// Go on until the try has ended
        #[arg(short, long)]
        follow: bool,
        /// Print the time and stream of every line
        #[arg(long)]
        timestamps: bool,
    },
    /// Run tasks again
    Clear {
        /// The DAG
        dag: String,
        /// The tasks, or groups of tasks [default: all]
        tasks: Vec<String>,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
        /// Only those that failed
        #[arg(long)]
        only_failed: bool,
        /// Also everything before them
        #[arg(long)]
        upstream: bool,
        /// Also everything after them
        #[arg(long)]
        downstream: bool,
        /// Only say what would be cleared
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a task a state
    Mark {
        /// The DAG
        dag: String,
        /// The task, or a group of tasks
        task: String,
        /// success, failed or skipped
        #[arg(value_parser = ["success", "failed", "skipped"])]
        state: String,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
        /// Also everything before it
        #[arg(long)]
        upstream: bool,
        /// Also everything after it
        #[arg(long)]
        downstream: bool,
        /// Only say what would be marked
        #[arg(long)]
        dry_run: bool,
    },
    /// Say why a task is where it is
    Explain {
        /// The DAG
        dag: String,
        /// The task
        task: String,
        #[command(flatten)]
        run: RunArg,
        #[command(flatten)]
        instance: InstanceArg,
    },
}
