//! What can go wrong between a name and its value. No message ever holds a value.

use flow_model::connection::ConnectionError;
use flow_store::StoreError;

/// A variable or a connection could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// No source has the variable.
    #[error(
        "variable `{0}` does not exist\nhint: set it with `flowctl variables set {0} <value>`, or give workers the environment variable {env}",
        env = crate::env::variable_name(.0)
    )]
    NoVariable(String),
    /// No source has the connection.
    #[error(
        "connection `{0}` does not exist\nhint: set it with `flowctl connections set {0} --conn-type <type> --host <host> ...`, or give workers the environment variable {env}",
        env = crate::env::connection_name(.0)
    )]
    NoConnection(String),
    /// A source has the connection, and its text is wrong.
    #[error(
        "cannot read connection `{conn_id}` from {place}: {cause}\nhint: write it like `postgres://login:password@host:5432/database`, each part percent-encoded, or as JSON with `conn_type`"
    )]
    BadConnection {
        /// Which one.
        conn_id: String,
        /// Where it comes from.
        place: String,
        /// What is wrong.
        cause: ConnectionError,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`: {cause}\nhint: {hint}")]
    File {
        /// Which one.
        path: String,
        /// Why.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
    /// Vault does not give an answer that can be used.
    #[error("cannot ask Vault at {url} for `{path}`: {cause}\nhint: {hint}")]
    Vault {
        /// Its address.
        url: String,
        /// What was asked for.
        path: String,
        /// Why.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
    /// A value of the store cannot be decrypted.
    #[error("cannot decrypt {what} of the store: {cause}\nhint: {hint}")]
    Sealed {
        /// Whose value.
        what: String,
        /// Why.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
    /// There is no key to encrypt with.
    #[error(
        "cannot encrypt {what}: no key is configured\nhint: `flowctl secrets generate-key` makes one; set it as FLOW__SECRETS__KEYS for every role, or put it into the file `secrets.keys_file`"
    )]
    NoKey {
        /// What was to be encrypted.
        what: String,
    },
    /// The keys that are configured cannot be used.
    #[error(
        "cannot use the keys from {place}: {cause}\nhint: a key is `<id>:<32 bytes in base64>`; `flowctl secrets generate-key` makes one"
    )]
    BadKeys {
        /// Where they are.
        place: String,
        /// Why.
        cause: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SecretsError {
    /// Whether no source has the name.
    pub fn is_missing(&self) -> bool {
        matches!(self, SecretsError::NoVariable(_) | SecretsError::NoConnection(_))
    }
}
