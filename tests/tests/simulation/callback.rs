//! Workers carry callbacks out: they die on the way, are late, and repeat themselves.

use std::collections::BTreeMap;

use anyhow::ensure;
use flow_model::ProcessId;
use flow_model::callback::{self, Delivery};
use flow_model::limits::CALLBACK_TRIES_MAX;
use flow_store::{CallbackOrder, CallbackOutcome, CallbackResult};
use rand::prelude::*;

use crate::world::World;

/// More than there ever are: which of them would be taken otherwise is left to the database.
const ROOM: usize = 10_000;

/// What is known of the deliveries of one callback.
#[derive(Default)]
pub struct Deliveries {
    /// Tries that have begun.
    pub tries: u32,
    /// Who has it.
    holder: Option<ProcessId>,
    /// How often each notifier was reached.
    pub reached: Vec<u32>,
    /// Nobody is to try again.
    pub is_over: bool,
}

/// All callbacks by what they are about, in words: keys differ from database to database.
pub type Journal = BTreeMap<i64, Deliveries>;

/// A callback that a worker is busy with.
pub struct Delivering {
    order: CallbackOrder,
    process: ProcessId,
}

impl World {
    pub async fn take_callbacks(&mut self, which: usize) -> anyhow::Result<usize> {
        let Some(process) = self.workers[which].process else { return Ok(0) };
        let is_live = self.is_live(process).await?;
        let mut taken = self.store.take_callbacks(self.now(), process, ROOM).await?;
        ensure!(is_live || taken.is_empty(), "{process} is not live, and got {} callbacks", taken.len());
        taken.sort_by_key(|one| (one.order.run, one.order.task_instance, one.event, one.tries, one.id));
        let count = taken.len();
        if count > 0 {
            self.tell(&self.workers[which].slot, &format!("takes {count} callbacks"));
        }
        for order in taken {
            let known = self.journal.entry(order.id).or_default();
            ensure!(!known.is_over, "a callback was given out that is over: {order:?}");
            known.tries += 1;
            ensure!(
                order.tries == known.tries && order.tries <= CALLBACK_TRIES_MAX,
                "try {} of {order:?}",
                known.tries
            );
            known.holder = Some(process);
            self.workers[which].callbacks.push(Delivering { order, process });
        }
        Ok(count)
    }

    /// Finishes what the worker has begun; sometimes it is dead by then.
    pub async fn deliver(&mut self, which: usize) -> anyhow::Result<()> {
        let under_way = std::mem::take(&mut self.workers[which].callbacks);
        for delivering in under_way {
            if self.rng.random_bool(0.2) {
                self.workers[which].callbacks.push(delivering);
                continue;
            }
            self.finish(delivering).await?;
        }
        Ok(())
    }

    /// A worker that is gone says after all what became of a callback.
    pub async fn late_delivery(&mut self) -> anyhow::Result<()> {
        if self.late_callbacks.is_empty() {
            return Ok(());
        }
        let which = self.rng.random_range(0..self.late_callbacks.len());
        let delivering = self.late_callbacks.swap_remove(which);
        self.finish(delivering).await
    }

    async fn finish(&mut self, Delivering { order, process }: Delivering) -> anyhow::Result<()> {
        let dag = &order.order.graph.dag;
        let callbacks = if order.is_of_run { &dag.callbacks } else { &order.order.task().callbacks };
        let notifiers = callbacks.of(order.event).len();
        ensure!(notifiers > 0, "a callback without notifiers: {order:?}");
        let known = self.journal.entry(order.id).or_default();
        known.reached.resize(notifiers, 0);
        let mut delivered = order.delivered;
        for position in 0..notifiers {
            let is_reached = delivered & (1 << position) != 0;
            if !is_reached && self.rng.random_bool(0.7) {
                delivered |= 1 << position;
                known.reached[position] += 1;
            }
        }
        let delivery = callback::decide(notifiers, delivered, order.tries);
        let results = vec![CallbackResult { kind: "command".to_owned(), ok: true, message: String::new() }];
        let outcome = CallbackOutcome { id: order.id, delivered, results, delivery };
        let is_dead = self.is_dead(process).await?;
        let counts = self.store.finish_callback(self.now(), process, &outcome).await?;
        let known = self.journal.entry(order.id).or_default();
        let expected = !is_dead && known.holder == Some(process);
        ensure!(counts == expected, "{order:?} was finished by {process}: {counts}, not {expected}");
        if counts {
            known.holder = None;
            known.is_over = !matches!(delivery, Delivery::Again(_));
        }
        if counts && self.rng.random_bool(0.1) {
            let again = self.store.finish_callback(self.now(), process, &outcome).await?;
            ensure!(!again, "{order:?} was finished twice");
        }
        let of = if order.is_of_run { "the run" } else { order.order.task().task_id.as_str() };
        self.tell(
            &process.to_string(),
            &format!(
                "calls back for {} {} {of}: {} try {} {delivery:?} {counts}",
                order.order.graph.dag.dag_id, order.order.run_id, order.event, order.tries
            ),
        );
        Ok(())
    }
}
