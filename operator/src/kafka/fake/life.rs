//! Processes of the fake's brokers: they start on disks, join, stop, and leave for good.

use super::*;

/// After how many looks at the placements a broker that started again has what it lacks.
const LOOKS_TO_CATCH_UP: u64 = 3;

/// A disk that a broker was started on.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its directory id.
    pub directory: String,
    /// How many there have been on it.
    pub formatted: usize,
}

impl FakeCluster {
    /// A cluster that has no broker yet.
    pub fn unfounded() -> Self {
        Self::of(0)
    }

    /// The process of broker `id` starts on `disks`, of which the first votes, with these properties; false if it ends
    /// with exit code 3.
    pub fn start_broker(&self, id: i32, disks: &[String], properties: &str) -> bool {
        self.state().start(BrokerId(id), disks, properties)
    }

    /// The process of broker `id` ends; `for_good` if no other one is to come.
    pub fn stop_broker(&self, id: i32, for_good: bool) {
        self.state().stop(BrokerId(id), for_good);
    }
}

/// The value of a property in a file.
fn property<'a>(file: &'a str, key: &str) -> &'a str {
    let lines = file.lines().filter_map(|line| line.split_once('='));
    lines.filter(|(name, _)| *name == key).map(|(_, value)| value).next_back().unwrap_or_default()
}

impl State {
    fn start(&mut self, id: BrokerId, disks: &[String], properties: &str) -> bool {
        let retired: Vec<&str> = property(properties, "ottla.retired.directories").split(',').collect();
        let mut directories = Vec::new();
        for (position, disk) in disks.iter().enumerate() {
            let Some(directory) = self.open(disk, &retired, position == 0) else { return false };
            directories.push(directory);
        }
        let founds =
            property(properties, "controller.quorum.voters").split(',').any(|one| one.starts_with(&format!("{id}@")));
        self.join(id, &directories[0], founds);
        self.register(id, directories);
        *self.starts.entry(id).or_default() += 1;
        true
    }

    /// The directory on `disk`, made if there is none or a retired one; none if the quorum sends away who comes with it.
    fn open(&mut self, disk: &str, retired: &[&str], votes: bool) -> Option<String> {
        let known = self.disks.get(disk).cloned();
        let formatted = known.as_ref().map_or(0, |known| known.formatted);
        match known.filter(|known| !retired.contains(&known.directory.as_str())) {
            Some(known) if votes && !self.is_member(&known.directory) => None,
            Some(known) => Some(known.directory),
            None => {
                let directory = format!("{disk}-{formatted}");
                self.disks.insert(disk.to_owned(), Disk { directory: directory.clone(), formatted: formatted + 1 });
                Some(directory)
            }
        }
    }

    fn is_member(&self, directory: &str) -> bool {
        let mut members = self.quorum.voters.iter().chain(&self.quorum.observers);
        members.any(|member| member.directory == directory)
    }

    /// The place of another disk of the broker is taken.
    fn join(&mut self, id: BrokerId, directory: &str, founds: bool) {
        let me = VoterView { broker: id, directory: directory.to_owned() };
        let votes = founds && !self.is_member(directory) || self.quorum.voters.iter().any(|voter| voter.broker == id);
        self.quorum.voters.retain(|member| member.broker != id);
        self.quorum.observers.retain(|member| member.broker != id);
        if votes { self.quorum.voters.push(me) } else { self.quorum.observers.push(me) }
    }

    fn register(&mut self, id: BrokerId, directories: Vec<String>) {
        let before = self.brokers.iter().position(|one| one.id == id).map(|at| self.brokers.remove(at));
        let is_empty = before.as_ref().is_some_and(|before| before.directories[0].id != directories[0]);
        let (cordoned, advertised) = before.map(|before| (before.cordoned, before.advertised)).unwrap_or_default();
        let mut registered = BrokerView { cordoned, advertised, ..broker(id.0) };
        let space = registered.directories[0].space;
        let directory = |id| DirectoryView { id, failure: None, space };
        registered.directories = directories.into_iter().map(directory).collect();
        self.brokers.push(registered);
        self.brokers.sort_by_key(|broker| broker.id);
        if is_empty {
            self.places.retain(|(broker, ..), _| *broker != id);
        }
        let partitions = self.topics.values_mut().flat_map(|(view, _)| &mut view.partitions);
        let mut lags = false;
        for state in partitions.filter(|state| state.replicas.contains(&id)) {
            if is_empty && state.leader.is_none() {
                self.violations.push(format!("an empty disk of broker {id} would lead"));
            }
            if state.in_sync.contains(&id) {
                state.leader.get_or_insert(id);
            } else {
                lags = true;
            }
        }
        if lags {
            self.lagging.insert(id, LOOKS_TO_CATCH_UP);
        }
    }

