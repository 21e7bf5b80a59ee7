//! The arguments about the installation.

use clap::{Args, Subcommand};

use super::whole_number;

#[derive(Debug, Args)]
pub struct CronArgs {
    /// The expression: 5 fields, or a preset such as @daily
    pub expression: String,
    /// IANA time zone
    #[arg(long, default_value = "UTC")]
    pub timezone: String,
    /// Count from this instant [default: now]
    #[arg(long, value_name = "TIME")]
    pub after: Option<String>,
    /// How many times
    #[arg(value_parser = whole_number::<usize>, short = 'n', long, default_value_t = 5)]
    pub count: usize,
}

#[derive(Debug, Subcommand)]
pub enum PoolsCommand {
    /// List pools and how full they are
    List,
    /// Create a pool, or change its slots
    Set {
        /// Its name
        name: String,
        /// Its slots; -1 is unlimited
        #[arg(value_parser = whole_number::<i64>, allow_negative_numbers = true)]
        slots: i64,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Bring the schema up to this version
    Migrate,
    /// Show which migrations the database has
    Status,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every run's history
    Verify {
        /// Only runs created since this instant
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Make a token and print it: it cannot be seen again
    Create {
        /// Whose it is
        name: String,
        /// How long it is valid, e.g. 90d [default: for ever]
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// List tokens
    List,
    /// Revoke the tokens of a name
    Revoke {
        /// Whose they are
        name: String,
        /// Only those of this kind: api, session (a browser), local (a standalone's own), login_link [default: all]
        #[arg(long)]
        kind: Option<flow_model::TokenKind>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its value in force
    Show,
}
