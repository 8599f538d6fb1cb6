//! A committed image becomes a broker's own: its replicas get the roles that it says, as `replica::Manager` does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::metadata::{Image, LocalChanges, LocalPartition, local_changes};
use ottla_core::partition::{Follower, FollowerTerm, Leader, LeaderTerm};
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, LeaderEpoch, Offset};

use crate::disk::Disk;
use crate::log::SimLog;
use crate::message::{Timer, Tp};
use crate::replica::{Replica, Role, follower_log, position, settings};
use crate::world::World;

impl World {
    /// Publishes one image, unless a later one has been.
    pub(crate) fn publish(&mut self, broker: usize, image: Arc<Image>) {
        let me = BrokerId(broker as i32);
        let Some(process) = self.process(broker) else { return };
        if image.index() <= process.published.index() && process.published.controller().is_some() {
            return;
        }
        let own = image.broker(me).map(|known| known.epoch);
        let is_past = |epoch: BrokerEpoch| image.index().0 as i64 >= epoch.0;
        // An uptime that was unregistered is over too.
        if process.epoch.is_some_and(|epoch| is_past(epoch) && own.is_none_or(|own| own > epoch)) {
            return self.superseded(broker);
        }
        let in_service = |image: &Image, process: &crate::machine::Process| {
            image.broker(me).is_some_and(|known| known.incarnation == process.incarnation && !known.fenced)
        };
        process.serving = process.serving || in_service(&image, process);
        if process.serving {
            let changes = local_changes(&process.local, &image, me);
            process.local = Image::clone(&image);
            self.make_own(broker, &changes, &image);
        }
        if let Some(process) = self.process(broker) {
            process.published = image;
        }
        self.settle_published(broker);
    }

    fn make_own(&mut self, broker: usize, changes: &LocalChanges, image: &Image) {
        for removed in &changes.delete {
            let tp = Tp { topic: removed.topic_id, partition: removed.partition.partition };
            self.resign(broker, tp);
            let machine = &mut self.machines[broker];
            if let Some(process) = &mut machine.process {
                machine.disk.delete(tp, &process.offline);
                process.replicas.remove(&tp);
                process.misplaced.remove(&tp);
            }
            self.note("replica deleted", &[("broker", broker as i64), ("partition", tp.number())]);
            self.copy_deleted(broker, tp);
        }
        for local in &changes.lead {
            self.lead(broker, local, image);
        }
        for local in &changes.follow {
            self.follow(broker, local, image);
        }
        for name in &changes.reconfigure {
            let Some(topic) = image.topic(name.as_str()) else { continue };
            for (partition, _) in topic.indexed() {
                self.reconfigure(broker, Tp { topic: topic.id, partition }, settings(image, name.as_str()));
            }
        }
    }

    /// Opens the replica if it is not open; its log is made anew where there is none.
    fn open(&mut self, broker: usize, tp: Tp, local: &LocalPartition, image: &Image) {
        let clock = self.clock;
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        if process.replicas.contains_key(&tp) {
            return;
        }
        let Some(place) = place_for(&mut machine.disk, broker, tp, local.directory, &process.offline, clock) else {
            return;
        };
        let directory = machine.disk.identity(broker, place);
        if directory != local.directory {
            process.misplaced.insert(tp, directory);
        }
        let high_watermark = machine.disk.watermark(tp);
        let Some(log) = machine.disk.log(tp) else { return };
        let term = FollowerTerm { leader: BrokerId::NONE, leader_epoch: LeaderEpoch::NONE };
        let follower = Follower::new(term, follower_log(log), high_watermark);
        let replica = Replica {
            role: Role::Follower(Box::new(follower)),
            high_watermark,
            settings: settings(image, local.partition.topic.as_str()),
            waiting: Vec::new(),
        };
        process.replicas.insert(tp, replica);
    }

