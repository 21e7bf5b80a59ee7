//! From a name to its value.

use std::sync::Arc;

use flow_model::connection::is_sensitive_name;
use flow_model::{Connection, SecretText};
use flow_store::{SealedRow, Store, StoredConnection, StoredVariable};

use crate::error::SecretsError;
use crate::files::FileSource;
use crate::keys::{Keyring, Sealed};
use crate::vault::VaultSource;
use crate::{env, keys};

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An environment variable of this process.
    Environment,
    /// A file.
    File,
    /// Vault.
    Vault,
    /// The store.
    Store,
}

impl Place {
    /// How it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Environment => "environment",
            Place::File => "file",
            Place::Vault => "vault",
            Place::Store => "store",
        }
    }
}

/// Answers an environment variable's value, asked by name.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The sources besides the store, which always is one.
#[derive(Default)]
pub struct Sources {
    /// Environment variables by name; `None`: those of this process.
    pub env: Option<Environment>,
    /// A folder of files.
    pub files: Option<FileSource>,
    /// Vault.
    pub vault: Option<VaultSource>,
    /// The keys for the store's values.
    pub keys: Keyring,
}

/// Looks up variables and connections. Cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    store: Store,
    sources: Arc<Sources>,
}

impl Secrets {
    /// A lookup over these sources.
    pub fn new(store: Store, sources: Sources) -> Self {
        Secrets { store, sources: Arc::new(sources) }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The keys for the store's values.
    pub fn keys(&self) -> &Keyring {
        &self.sources.keys
    }

    /// The value of a variable.
    ///
    /// # Errors
    /// No source has it, or a source that comes first cannot be read.
    pub async fn variable(&self, key: &str) -> Result<SecretText, SecretsError> {
        self.find_variable(key).await.map(|(value, _)| value)
    }

    /// The value of a variable, and where it is from.
    ///
    /// # Errors
    /// As [`Secrets::variable`].
    pub async fn find_variable(&self, key: &str) -> Result<(SecretText, Place), SecretsError> {
        if let Some(value) = self.with_env(|env| env::variable(env, key)) {
            return Ok((value, Place::Environment));
        }
        if let Some(files) = &self.sources.files
            && let Some((value, _)) = files.read("variables", key).await?
        {
            return Ok((value, Place::File));
        }
        if let Some(vault) = &self.sources.vault
            && let Some(value) = vault.variable(key).await?
        {
            return Ok((value, Place::Vault));
        }
        match self.store.stored_variable(key).await? {
            Some(found) => Ok((self.open_variable(&found)?, Place::Store)),
            None => Err(SecretsError::NoVariable(key.to_owned())),
        }
    }

    /// Whether the value of a variable must not be seen: its name or its place says so, or whoever set it.
    ///
    /// # Errors
    /// The store failed.
    pub async fn is_secret_variable(&self, key: &str, place: Place) -> Result<bool, SecretsError> {
        // What people put into files of secrets or into Vault is secret.
        if is_sensitive_name(key) || matches!(place, Place::File | Place::Vault) {
            return Ok(true);
        }
        Ok(place == Place::Store && self.store.stored_variable(key).await?.is_some_and(|found| found.is_secret))
    }

    /// A connection.
    ///
    /// # Errors
    /// No source has it, or a source that comes first cannot be read.
    pub async fn connection(&self, conn_id: &str) -> Result<Connection, SecretsError> {
        self.find_connection(conn_id).await.map(|(connection, _)| connection)
    }

    /// A connection, and where it is from.
    ///
    /// # Errors
    /// As [`Secrets::connection`].
    pub async fn find_connection(&self, conn_id: &str) -> Result<(Connection, Place), SecretsError> {
        if let Some((text, name)) = self.with_env(|env| env::connection(env, conn_id)) {
            return Ok((read(conn_id, &text, &format!("the environment variable {name}"))?, Place::Environment));
        }
        if let Some(files) = &self.sources.files
            && let Some((text, path)) = files.read("connections", conn_id).await?
        {
            return Ok((read(conn_id, &text, &format!("`{}`", path.display()))?, Place::File));
        }
        if let Some(vault) = &self.sources.vault
            && let Some(connection) = vault.connection(conn_id).await?
        {
            return Ok((connection, Place::Vault));
        }
        match self.store.stored_connection(conn_id).await? {
            Some(found) => Ok((self.open_connection(&found)?, Place::Store)),
            None => Err(SecretsError::NoConnection(conn_id.to_owned())),
        }
    }

    /// Encrypts the value of a variable for the store.
    ///
    /// # Errors
    /// There is no key.
    pub fn seal_variable(&self, key: &str, value: &str) -> Result<Sealed, SecretsError> {
        self.sources.keys.seal(&keys::of_variable(key), value)
    }

    /// The value of a variable of the store.
    ///
    /// # Errors
    /// It cannot be decrypted.
    pub fn open_variable(&self, stored: &StoredVariable) -> Result<SecretText, SecretsError> {
        self.open(&keys::of_variable(&stored.key), stored.sealed.clone())
    }

    /// Encrypts a connection for the store.
    ///
    /// # Errors
    /// There is no key.
    pub fn seal_connection(&self, connection: &Connection) -> Result<Sealed, SecretsError> {
        self.sources.keys.seal(&keys::of_connection(&connection.conn_id), &connection.to_json().to_string())
    }

    /// A connection of the store.
    ///
    /// # Errors
    /// It cannot be decrypted.
    pub fn open_connection(&self, stored: &StoredConnection) -> Result<Connection, SecretsError> {
        let text = self.open(&keys::of_connection(&stored.conn_id), stored.sealed.clone())?;
        read(&stored.conn_id, &text, "the store")
    }

    /// Encrypts a value of the store anew with the key that encrypts. `None`: it is encrypted with it already.
    ///
    /// # Errors
    /// It cannot be decrypted, or there is no key.
    pub fn reseal(&self, row: &SealedRow) -> Result<Option<Sealed>, SecretsError> {
        let sealed = Sealed(row.sealed.clone());
        if sealed.key_id() == self.sources.keys.first_id().as_deref() {
            return Ok(None);
        }
        let value = self.open_row(row)?;
        self.sources.keys.seal(&what(row), value.expose()).map(Some)
    }

    /// What a row of the store holds.
    ///
    /// # Errors
    /// It cannot be decrypted.
    pub fn open_row(&self, row: &SealedRow) -> Result<SecretText, SecretsError> {
        self.open(&what(row), row.sealed.clone())
    }

    fn with_env<T>(&self, look: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Option<T>) -> Option<T> {
        match &self.sources.env {
            Some(env) => look(env.as_ref()),
            None => look(&|name| std::env::var(name).ok()),
        }
    }

    fn open(&self, what: &str, sealed: String) -> Result<SecretText, SecretsError> {
        self.sources.keys.open(what, &Sealed(sealed))
    }
}

/// What a row is bound to.
fn what(row: &SealedRow) -> String {
    if row.kind == "connection" { keys::of_connection(&row.name) } else { keys::of_variable(&row.name) }
}

fn read(conn_id: &str, text: &SecretText, place: &str) -> Result<Connection, SecretsError> {
    Connection::from_text(conn_id, text.expose()).map_err(|cause| SecretsError::BadConnection {
        conn_id: conn_id.to_owned(),
        place: place.to_owned(),
        cause,
    })
}
