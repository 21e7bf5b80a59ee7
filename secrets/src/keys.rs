//! Encryption of what the store keeps: AES-256-GCM with a random nonce for each value and a key id beside it, so that keys
//! can be changed while everything runs. A value is bound to the row that it was made for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flow_model::SecretText;
use flow_model::outside::without_mark;

use crate::error::SecretsError;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const FORMAT: &str = "v1";

/// What the value of a variable is bound to.
pub(crate) fn of_variable(key: &str) -> String {
    format!("variable/{key}")
}

/// What a connection is bound to.
pub(crate) fn of_connection(conn_id: &str) -> String {
    format!("connection/{conn_id}")
}

/// An encrypted value as the store keeps it: `v1:<key id>:<base64 of nonce and ciphertext>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl Sealed {
    /// The key that it was made with.
    pub fn key_id(&self) -> Option<&str> {
        let (format, rest) = self.0.split_once(':')?;
        (format == FORMAT).then_some(rest.split_once(':')?.0)
    }
}

/// The keys of this process: the first encrypts, all decrypt. Cheap to clone.
#[derive(Clone, Default)]
pub struct Keyring {
    file: Option<Arc<PathBuf>>,
    keys: Arc<RwLock<Keys>>,
}

#[derive(Default, Clone)]
struct Keys {
    first: Option<String>,
    ciphers: HashMap<String, Aes256Gcm>,
}

impl Keyring {
    /// Keys as text: `<id>:<base64>`, separated by commas or white space; the first encrypts.
    ///
    /// # Errors
    /// A key is not like that.
    pub fn from_text(place: &str, text: &str) -> Result<Keyring, SecretsError> {
        let keys = parse(text).map_err(|cause| SecretsError::BadKeys { place: place.to_owned(), cause })?;
        Ok(Keyring { file: None, keys: Arc::new(RwLock::new(keys)) })
    }

    /// Keys in a file. It may be missing: then there is none until somebody writes it. It is read again when a value names
    /// a key that is not known yet.
    ///
    /// # Errors
    /// It cannot be read, others than its owner may read it, or its content is no keys.
    pub fn from_file(path: &Path) -> Result<Keyring, SecretsError> {
        let keyring = Keyring { file: Some(Arc::new(path.to_owned())), keys: Arc::default() };
        keyring.reload()?;
        Ok(keyring)
    }

    /// A new key as text, with an id of its own.
    pub fn generate() -> SecretText {
        let id: [u8; 4] = rand::random();
        let key: [u8; KEY_BYTES] = rand::random();
        SecretText::new(format!("{}:{}", flow_model::dag::hex(&id), BASE64.encode(key)))
    }

    /// Whether there is a key to encrypt with.
    pub fn can_seal(&self) -> bool {
        self.read().first.is_some()
    }

    /// The id of the key that encrypts.
    pub fn first_id(&self) -> Option<String> {
        self.read().first.clone()
    }

    /// Encrypts the value of `what`, for instance `variable/region`.
    ///
    /// # Errors
    /// There is no key.
    pub fn seal(&self, what: &str, value: &str) -> Result<Sealed, SecretsError> {
        if !self.can_seal() {
            self.reload()?;
        }
        let keys = self.read();
        let no_key = || SecretsError::NoKey { what: what.to_owned() };
        let id = keys.first.as_ref().ok_or_else(no_key)?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: value.as_bytes(), aad: what.as_bytes() };
        let sealed = keys.ciphers[id].encrypt(&Nonce::from(nonce), payload).map_err(|_| no_key())?;
        Ok(Sealed(format!("{FORMAT}:{id}:{}", BASE64.encode([nonce.as_slice(), &sealed].concat()))))
    }

    /// Decrypts the value of `what`.
    ///
    /// # Errors
    /// Its key is not known, or it was changed, or made for something else.
    pub fn open(&self, what: &str, sealed: &Sealed) -> Result<SecretText, SecretsError> {
        let wrong = |cause: &str, hint| SecretsError::Sealed { what: what.to_owned(), cause: cause.to_owned(), hint };
        const DAMAGED: &str = "set it again; the row was changed by something other than flowctl, or moved";
        let unreadable = || wrong("it is not in a known format", DAMAGED);
        let id = sealed.key_id().ok_or_else(unreadable)?;
        let bytes = BASE64.decode(sealed.0.rsplit(':').next().unwrap_or_default()).map_err(|_| unreadable())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(unreadable)?;
        if !self.read().ciphers.contains_key(id) {
            self.reload()?;
        }
        let keys = self.read();
        let Some(cipher) = keys.ciphers.get(id) else {
            let cause = format!("this process does not have the key `{id}`");
            return Err(wrong(&cause, "give every role the same keys: FLOW__SECRETS__KEYS or `secrets.keys_file`"));
        };
        let payload = Payload { msg: text, aad: what.as_bytes() };
        let opened = cipher.decrypt(&Nonce::from(*nonce), payload);
        let opened = opened.map_err(|_| wrong("it does not fit its key or its name", DAMAGED))?;
        String::from_utf8(opened).map(SecretText::new).map_err(|_| unreadable())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again, where there is one.
    fn reload(&self) -> Result<(), SecretsError> {
        let Some(path) = &self.file else { return Ok(()) };
        let place = path.display().to_string();
        let text = match std::fs::read_to_string(path.as_ref()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(SecretsError::BadKeys { place, cause: error.to_string() }),
        };
        require_private(path)?;
        let keys = parse(without_mark(&text)).map_err(|cause| SecretsError::BadKeys { place, cause })?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut ids: Vec<String> = self.read().ciphers.keys().cloned().collect();
        ids.sort();
        write!(f, "Keyring({})", ids.join(", "))
    }
}

fn require_private(path: &Path) -> Result<(), SecretsError> {
    use std::os::unix::fs::PermissionsExt;
    let wrong = |cause: String| SecretsError::BadKeys { place: path.display().to_string(), cause };
    let mode = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(wrong(format!("others than its owner may read or write it (mode {:03o}); do `chmod 600`", mode & 0o777)))
}

fn parse(text: &str) -> Result<Keys, String> {
    let mut keys = Keys::default();
    let entries = text.split([',', ' ', '\n', '\r', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
    for (number, entry) in entries.enumerate() {
        let wrong = |why: &str| format!("key {} {why}", number + 1);
        let (id, key) = entry.split_once(':').ok_or_else(|| wrong("has no `:` after its id"))?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(wrong("has an id with other characters than letters, digits, `-` and `_`"));
        }
        let bytes = BASE64.decode(key).map_err(|_| wrong("is not base64"))?;
        let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| wrong("does not have 32 bytes"))?;
        if keys.ciphers.insert(id.to_owned(), Aes256Gcm::new(&bytes.into())).is_some() {
            return Err(format!("two keys have the id `{id}`"));
        }
        keys.first.get_or_insert_with(|| id.to_owned());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
