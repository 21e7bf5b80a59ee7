//! The open connections, and which of them goes when there is no room for another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

/// All open connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Since when nothing is done for somebody who is known; `None` while something is.
    idle_since: Option<Instant>,
    must_go: CancellationToken,
}

/// The room that one connection takes up, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    must_go: CancellationToken,
    connections: Arc<Connections>,
}

/// One request with its answer.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Running>);

#[derive(Debug)]
struct Running {
    id: u64,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(max: usize) -> Self {
        Connections { max, open: Mutex::default() }
    }

    /// Makes room for one more: at the limit, the connection goes that has been idle longest. A request that is still on
    /// its way in, or that nobody has logged in for, counts as idle: strangers never hold up those who are known. `None`
    /// when all are busy.
    pub(super) fn admit(this: &Arc<Self>) -> Option<Place> {
        let mut open = this.open();
        if open.entries.len() >= this.max {
            let idle = open.entries.iter().filter_map(|(id, entry)| Some((entry.idle_since?, *id)));
            let (_, oldest) = idle.min()?;
            if let Some(entry) = open.entries.remove(&oldest) {
                entry.must_go.cancel();
            }
        }
        let id = open.next_id;
        open.next_id += 1;
        let must_go = CancellationToken::new();
        open.entries.insert(id, Entry { idle_since: Some(Instant::now()), must_go: must_go.clone() });
        Some(Place { id, must_go, connections: Arc::clone(this) })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: u64, idle_since: Option<Instant>) {
        if let Some(entry) = self.open().entries.get_mut(&id) {
            entry.idle_since = idle_since;
        }
    }
}

impl Place {
    /// A request of this connection.
    pub(super) fn request(&self) -> Activity {
        Activity(Arc::new(Running { id: self.id, connections: Arc::clone(&self.connections) }))
    }

    /// Returns when the connection has to make room for another.
    pub(super) async fn must_go(&self) {
        self.must_go.cancelled().await;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.connections.open().entries.get(&self.id).is_none_or(|entry| entry.idle_since.is_some())
    }
}

impl Activity {
    /// The request is of somebody who is known: its connection is busy until it is answered.
    pub(crate) fn is_of_somebody(&self) {
        self.0.connections.set(self.0.id, None);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().entries.remove(&self.id);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.connections.set(self.id, Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_makes_room_and_the_busy_stay() {
        let connections = Arc::new(Connections::new(2));
        let first = Connections::admit(&connections).unwrap();
        let second = Connections::admit(&connections).unwrap();
        let activity = first.request();
        activity.is_of_somebody();
        let third = Connections::admit(&connections).unwrap();
        assert!(second.must_go.is_cancelled() && !first.must_go.is_cancelled());
        let of_third = third.request();
        of_third.is_of_somebody();
        assert!(Connections::admit(&connections).is_none(), "both are busy");
        drop(activity);
        assert!(first.is_idle());
        let fourth = Connections::admit(&connections).unwrap();
        assert!(first.must_go.is_cancelled());
        drop((first, second, third, fourth));
        assert!(connections.open().entries.is_empty());
    }
}
