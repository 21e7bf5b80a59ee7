//! Keeps one warden at hand, and a new one when it dies.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use super::Warden;

/// The worker's warden; started with the first process.
pub struct WardenKeeper {
    command: Vec<String>,
    held: Option<OwnedFd>,
    warden: Mutex<Option<Warden>>,
}

impl WardenKeeper {
    /// A keeper that starts wardens with `command` and lets them hold `held` open.
    pub fn new(command: Vec<String>, held: Option<OwnedFd>) -> Self {
        WardenKeeper { command, held, warden: Mutex::new(None) }
    }

    /// The warden that lives.
    ///
    /// # Errors
    /// None lives, and none can be started.
    pub fn get(&self) -> std::io::Result<Warden> {
        let mut warden = self.warden.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alive) = warden.as_ref().filter(|warden| !warden.is_gone()) {
            return Ok(alive.clone());
        }
        let held = self.held.as_ref().map(OwnedFd::try_clone).transpose()?;
        let started = Warden::start(&self.command, held)?;
        *warden = Some(started.clone());
        Ok(started)
    }

    /// The warden, if one was ever needed.
    pub fn current(&self) -> Option<Warden> {
        self.warden.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
