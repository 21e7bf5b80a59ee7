//! Arguments of `variables`, `connections` and `secrets`.

use clap::{Args, Subcommand};

use super::ImportArgs;
use super::whole_number;

#[derive(Debug, Subcommand)]
pub enum VariablesCommand {
    /// List the variables of the store
    List {
        /// Only those with this in their names
        part: Option<String>,
    },
    /// Print a variable: its text, or `***` where it is secret
    Get {
        /// Its name
        key: String,
    },
    /// Set a variable
    Set {
        /// Its name
        key: String,
        /// Its value; `-` reads it from stdin, so that it stands in no history and no list of processes
        value: String,
        /// Never show it, and hide it in logs. Names such as `api_token` are secret by themselves
        #[arg(long)]
        secret: bool,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a variable
    Delete {
        /// Its name
        key: String,
    },
    /// Print all variables as JSON with their values, for `import`; needs the database and the keys
    Export,
    /// Set variables from a file that `export` (or `airflow variables export`) has written: JSON, YAML or `.env`
    Import(ImportArgs),
}

#[derive(Debug, Subcommand)]
pub enum ConnectionsCommand {
    /// List the connections of the store
    List {
        /// Only those with this in their names
        part: Option<String>,
    },
    /// Print a connection; what is secret of it is `***`
    Get {
        /// Its name
        conn_id: String,
    },
    /// Create a connection, or change the parts that are given
    Set(ConnectionArgs),
    /// Delete a connection
    Delete {
        /// Its name
        conn_id: String,
    },
    /// Print all connections as JSON with their passwords, for `import`; needs the database and the keys
    Export,
    /// Set connections from a file that `export` (or `airflow connections export`) has written: JSON, YAML or `.env`
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub struct ConnectionArgs {
    /// Its name
    pub conn_id: String,
    /// All of it as `type://login:password@host:port/schema`; `-` reads it from stdin
    #[arg(long, conflicts_with_all = ["conn_type", "host", "port", "login", "password", "schema", "extra"])]
    pub uri: Option<String>,
    /// What it leads to: postgres, mysql, sqlite, http, smtp, slack, redis ...
    #[arg(long, value_name = "TYPE")]
    pub conn_type: Option<String>,
    /// Host name or address
    #[arg(long)]
    pub host: Option<String>,
    /// Port
    #[arg(value_parser = whole_number::<u16>, long)]
    pub port: Option<u16>,
    /// Who logs in
    #[arg(long)]
    pub login: Option<String>,
    /// With what; `-` reads it from stdin, so that it stands in no history and no list of processes
    #[arg(long, allow_hyphen_values = true)]
    pub password: Option<String>,
    /// Name of a database, by type
    #[arg(long)]
    pub schema: Option<String>,
    /// Everything else, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub extra: Option<String>,
    /// What it is for
    #[arg(long)]
    pub description: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Print a new key
    GenerateKey,
    /// Show which keys the values of the store are encrypted with
    Status,
    /// Encrypt every value of the store with the first key; with a file of keys, make a new first key before
    Rotate {
        /// Keep the first key as it is: only finish what an earlier rotation has begun
        #[arg(long)]
        keep_key: bool,
    },
}
