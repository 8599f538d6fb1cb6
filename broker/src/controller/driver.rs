//! Runs the controller where the metadata log is led: takes commands from the queue, decides them on a clone of the
//! image, proposes what they come to as one entry, answers once it is committed.
//!
//! One entry is in flight at a time. Commands that arrive meanwhile become the next one, so a loaded controller pays
//! one flush for many commands, and what a failed proposal had speculated is simply dropped.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::controller::{Context, Decision, Error, Response, Settings, mutations};
use ottla_core::metadata::{Entry, Image, Record};
use ottla_core::quota::{Budget, MutationLedger};
use ottla_core::{LogIndex, Now};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::handle::{Answer, ControllerHandle, Pending, Unanswered};
use super::log::{MetadataLog, Outcome, ProposeError, Role};
use super::peers::Peers;
use super::remote::Remote;

/// How many commands may wait.
const QUEUE: usize = 1024;
/// An entry is closed once it holds this many records; the command that fills it may overshoot.
const RECORDS_PER_ENTRY: usize = 10_000;

/// The driver of the controller.
pub struct Driver<L> {
    log: Arc<L>,
    settings: Settings,
    now: Box<dyn Fn() -> Now + Send + Sync>,
    commands: mpsc::Receiver<Pending>,
    /// What clients have changed while this node led. A new controller begins with none of it, as in Kafka.
    mutations: MutationLedger,
}

/// What holds of a command if the entry it is part of is applied.
struct Verdict {
    result: Result<Response, Error>,
    /// How long it takes until the client's quota allows more changes.
    wait: Duration,
}

/// Commands that share an entry.
type Decided = Vec<(Pending, Verdict)>;

impl<L: MetadataLog> Driver<L> {
    /// A driver of the controller on `log`, and the handle that feeds it, or the one that leads by way of `peers`.
    /// `published` is what the publisher publishes; `now` reads the clocks.
    pub fn new(
        log: Arc<L>,
        settings: Settings,
        published: watch::Receiver<Arc<Image>>,
        peers: Peers,
        now: impl Fn() -> Now + Send + Sync + 'static,
    ) -> (Self, ControllerHandle) {
        let (sender, commands) = mpsc::channel(QUEUE);
        let members = Arc::clone(&log);
        let remote = Remote::new(peers, move |broker| members.address_of(broker));
        let handle = ControllerHandle { local: sender, role: log.role(), remote, images: published };
        let mutations = MutationLedger::new(settings.mutation_windows());
        (Self { log, settings, now: Box::new(now), commands, mutations }, handle)
    }

    /// Serves until every handle is gone or the log has stopped.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(QUEUE);
        while self.commands.recv_many(&mut waiting, QUEUE).await > 0 {
            while !waiting.is_empty() {
                if self.serve(&mut waiting).await.is_err() {
                    return warn!("the metadata log has stopped: no more commands are taken");
                }
            }
        }
    }

    /// Decides and commits as many of the waiting commands as fit an entry.
    async fn serve(&mut self, waiting: &mut Vec<Pending>) -> Result<(), Unanswered> {
        if *self.log.role().borrow() != Role::Leader {
            leave(waiting.drain(..), Unanswered::NotController);
            return Ok(());
        }
        let image = Arc::clone(&self.log.committed().borrow());
        let (records, decided) = self.decide(&image, waiting);
        if records.is_empty() {
            answer(image.index(), decided);
            return Ok(());
        }
        let Some(controller) = image.controller() else {
            // Unreachable while this node leads: its first entry has been applied.
            leave(decided.into_iter().map(|(pending, _)| pending), Unanswered::NotController);
            return Ok(());
        };
        let count = records.len();
        let entry = Entry { controller_epoch: controller.epoch, decided_on: image.index(), records };
        match self.log.propose(entry).await {
            Ok(Outcome::Applied(index)) => {
                debug!(index = index.0, records = count, commands = decided.len(), "committed");
                answer(index, decided);
            }
            Ok(Outcome::Skipped) => {
                debug!(decided_on = image.index().0, "something came between: deciding anew");
                waiting.splice(0..0, decided.into_iter().map(|(pending, _)| pending));
            }
            Err(ProposeError::NotLeader { .. }) => {
                leave(decided.into_iter().map(|(pending, _)| pending), Unanswered::Lost);
            }
            Err(ProposeError::Stopped(reason)) => {
                warn!(%reason, "cannot commit");
                leave(decided.into_iter().map(|(pending, _)| pending), Unanswered::Stopped);
                return Err(Unanswered::Stopped);
            }
        }
        Ok(())
    }

    /// Decides commands one upon the other, on a clone that nobody else sees.
    fn decide(&mut self, image: &Image, waiting: &mut Vec<Pending>) -> (Vec<Record>, Decided) {
        let mut speculative = image.clone();
        let (mut records, mut decided) = (Vec::new(), Vec::new());
        let mut taken = 0;
        for pending in waiting.iter() {
            taken += 1;
            let (new, verdict) = self.judge(&speculative, pending);
            for record in &new {
                speculative.apply(record).expect("a decision is made of records that fit its image");
            }
            records.extend(new);
            decided.push(verdict);
            if records.len() >= RECORDS_PER_ENTRY {
                break;
            }
        }
        let pending = waiting.drain(..taken);
        (records, pending.zip(decided).collect())
    }

    /// Decides one command by the quota of the client it is for, and charges that with what it comes to. What is dropped
    /// afterwards has been charged too: it is tried again.
    fn judge(&mut self, image: &Image, pending: &Pending) -> (Vec<Record>, Verdict) {
        let (order, now) = (&pending.order, (self.now)());
        let quotas = image.quotas();
        let budget = match &order.by {
            Some(by) => self.mutations.budget(quotas, by, now.monotonic),
            None => Budget::UNLIMITED,
        };
        match order.command.clone().decide(&Context { image, settings: &self.settings, now, budget }) {
            Ok(Decision { records, response }) => {
                let wait = match &order.by {
                    Some(by) => self.mutations.spend(quotas, by, mutations(image, &records), now.monotonic),
                    None => Duration::ZERO,
                };
                (records, Verdict { result: Ok(response), wait })
            }
            Err(error) => (Vec::new(), Verdict { result: Err(error), wait: Duration::ZERO }),
        }
    }
}

fn answer(index: LogIndex, decided: Decided) {
    for (pending, Verdict { result, wait }) in decided {
        // Whoever asked may have given up waiting.
        drop(pending.answer.send(Ok(Answer { index, result, wait })));
    }
}

fn leave(pending: impl Iterator<Item = Pending>, why: Unanswered) {
    for pending in pending {
        drop(pending.answer.send(Err(why)));
    }
}
