//! The queue within one process: no polling, no copies, microseconds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::{Bell, Delivery, Hint, Listener, Standing};

/// Hints and bells in memory.
#[derive(Debug, Clone, Default)]
pub struct InProcess {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queues: Mutex<HashMap<String, VecDeque<Hint>>>,
    arrived: Notify,
    bells: [watch::Sender<u64>; 4],
}

impl InProcess {
    pub(crate) fn publish(&self, hints: &[(String, Hint)]) {
        {
            let mut queues = self.shared.queues.lock().expect("no panic while locked");
            for (queue, hint) in hints {
                match queues.get_mut(queue) {
                    Some(waiting) => waiting.push_back(*hint),
                    None => {
                        queues.insert(queue.clone(), VecDeque::from([*hint]));
                    }
                }
            }
        }
        self.shared.arrived.notify_waiters();
    }

    pub(crate) fn reader(&self, queues: &[String]) -> InProcessReader {
        InProcessReader { shared: Arc::clone(&self.shared), queues: queues.to_vec() }
    }

    pub(crate) fn ring(&self, bell: Bell) {
        self.shared.bells[bell as usize].send_modify(|rings| *rings += 1);
    }

    pub(crate) fn listen(&self, bell: Bell) -> Listener {
        Listener::new(self.shared.bells[bell as usize].subscribe())
    }

    pub(crate) fn standing(&self, queue: &str) -> Standing {
        let queues = self.shared.queues.lock().expect("no panic while locked");
        Standing {
            outstanding: queues.get(queue).map_or(0, |waiting| waiting.len() as u64),
            high_water_mark: Some(i64::MAX),
        }
    }
}

/// Reads from the queues of this process.
#[derive(Debug)]
pub struct InProcessReader {
    shared: Arc<Shared>,
    queues: Vec<String>,
}

impl InProcessReader {
    pub(crate) async fn take(&mut self, max: usize, wait: Duration) -> Vec<Delivery> {
        let shared = Arc::clone(&self.shared);
        let look = async {
            loop {
                // Subscribe before looking, so that nothing arrives unseen in between.
                let arrived = shared.arrived.notified();
                let taken = self.take_now(max);
                if !taken.is_empty() {
                    return taken;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(wait, look).await.unwrap_or_default()
    }

    fn take_now(&self, max: usize) -> Vec<Delivery> {
        let mut queues = self.shared.queues.lock().expect("no panic while locked");
        let mut taken = Vec::new();
        for name in &self.queues {
            let Some(waiting) = queues.get_mut(name) else { continue };
            while taken.len() < max {
                let Some(hint) = waiting.pop_front() else { break };
                taken.push(Delivery { hint, queue: name.clone(), message: String::new() });
            }
        }
        taken
    }
}