    fn lead(&mut self, broker: usize, local: &LocalPartition, image: &Image) {
        let tp = Tp { topic: local.topic_id, partition: local.partition.partition };
        self.open(broker, tp, local, image);
        let now = self.machines[broker].now(self.clock).monotonic;
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let (Some(replica), Some(log)) = (process.replicas.get_mut(&tp), machine.disk.log_mut(tp)) else {
            return;
        };
        let term = LeaderTerm::new(BrokerId(broker as i32), &local.state);
        let mut effects = Vec::new();
        replica.settings = settings(image, local.partition.topic.as_str());
        match &mut replica.role {
            Role::Leader(leader) if leader.term().leader_epoch == term.leader_epoch => {
                leader.state_committed(now, term, replica.settings, &mut effects);
            }
            _ => {
                let epoch = term.leader_epoch;
                log.begin_epoch(epoch);
                let (settings, watermark) = (replica.settings, replica.high_watermark);
                let leader = Leader::new(now, term, settings, position(log), watermark, &mut effects);
                replica.high_watermark = leader.high_watermark();
                replica.role = Role::Leader(Box::new(leader));
                self.leader_began(broker, tp, epoch);
            }
        }
        self.perform(broker, tp, effects);
    }

    fn follow(&mut self, broker: usize, local: &LocalPartition, image: &Image) {
        let tp = Tp { topic: local.topic_id, partition: local.partition.partition };
        self.open(broker, tp, local, image);
        let term = FollowerTerm { leader: local.state.leader, leader_epoch: local.state.leader_epoch };
        let Some(process) = self.process(broker) else { return };
        let Some(replica) = process.replicas.get_mut(&tp) else { return };
        replica.settings = settings(image, local.partition.topic.as_str());
        if matches!(&replica.role, Role::Follower(follower) if follower.term() == term) {
            return;
        }
        self.resign(broker, tp);
        let machine = &mut self.machines[broker];
        let Some(process) = &mut machine.process else { return };
        let (Some(replica), Some(log)) = (process.replicas.get_mut(&tp), machine.disk.log(tp)) else { return };
        let follower = Follower::new(term, follower_log(log), replica.high_watermark);
        replica.role = Role::Follower(Box::new(follower));
        if term.leader != BrokerId::NONE {
            self.note(
                "follows",
                &[
                    ("broker", broker as i64),
                    ("partition", tp.number()),
                    ("leader", i64::from(term.leader.0)),
                    ("epoch", i64::from(term.leader_epoch.0)),
                ],
            );
            self.set_timer(broker, Duration::ZERO, Timer::Fetch(term.leader.0 as usize));
            self.want_flush(broker, tp);
        }
    }

    /// Ends the term in which the replica leads, if it does.
    fn resign(&mut self, broker: usize, tp: Tp) {
        let Some(process) = self.process(broker) else { return };
        let Some(replica) = process.replicas.get_mut(&tp) else { return };
        if let Role::Leader(_) = &replica.role {
            let term = FollowerTerm { leader: BrokerId::NONE, leader_epoch: LeaderEpoch::NONE };
            let log = ottla_core::partition::FollowerLog {
                start: Offset::ZERO,
                position: Default::default(),
                last_epoch: LeaderEpoch::NONE,
            };
            let rest = Role::Follower(Box::new(Follower::new(term, log, Offset::ZERO)));
            let Role::Leader(leader) = std::mem::replace(&mut replica.role, rest) else { return };
            let mut effects = Vec::new();
            leader.resign(&mut effects);
            self.perform(broker, tp, effects);
        }
    }

    fn reconfigure(&mut self, broker: usize, tp: Tp, settings: ottla_core::partition::Settings) {
        let Some(process) = self.process(broker) else { return };
        let Some(replica) = process.replicas.get_mut(&tp) else { return };
        replica.settings = settings;
        let mut effects = Vec::new();
        match &mut replica.role {
            Role::Leader(leader) => leader.reconfigured(settings, &mut effects),
            Role::Follower(_) => return self.want_flush(broker, tp),
        }
        self.perform(broker, tp, effects);
    }
}

/// In which log directory the replica lies, or shall lie: made anew where its log is nowhere. None if it is in one that is
/// `offline`, or may be: then it must not begin anew elsewhere.
fn place_for(
    disk: &mut Disk,
    broker: usize,
    tp: Tp,
    assigned: DirectoryId,
    offline: &BTreeSet<usize>,
    clock: Duration,
) -> Option<usize> {
    if let Some(place) = disk.place_of(tp) {
        return Some(place).filter(|place| !offline.contains(place));
    }
    let known = disk.directory_of(broker, assigned).filter(|place| !offline.contains(place));
    let place = match known {
        None if assigned != DirectoryId::ZERO && !offline.is_empty() => return None,
        known => known.or_else(|| disk.least_used(offline))?,
    };
    disk.create(tp, place, SimLog::made_at(clock));
    Some(place)
}
