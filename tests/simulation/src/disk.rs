//! What a broker's machine keeps when its process is gone.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::controller::PreviousStop;
use ottla_core::metadata::Image;
use ottla_core::{BrokerEpoch, DirectoryId, Offset};
use uuid::Uuid;

use crate::dice::Dice;
use crate::log::{Loss, SimLog};
use crate::message::Tp;
use crate::raft::{Durable, NodeKey};

/// A log directory on a disk of its own, with what the kernel has not written to it yet.
#[derive(Debug, Default)]
pub struct Directory {
    /// How often its disk has been replaced.
    pub number: u32,
    /// The logs of partitions.
    pub logs: BTreeMap<Tp, SimLog>,
    /// High watermarks as last written down.
    pub watermarks: BTreeMap<Tp, Offset>,
    /// The mark of a clean stop: the uptime that ended with it.
    pub clean: Option<BrokerEpoch>,
    /// The boot of the kernel under which the last process began; 0 while it is new.
    booted: u64,
    /// A write was refused since: what the kernel shows may not be on the disk.
    failed: bool,
}

impl Directory {
    /// The power went, or the disk refused to write.
    fn lose_unflushed(&mut self, dice: &mut Dice) -> Loss {
        self.logs.values_mut().fold(Loss::default(), |loss, log| loss.and(log.lose_unflushed(dice)))
    }

    /// What it says of the stop before, under `boot`: none if it is new, else the marker if there is one, and whether the
    /// kernel has kept what it held. Opens the logs as recovery does.
    fn look_back(&mut self, boot: u64) -> Option<(Option<BrokerEpoch>, bool)> {
        let is_trusted = !self.is_distrusted(boot);
        let (is_new, clean) = (self.booted == 0, self.clean.take());
        let page_cache_kept = self.booted == boot && !self.failed;
        // A loss is remembered until it is reported.
        if page_cache_kept || clean.is_some() || is_new {
            self.booted = boot;
        }
        for (tp, log) in &mut self.logs {
            if page_cache_kept {
                let flush = log.begin_flush();
                log.end_flush(flush);
            } else if let Some(known) = self.watermarks.get_mut(tp) {
                // What lies above may be a tail that had been cut off, and was never committed.
                *known = (*known).min(log.flushed());
            }
            log.recover();
        }
        (!is_new).then_some((clean, is_trusted))
    }

    /// Whether what was not flushed may be lost.
    pub fn is_distrusted(&self, boot: u64) -> bool {
        let is_new = self.booted == 0;
        !is_new && self.clean.is_none() && (self.booted != boot || self.failed)
    }
}

/// The disks of a broker.
#[derive(Debug)]
pub struct Disk {
    /// The metadata log. What is appended to it is answered only once it is on the disk.
    pub raft: Durable,
    /// A snapshot of the metadata: how many entries it covers, and what they come to.
    pub snapshot: (usize, Image),
    /// The log directories. The first holds the metadata too: without it there is no broker.
    directories: Vec<Directory>,
    /// In which of them each replica lies.
    places: BTreeMap<Tp, usize>,
}

impl Disk {
    /// Empty disks for so many log directories.
    pub fn new(directories: usize) -> Self {
        let directories = (0..directories).map(|_| Directory::default()).collect();
        Self { raft: Durable::default(), snapshot: <_>::default(), directories, places: BTreeMap::new() }
    }

    /// The log directories.
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// The identity of the directory with index `place`, as long as its disk is not replaced.
    pub fn identity(&self, broker: usize, place: usize) -> DirectoryId {
        let number = u128::from(self.directories[place].number);
        DirectoryId(Uuid::from_u128(((broker as u128 + 1) << 32) | ((place as u128) << 16) | (number + 1)))
    }

    /// The directory with that identity.
    pub fn directory_of(&self, broker: usize, id: DirectoryId) -> Option<usize> {
        (0..self.directories.len()).find(|place| self.identity(broker, *place) == id)
    }

    /// The identity as a voter of the metadata log.
    pub fn key(&self, broker: usize) -> NodeKey {
        NodeKey { broker, disk: self.directories[0].number }
    }

    /// In which directory the replica lies.
    pub fn place_of(&self, tp: Tp) -> Option<usize> {
        self.places.get(&tp).copied()
    }

    /// The replicas with their logs.
    pub fn logs(&self) -> impl Iterator<Item = (Tp, &SimLog)> {
        self.places.iter().filter_map(|(tp, place)| Some((*tp, self.directories[*place].logs.get(tp)?)))
    }

    /// The log of a replica.
    pub fn log(&self, tp: Tp) -> Option<&SimLog> {
        self.directories[self.place_of(tp)?].logs.get(&tp)
    }

    /// The log of a replica.
    pub fn log_mut(&mut self, tp: Tp) -> Option<&mut SimLog> {
        let place = self.place_of(tp)?;
        self.directories[place].logs.get_mut(&tp)
    }

