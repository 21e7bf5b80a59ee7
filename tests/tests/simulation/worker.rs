//! A worker as the store sees it: it registers, claims, renews its lease, and reports; and it pauses, dies, repeats
//! itself and speaks too late.

use std::time::Duration;

use anyhow::{bail, ensure};
use flow_model::deferral::OnTimeout;
use flow_model::{ClaimId, Epoch, Incarnation, ProcessId, TaskInstanceKey, TaskState, Timestamp};
use flow_store::{ClaimRequest, Heartbeat, NewProcess, Outcome, OutcomeKind, ProcessKind, Recorded, WorkOrder};
use rand::prelude::*;

use crate::attempt::{Attempt, name};
use crate::callback::Delivering;
use crate::network::QUEUE;
use crate::world::World;

pub const LEASE: Duration = Duration::from_secs(30);

pub struct Worker {
    pub slot: String,
    /// `None` while it is down.
    pub process: Option<ProcessId>,
    pub attempts: Vec<Attempt>,
    /// Claims whose answer has not arrived.
    pub unanswered: Vec<ClaimRequest>,
    pub callbacks: Vec<Delivering>,
    pub paused_until: Timestamp,
    pub is_draining: bool,
    concurrency: usize,
    last_heartbeat: Timestamp,
}

impl Worker {
    pub fn new(number: u32, rng: &mut StdRng) -> Worker {
        Worker {
            slot: format!("worker-{number}"),
            process: None,
            attempts: Vec::new(),
            unanswered: Vec::new(),
            callbacks: Vec::new(),
            paused_until: Timestamp::UNIX_EPOCH,
            is_draining: false,
            concurrency: rng.random_range(1..=5),
            last_heartbeat: Timestamp::UNIX_EPOCH,
        }
    }

    fn room(&self) -> usize {
        self.concurrency.saturating_sub(self.attempts.len() + self.unanswered.len())
    }
}

impl World {
    pub async fn worker_acts(&mut self, which: usize) -> anyhow::Result<()> {
        let now = self.now();
        let worker = &self.workers[which];
        if worker.paused_until > now {
            return Ok(());
        }
        let Some(process) = worker.process else {
            return if self.rng.random_bool(0.4) { self.register(which).await } else { Ok(()) };
        };
        if now.since(worker.last_heartbeat) >= Duration::from_secs(5) && self.rng.random_bool(0.7) {
            self.heartbeat(which).await?;
        }
        match self.rng.random_range(0..100) {
            0..=26 => self.claim_hinted(which).await,
            27..=37 => self.claim_polled(which).await,
            38..=68 => self.report_ended(which).await,
            69..=72 => self.take_callbacks(which).await.map(drop),
            73..=76 => self.deliver(which).await,
            77..=80 => self.heartbeat(which).await,
            81..=84 => self.crash(which),
            85..=88 => {
                let pause = Duration::from_secs(self.rng.random_range(5..80));
                self.workers[which].paused_until = now + pause;
                self.tell(&self.workers[which].slot, &format!("pauses for {} s", pause.as_secs()));
                Ok(())
            }
            89 => self.retire(which).await,
            90 => {
                self.store.drain_process(process).await?;
                self.workers[which].is_draining = true;
                self.tell(&self.workers[which].slot, "drains");
                Ok(())
            }
            _ => self.ghost_reports().await,
        }
    }

    /// It comes up, and takes over what is known of its slot.
    pub async fn register(&mut self, which: usize) -> anyhow::Result<()> {
        let slot = self.workers[which].slot.clone();
        let new = NewProcess {
            kind: ProcessKind::Worker,
            slot: slot.clone(),
            host: "localhost".to_owned(),
            pid: 1,
            incarnation: Incarnation(self.rng.random_range(0..i64::MAX)),
            version: "0.1.0".to_owned(),
            queues: vec![QUEUE.to_owned()],
            concurrency: Some(u32::try_from(self.workers[which].concurrency)?),
            lease: LEASE,
        };
        let now = self.now();
        let (process, rescued) = self.store.register_process(now, &new).await?;
        let worker = &mut self.workers[which];
        worker.process = Some(process);
        worker.is_draining = false;
        worker.last_heartbeat = now;
        self.tell(&slot, &format!("registers, {} rescued", rescued.len()));
        Ok(())
    }

    pub async fn claim_hinted(&mut self, which: usize) -> anyhow::Result<()> {
        let room = self.workers[which].room();
        let hints = self.network.receive(&mut self.rng, room).await?;
        let hints = hints.into_iter().map(|hint| (hint.task_instance, hint.epoch)).collect();
        self.claim(which, hints).await
    }

    pub async fn claim_polled(&mut self, which: usize) -> anyhow::Result<()> {
        let room = self.workers[which].room();
        let hints = self.store.queued_hints(&[QUEUE.to_owned()], room).await?;
        self.claim(which, hints).await
    }

