//! The way of hints from schedulers to workers, as bad as a queue may be.

use std::time::Duration;

use flow_model::{Epoch, TaskInstanceKey};
use flow_queue::{Hint, Queue, Reader};
use rand::prelude::*;

pub const QUEUE: &str = "default";

/// Loses, doubles, delays and reorders hints, and invents some.
pub struct Network {
    reader: Reader,
    queue: Queue,
    under_way: Vec<Hint>,
    /// The share of hints that something happens to.
    faults: f64,
}

impl Network {
    pub fn new(queue: &Queue, faults: f64) -> Network {
        let reader = queue.reader(&[QUEUE.to_owned()], "simulation");
        Network { reader, queue: queue.clone(), under_way: Vec::new(), faults }
    }

    /// From now on everything arrives, once.
    pub fn heal(&mut self) {
        self.faults = 0.0;
    }

    /// Up to `max` hints that arrive now.
    pub async fn receive(&mut self, rng: &mut StdRng, max: usize) -> anyhow::Result<Vec<Hint>> {
        if self.queue.standing(QUEUE).await?.outstanding > 0 {
            for delivery in self.reader.take(1_000, Duration::ZERO).await? {
                if rng.random_bool(self.faults) {
                    self.garble(rng, delivery.hint);
                } else {
                    self.under_way.push(delivery.hint);
                }
            }
        }
        if self.faults > 0.0 {
            self.under_way.shuffle(rng);
        }
        let arriving = self.under_way.len().min(max);
        Ok(self.under_way.drain(..arriving).collect())
    }

    fn garble(&mut self, rng: &mut StdRng, hint: Hint) {
        match rng.random_range(0..10) {
            // Lost.
            0..=4 => {}
            5..=7 => self.under_way.extend([hint, hint]),
            8 => self.under_way.push(Hint { epoch: Epoch(hint.epoch.0 + rng.random_range(-2..=2)), ..hint }),
            _ => {
                let nobody = TaskInstanceKey(rng.random_range(1_000_000..2_000_000));
                self.under_way.extend([Hint { task_instance: nobody, ..hint }, hint]);
            }
        }
    }
}