    /// Time passes for brokers that have started again: what they lack is copied.
    pub(super) fn catch_up(&mut self) {
        self.lagging.values_mut().for_each(|looks| *looks -= 1);
        let done: Vec<BrokerId> = self.lagging.iter().filter(|(_, looks)| **looks == 0).map(|(id, _)| *id).collect();
        for id in done {
            self.lagging.remove(&id);
            let moving: Vec<_> = self.moves.iter().filter(|(_, one)| one.adds(id)).map(|(at, _)| at.clone()).collect();
            for (name, (view, _)) in &mut self.topics {
                for (index, state) in (0..).zip(&mut view.partitions) {
                    let is_new = moving.contains(&(name.clone(), index));
                    if state.replicas.contains(&id) && !state.in_sync.contains(&id) && !is_new {
                        state.in_sync.push(id);
                    }
                    state.leader = state.leader.or(state.in_sync.contains(&id).then_some(id));
                }
            }
        }
    }

    fn stop(&mut self, id: BrokerId, for_good: bool) {
        self.lagging.remove(&id);
        self.brokers.iter_mut().filter(|one| one.id == id).for_each(|one| one.fenced = true);
        for (name, (view, config)) in &mut self.topics {
            let needed = min_in_sync(config);
            for (index, state) in (0..).zip(&mut view.partitions).filter(|(_, state)| state.replicas.contains(&id)) {
                if for_good {
                    self.violations.push(format!("broker {id} was removed while it held a copy of {name}"));
                }
                let before = state.in_sync.len();
                if state.in_sync != [id] {
                    state.in_sync.retain(|other| *other != id);
                }
                // The price of a restart is paid by partitions that never have a copy to spare.
                let is_harmed = before >= needed && state.in_sync.len() < needed;
                if is_harmed && state.replicas.len() > needed {
                    self.violations.push(format!("{name}-{index} lacked in-sync replicas when broker {id} stopped"));
                }
                if state.leader == Some(id) {
                    state.leader = state.in_sync.iter().copied().find(|other| *other != id);
                }
            }
        }
        if for_good && self.quorum.voters.iter().any(|voter| voter.broker == id) {
            self.violations.push(format!("broker {id} was removed while it voted"));
        }
    }

    pub(super) fn unregister(&mut self, id: BrokerId) {
        let mut partitions = self.topics.values().flat_map(|(view, _)| &view.partitions);
        if partitions.any(|state| state.replicas.contains(&id)) {
            self.violations.push(format!("broker {id} was unregistered while it held copies"));
        }
        if self.serves(id) {
            self.violations.push(format!("broker {id} was unregistered while it served"));
        }
        self.brokers.retain(|broker| broker.id != id);
    }

    pub(super) fn add_voter(&mut self, id: BrokerId) -> Result<()> {
        let Some(at) = self.quorum.observers.iter().position(|member| member.broker == id) else {
            return Ok(());
        };
        if !self.serves(id) {
            return Err(Error::Unreachable(format!("broker {id} lacks too many entries")));
        }
        let member = self.quorum.observers.remove(at);
        self.quorum.voters.push(member);
        Ok(())
    }

    pub(super) fn remove_voter(&mut self, id: BrokerId, directory: &str) -> Result<()> {
        let is_it = |member: &VoterView| member.broker == id && member.directory == directory;
        let Some(at) = self.quorum.voters.iter().position(is_it) else {
            return Ok(());
        };
        let voter = self.quorum.voters.remove(at);
        self.quorum.observers.push(voter);
        let serving = self.quorum.voters.iter().filter(|voter| self.serves(voter.broker)).count();
        if 2 * serving <= self.quorum.voters.len() {
            self.violations.push(format!("the quorum lost its majority with broker {id}"));
        }
        Ok(())
    }

    pub(super) fn retire_disk(&mut self, id: BrokerId, directory: &str) -> Result<()> {
        if self.quorum.voters.iter().any(|voter| voter.directory == directory) {
            return Err(Error::Unreachable(format!("broker {id} is a voter")));
        }
        if self.serves(id) && self.quorum.observers.iter().any(|one| one.directory == directory) {
            self.violations.push(format!("the disk of broker {id} was retired while it served"));
        }
        self.quorum.observers.retain(|member| member.directory != directory);
        Ok(())
    }
}
