//! Log directories that fail, and what a broker tells the controller of them, as `replica::Manager` does.

use ottla_core::BrokerId;
use ottla_core::controller::{AssignReplicas, FailDirectories};

use crate::faults::Fault;
use crate::log::Loss;
use crate::machine::Purpose;
use crate::message::{Event, ProduceError, Tp};
use crate::world::World;

impl World {
    /// A flush was refused: the directory has failed, for good as far as this process is concerned. The process ends with
    /// the one that holds the metadata.
    pub(crate) fn directory_failed(&mut self, broker: usize, place: usize) {
        self.coverage.count(Fault::Refusal.name());
        self.note("flush refused", &[("broker", broker as i64), ("directory", place as i64)]);
        if place == 0 {
            self.process_gone(broker);
            let delay = self.dice.millis(500, 5_000);
            self.after(delay, Event::Start(broker));
        }
        let machine = &mut self.machines[broker];
        let loss = machine.disk.fail(place, &mut self.dice);
        self.count_loss(loss);
        self.data_lost(broker, Some(place));
        let Some(process) = self.process(broker) else { return };
        process.offline.insert(place);
        let all: Vec<Tp> = process.replicas.keys().copied().collect();
        let there = |tp: &Tp| self.machines[broker].disk.place_of(*tp) == Some(place);
        for tp in all.into_iter().filter(there).collect::<Vec<_>>() {
            let Some(process) = self.process(broker) else { return };
            process.unflushed.remove(&tp);
            process.misplaced.remove(&tp);
            for waiting in process.replicas.remove(&tp).into_iter().flat_map(|replica| replica.waiting) {
                self.produce_answer(broker, tp, waiting.request, Err(ProduceError::Retriable));
            }
            self.coverage.count("replicas in a failed directory");
        }
        self.tell_of_directories(broker);
    }

    /// Tells the controller which directories have failed, then where replicas lie that the metadata has elsewhere.
    pub(crate) fn tell_of_directories(&mut self, broker: usize) {
        let machine = &self.machines[broker];
        let Some(process) = &machine.process else { return };
        let Some(epoch) = process.epoch else { return };
        let is_told = |purpose: &Purpose| matches!(purpose, Purpose::Failed(_) | Purpose::Placed(_));
        if process.asks.values().any(|ask| is_told(&ask.purpose)) {
            return;
        }
        let me = BrokerId(broker as i32);
        if process.offline.len() > process.told_offline {
            let failed: Vec<_> = process.offline.iter().map(|place| machine.disk.identity(broker, *place)).collect();
            self.coverage.count("failed directories reported");
            self.ask(broker, Purpose::Failed(failed.len()), FailDirectories { broker: me, epoch, failed });
        } else if !process.misplaced.is_empty() {
            let misplaced = process.misplaced.clone();
            let replicas = misplaced.iter().map(|(tp, directory)| (tp.topic, tp.partition, *directory)).collect();
            self.coverage.count("directories of replicas reported");
            self.ask(broker, Purpose::Placed(misplaced), AssignReplicas { broker: me, epoch, replicas });
        }
    }

    /// Counts what disks have lost.
    pub(crate) fn count_loss(&mut self, loss: Loss) {
        self.coverage.count_many("losses of what was not flushed", u64::from(loss.lost));
        self.coverage.count_many("torn tails", u64::from(loss.torn));
        self.coverage.count_many("truncations undone by a loss", u64::from(loss.revived));
    }
}