    async fn claim(&mut self, which: usize, hints: Vec<(TaskInstanceKey, Epoch)>) -> anyhow::Result<()> {
        let Some(process) = self.workers[which].process else { return Ok(()) };
        let mut requests = std::mem::take(&mut self.workers[which].unanswered);
        let repeated = requests.len();
        for (task_instance, epoch) in hints {
            // A worker does not claim twice at once what it was told twice.
            if requests.iter().all(|request| request.task_instance != task_instance) {
                self.claims += 1;
                requests.push(ClaimRequest { task_instance, epoch, claim: ClaimId(self.claims) });
            }
        }
        if requests.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let processes = self.store.list_processes().await?;
        let is_live = processes.iter().any(|known| known.id == process && known.state == "live");
        let mut orders = self.store.claim(now, process, &requests).await?;
        orders.sort_by_key(|order| order.task_instance);
        let asked = if is_live { &requests } else { &requests[..repeated] };
        for order in &orders {
            let was_asked = asked.iter().any(|request| request.claim == order.claim);
            ensure!(was_asked, "{} was given to {process}, live: {is_live}", name(order));
            self.check_continuation(order)?;
            self.claimed.insert(order.task_instance, order.claim);
        }
        if self.rng.random_bool(0.06) {
            self.tell(&self.workers[which].slot, &format!("does not hear that {} claims were granted", orders.len()));
            self.workers[which].unanswered = requests;
            return Ok(());
        }
        let mut names = Vec::new();
        for order in orders {
            names.push(name(&order));
            let attempt = Attempt::random(&mut self.rng, order, process, now);
            self.workers[which].attempts.push(attempt);
        }
        self.tell(&self.workers[which].slot, &format!("asks for {}, gets [{}]", requests.len(), names.join(", ")));
        Ok(())
    }

    /// A part of a try that goes on is told what the part before, or its trigger, has left for it.
    fn check_continuation(&self, order: &WorkOrder) -> anyhow::Result<()> {
        if !order.is_continued {
            ensure!(order.resume.is_none(), "{} begins, and is told {:?}", name(order), order.resume);
            return Ok(());
        }
        let told = self.told.get(&order.task_instance);
        let by_timeout = self.deferrals.get(&order.task_instance).filter(|one| one.on_timeout == OnTimeout::Resume);
        let is_fitting = order.resume.as_ref() == told
            || by_timeout.is_some_and(|deferral| order.resume == Some(deferral.resumed_by_timeout()));
        ensure!(is_fitting, "{} goes on with {:?}, it was told {told:?}", name(order), order.resume);
        Ok(())
    }

    /// The attempts that have ended are reported, and perhaps reported again.
    pub async fn report_ended(&mut self, which: usize) -> anyhow::Result<()> {
        let now = self.now();
        let Some(process) = self.workers[which].process else { return Ok(()) };
        let attempts = std::mem::take(&mut self.workers[which].attempts);
        let (mut ended, running): (Vec<_>, Vec<_>) = attempts.into_iter().partition(|attempt| attempt.ends_at <= now);
        self.workers[which].attempts = running;
        if ended.is_empty() {
            return Ok(());
        }
        let slot = self.workers[which].slot.clone();
        self.report(&slot, process, &mut ended).await?;
        if self.rng.random_bool(0.15) {
            self.report(&slot, process, &mut ended).await?;
        }
        self.keep_ghosts(ended);
        Ok(())
    }

    /// Reports ends, and checks that each counts exactly if it is the end of what the store counts as running.
    async fn report(&mut self, who: &str, process: ProcessId, ended: &mut [Attempt]) -> anyhow::Result<()> {
        let mut expected = Vec::new();
        for attempt in ended.iter() {
            expected.push(match (self.is_current(&attempt.order).await?, attempt.is_recorded) {
                (true, true) => bail!("{} runs on after its end was recorded", name(&attempt.order)),
                (true, false) => Recorded::Applied,
                (false, true) => Recorded::AlreadyApplied,
                (false, false) => Recorded::Fenced,
            });
        }
        let now = self.now();
        let outcomes: Vec<Outcome> = ended.iter_mut().map(|attempt| attempt.outcome(&mut self.rng, now)).collect();
        let recorded = self.store.record_outcomes(self.now(), process, &outcomes).await?;
        for (position, (attempt, recorded)) in ended.iter_mut().zip(recorded).enumerate() {
            let (outcome, expected) = (&outcomes[position], expected[position]);
            self.tell(who, &format!("reports {} {:?}: {recorded:?}", name(&attempt.order), attempt.ending));
            // Of a part of a try nothing may be left once the try has gone on.
            let is_forgotten =
                outcome.kind.suspends() && (recorded, expected) == (Recorded::Fenced, Recorded::AlreadyApplied);
            ensure!(
                recorded == expected || is_forgotten,
                "the end of {} was {recorded:?}, not {expected:?}",
                name(&attempt.order)
            );
            attempt.is_recorded |= recorded == Recorded::Applied;
            if recorded == Recorded::Applied {
                self.remember_suspension(outcome);
            }
        }
        Ok(())
    }

