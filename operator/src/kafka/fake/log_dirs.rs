//! The disks of the fake's brokers, and replicas on their way from one to another.

use super::*;

/// Where replicas lie that are not on the first disk of their broker, or are on their way there.
pub type Places = BTreeMap<(BrokerId, String, i32), OnDisk>;

/// Where a replica is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnDisk {
    /// The position of the disk that it lies on.
    pub position: usize,
    /// The one that it is on its way to, and for how many looks it has been.
    pub going: Option<(usize, u64)>,
}

/// Where the broker of the operator's pods has its disk at `position`.
pub fn path(position: usize) -> String {
    format!("/disks/{position}")
}

impl FakeCluster {
    /// How many replicas lie on each disk of `broker`, and how many are on their way to it.
    pub fn places_on(&self, broker: BrokerId) -> Vec<(usize, usize)> {
        let directories = self.state().log_dirs(broker).unwrap_or_default();
        let count = |directory: &LogDir| {
            let future = directory.replicas.iter().filter(|replica| replica.is_future).count();
            (directory.replicas.len() - future, future)
        };
        directories.iter().map(count).collect()
    }
}

impl State {
    pub(super) fn log_dirs(&self, id: BrokerId) -> Result<Vec<LogDir>> {
        let Some(broker) = self.brokers.iter().find(|one| one.id == id && !one.fenced) else {
            return Err(Error::Unreachable(format!("broker {id} does not answer")));
        };
        let directory = |(position, directory): (usize, &DirectoryView)| LogDir {
            path: path(position),
            works: directory.failure.is_none(),
            size: directory.space.map(|(total, _)| total),
            replicas: self.replicas_on(id, position),
        };
        Ok(broker.directories.iter().enumerate().map(directory).collect())
    }

    fn replicas_on(&self, id: BrokerId, position: usize) -> Vec<LogDirReplica> {
        let mut replicas = Vec::new();
        for (topic, (view, _)) in &self.topics {
            for (partition, _) in (0..).zip(&view.partitions).filter(|(_, state)| state.replicas.contains(&id)) {
                let place = self.places.get(&(id, topic.clone(), partition)).copied().unwrap_or_default();
                let bytes = self.partition_bytes;
                let replica = |is_future| LogDirReplica { topic: topic.clone(), partition, bytes, is_future };
                replicas.extend((place.position == position).then(|| replica(false)));
                replicas.extend(place.going.filter(|(to, _)| *to == position).map(|_| replica(true)));
            }
        }
        replicas
    }

    pub(super) fn shift(&mut self, id: BrokerId, wanted: &LogDirMove) {
        let disks = self.brokers.iter().find(|one| one.id == id).map_or(0, |one| one.directories.len());
        let Some(to) = (0..disks).find(|position| path(*position) == wanted.to) else {
            self.violations.push(format!("broker {id} has no disk {}", wanted.to));
            return;
        };
        let place = self.places.entry((id, wanted.topic.clone(), wanted.partition)).or_default();
        place.going = (place.position != to).then_some((to, 0));
    }

    /// Time passes for replicas on their way, and those that have left their broker are forgotten.
    pub(super) fn go_on_with_shifts(&mut self) {
        let (topics, looks) = (&self.topics, self.looks_of_a_move);
        self.places.retain(|(id, topic, partition), _| {
            let state =
                topics.get(topic).and_then(|(view, _)| view.partitions.get(usize::try_from(*partition).unwrap()));
            state.is_some_and(|state| state.replicas.contains(id))
        });
        for place in self.places.values_mut() {
            place.going = place.going.map(|(to, looked)| (to, looked + 1));
            if let Some((to, _)) = place.going.filter(|(_, looked)| *looked >= looks) {
                *place = OnDisk { position: to, going: None };
            }
        }
    }
}