    /// Makes an empty log for a replica.
    pub fn create(&mut self, tp: Tp, place: usize, log: SimLog) {
        self.places.insert(tp, place);
        self.directories[place].logs.insert(tp, log);
    }

    /// Deletes a replica. From a directory that is `offline` nothing can be deleted: its log may come back with it.
    pub fn delete(&mut self, tp: Tp, offline: &BTreeSet<usize>) {
        let Some(place) = self.places.remove(&tp).filter(|place| !offline.contains(place)) else { return };
        self.directories[place].logs.remove(&tp);
        self.directories[place].watermarks.remove(&tp);
    }

    /// The remembered high watermark of a replica, at most where its log ends. It is lowered before anything else is done
    /// with a log that is shorter: that may grow past it again.
    pub fn watermark(&mut self, tp: Tp) -> Offset {
        let Some(place) = self.place_of(tp) else { return Offset::ZERO };
        let directory = &mut self.directories[place];
        let end = directory.logs.get(&tp).map_or(Offset::ZERO, SimLog::end);
        let known = directory.watermarks.entry(tp).or_insert(Offset::ZERO);
        *known = (*known).min(end);
        *known
    }

    /// Writes a high watermark down.
    pub fn remember_watermark(&mut self, tp: Tp, to: Offset) {
        if let Some(place) = self.place_of(tp) {
            self.directories[place].watermarks.insert(tp, to);
        }
    }

    /// The directory with the fewest replicas, of those that are not `offline`.
    pub fn least_used(&self, offline: &BTreeSet<usize>) -> Option<usize> {
        let count = |place: &usize| self.places.values().filter(|one| *one == place).count();
        (0..self.directories.len()).filter(|place| !offline.contains(place)).min_by_key(count)
    }

    /// The power went.
    pub fn lose_unflushed(&mut self, dice: &mut Dice) -> Loss {
        self.directories.iter_mut().fold(Loss::default(), |loss, one| loss.and(one.lose_unflushed(dice)))
    }

    /// The disk of a directory refused to write.
    pub fn fail(&mut self, place: usize, dice: &mut Dice) -> Loss {
        self.directories[place].failed = true;
        self.directories[place].lose_unflushed(dice)
    }

    /// An empty disk takes the place of a directory's.
    pub fn replace(&mut self, place: usize) {
        if place == 0 {
            (self.raft, self.snapshot) = <_>::default();
        }
        let number = self.directories[place].number + 1;
        self.directories[place] = Directory { number, ..Directory::default() };
        self.places.retain(|_, one| *one != place);
    }

    /// Everything that is not `offline` is flushed, and marked as stopped cleanly in that uptime.
    pub fn stop_cleanly(&mut self, uptime: Option<BrokerEpoch>, offline: &BTreeSet<usize>) {
        for (place, directory) in self.directories.iter_mut().enumerate() {
            if offline.contains(&place) {
                continue;
            }
            for log in directory.logs.values_mut() {
                let flush = log.begin_flush();
                log.end_flush(flush);
            }
            directory.clean = uptime;
        }
    }

    /// What the directories together say of the stop before, as `previous_stop` of the broker puts it. Opens their logs.
    pub fn look_back(&mut self, boot: u64) -> PreviousStop {
        let (mut clean, mut is_clean, mut kept) = (None, true, true);
        for (marker, page_cache_kept) in self.directories.iter_mut().filter_map(|one| one.look_back(boot)) {
            clean = clean.or(marker);
            is_clean &= marker.is_some();
            kept &= page_cache_kept;
        }
        self.find_replicas();
        match clean.filter(|_| is_clean) {
            Some(epoch) => PreviousStop::Clean(epoch),
            None => PreviousStop::Unclean { page_cache_kept: kept, damaged: Vec::new() },
        }
    }

    /// The controller knows how the uptime before ended; of what is `offline` by now there is more to tell.
    pub fn stop_reported(&mut self, boot: u64, offline: &BTreeSet<usize>) {
        for (place, directory) in self.directories.iter_mut().enumerate() {
            if !offline.contains(&place) {
                (directory.booted, directory.failed) = (boot, false);
            }
        }
    }

    /// Of several logs of a replica the one that has come furthest counts, as in the broker: the others are left from
    /// before it moved away, in a directory that was offline then.
    fn find_replicas(&mut self) {
        self.places.clear();
        let rank = |directory: &Directory, tp: &Tp| directory.logs.get(tp).map(|log| (log.last_epoch(), log.end()));
        for place in 0..self.directories.len() {
            for tp in self.directories[place].logs.keys().copied().collect::<Vec<_>>() {
                let other = self.places.get(&tp).copied();
                let better =
                    other.is_none_or(|one| rank(&self.directories[place], &tp) > rank(&self.directories[one], &tp));
                let dropped = if better { self.places.insert(tp, place) } else { Some(place) };
                if let Some(dropped) = dropped {
                    self.directories[dropped].logs.remove(&tp);
                    self.directories[dropped].watermarks.remove(&tp);
                }
            }
        }
    }
}
