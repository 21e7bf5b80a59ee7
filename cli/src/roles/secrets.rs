//! The sources of variables and connections, as configured.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use flow_model::SecretText;
use flow_secrets::{FileSource, Keyring, Secrets, SecretsError, Sources, VaultSettings, VaultSource, VaultToken};
use flow_store::Store;

use crate::config::Settings;
use crate::failure::{Exit, Failure};
use crate::hardening;

/// Where `secrets.keys` comes from, for messages.
const KEYS_SETTING: &str = "`secrets.keys`";

/// The configured sources over a store.
///
/// # Errors
/// Keys cannot be used, or Vault's client cannot be made.
pub fn open(settings: &Settings, store: Store) -> anyhow::Result<Secrets> {
    let secrets = &settings.secrets;
    let some = |path: &PathBuf| Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
    let vault = if secrets.vault_url.is_empty() { None } else { Some(vault(settings)?) };
    let sources = Sources {
        env: Some(Box::new(hardening::variable)),
        files: some(&secrets.folder).map(FileSource::new),
        vault,
        keys: keyring(settings).map_err(|error| refused(&error))?,
    };
    Ok(Secrets::new(store, sources))
}

/// The configured keys.
fn keyring(settings: &Settings) -> Result<Keyring, SecretsError> {
    if settings.secrets.keys.is_empty() {
        Keyring::from_file(&keys_file(settings))
    } else {
        Keyring::from_text(KEYS_SETTING, &settings.secrets.keys)
    }
}

/// The file of keys; none when they are given as text.
pub fn keys_file(settings: &Settings) -> PathBuf {
    let file = &settings.secrets.keys_file;
    if file.as_os_str().is_empty() { settings.state.folder.join("secrets.key") } else { file.clone() }
}

/// Makes the first key of a standalone, where there is none: nobody else needs it.
///
/// # Errors
/// The file cannot be written.
pub fn ensure_key(settings: &Settings) -> anyhow::Result<()> {
    let file = keys_file(settings);
    if !settings.secrets.keys.is_empty() || file.exists() {
        return Ok(());
    }
    write_keys(&file, &Keyring::generate())
}

/// Replaces the content of a file of keys, so that nobody ever sees half of it or can read it meanwhile.
///
/// # Errors
/// It cannot be written.
pub fn write_keys(file: &Path, keys: &SecretText) -> anyhow::Result<()> {
    let failed = || format!("cannot write the keys to `{}`", file.display());
    let draft = file.with_extension(format!("new-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut open = options.write(true).create_new(true).mode(0o600).open(&draft).with_context(failed)?;
    let written = writeln!(open, "{}", keys.expose()).and_then(|()| open.sync_all());
    written.and_then(|()| std::fs::rename(&draft, file)).with_context(failed)
}

fn vault(settings: &Settings) -> anyhow::Result<VaultSource> {
    let secrets = &settings.secrets;
    let token = if secrets.vault_token.is_empty() {
        VaultToken::File(secrets.vault_token_file.clone())
    } else {
        VaultToken::Text(SecretText::new(secrets.vault_token.clone()))
    };
    let settings = VaultSettings {
        url: secrets.vault_url.clone(),
        mount: secrets.vault_mount.clone(),
        namespace: secrets.vault_namespace.clone(),
        variables_path: secrets.vault_variables_path.clone(),
        connections_path: secrets.vault_connections_path.clone(),
        token,
    };
    VaultSource::new(settings).context("cannot make a client for Vault")
}

/// A failure of the secrets as one of the program, its hint apart.
pub fn refused(error: &SecretsError) -> anyhow::Error {
    let text = error.to_string();
    let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
    let failure = Failure::new(Exit::Failed, message.to_owned());
    if hint.is_empty() { failure.into() } else { failure.hint(hint.to_owned()).into() }
}
