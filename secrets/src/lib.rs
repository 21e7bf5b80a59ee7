//! Variables and connections: where they come from, how the store's are encrypted, and how what is secret in them is kept
//! out of everything that people and other programs see.
//!
//! Sources in order: the environment, a folder of files, Vault, and the store. The first that has a name decides.

mod env;
mod error;
mod files;
mod keys;
mod mask;
mod secrets;
mod vault;

pub use error::SecretsError;
pub use files::FileSource;
pub use keys::{KEY_BYTES, Keyring, Sealed};
pub use mask::{MASK, Masker};
pub use secrets::{Place, Secrets, Sources};
pub use vault::{VaultSettings, VaultSource, VaultToken};