    /// What the next part of the try has to be told, or its trigger to wait for.
    fn remember_suspension(&mut self, outcome: &Outcome) {
        let key = outcome.task_instance;
        match &outcome.kind {
            OutcomeKind::Deferred(deferral) => {
                self.told.remove(&key);
                self.deferrals.insert(key, (**deferral).clone());
            }
            OutcomeKind::Rescheduled { resume, .. } => {
                self.deferrals.remove(&key);
                self.told.remove(&key);
                self.told.extend(resume.iter().map(|resume| (key, resume.clone())));
            }
            OutcomeKind::Success => drop(self.left_out.insert(key, outcome.skips.clone())),
            _ => {}
        }
    }

    /// Whether the store counts this very attempt as running.
    async fn is_current(&self, order: &WorkOrder) -> anyhow::Result<bool> {
        let tasks = self.tasks(order.run).await?;
        let Some(task) = tasks.iter().find(|task| task.id == order.task_instance) else {
            bail!("{} has no row", name(order));
        };
        Ok(task.state == TaskState::Running && self.claimed.get(&order.task_instance) == Some(&order.claim))
    }

    /// Its lease is renewed; it kills what is no longer its own, and everything if it was declared dead.
    pub async fn heartbeat(&mut self, which: usize) -> anyhow::Result<()> {
        let now = self.now();
        let Some(process) = self.workers[which].process else { return Ok(()) };
        let Heartbeat::Alive { held } = self.store.heartbeat(now, process, LEASE).await? else {
            self.tell(&self.workers[which].slot, "hears that it is dead");
            return self.crash(which);
        };
        let worker = &mut self.workers[which];
        worker.last_heartbeat = now;
        for task in &held {
            let is_known = worker.attempts.iter().any(|attempt| attempt.order.claim == task.claim)
                || worker.unanswered.iter().any(|request| request.claim == task.claim);
            ensure!(is_known, "{} holds claim {} without knowing", worker.slot, task.claim);
        }
        let attempts = std::mem::take(&mut worker.attempts);
        let is_held = |attempt: &Attempt| held.iter().any(|task| task.claim == attempt.order.claim);
        let (kept, killed): (Vec<_>, Vec<_>) = attempts.into_iter().partition(is_held);
        worker.attempts = kept;
        let told = format!("holds {}, kills {}", held.len(), killed.len());
        if !(held.is_empty() && killed.is_empty()) {
            self.tell(&self.workers[which].slot, &told);
        }
        self.keep_ghosts(killed);
        Ok(())
    }

    fn crash(&mut self, which: usize) -> anyhow::Result<()> {
        let worker = &mut self.workers[which];
        worker.process = None;
        worker.unanswered.clear();
        // Some callbacks are carried out to their end all the same.
        let callbacks = std::mem::take(&mut worker.callbacks);
        self.late_callbacks.extend(callbacks);
        let worker = &mut self.workers[which];
        let lost = std::mem::take(&mut worker.attempts);
        self.tell(&self.workers[which].slot, &format!("is gone with {} attempts", lost.len()));
        self.keep_ghosts(lost);
        Ok(())
    }

    pub async fn retire(&mut self, which: usize) -> anyhow::Result<()> {
        let Some(process) = self.workers[which].process else { return Ok(()) };
        let rescued = self.store.retire_process(self.now(), process).await?;
        self.tell(&self.workers[which].slot, &format!("signs off, {} rescued", rescued.len()));
        self.crash(which)
    }

    /// What a worker has forgotten ends after all.
    async fn ghost_reports(&mut self) -> anyhow::Result<()> {
        self.late_delivery().await?;
        if self.ghosts.is_empty() {
            return Ok(());
        }
        let which = self.rng.random_range(0..self.ghosts.len());
        let mut ghost = self.ghosts.swap_remove(which);
        ghost.ends_at = ghost.ends_at.min(self.now());
        let mut ended = [ghost];
        let process = ended[0].process;
        self.report("ghost", process, &mut ended).await?;
        self.keep_ghosts(ended.into());
        Ok(())
    }

    fn keep_ghosts(&mut self, mut attempts: Vec<Attempt>) {
        attempts.retain(|_| self.rng.random_bool(0.7));
        self.ghosts.extend(attempts);
        let surplus = self.ghosts.len().saturating_sub(20);
        self.ghosts.drain(..surplus);
    }
}
