//! Processes of the fake's brokers: they start on disks, join, stop, and leave for good.

use super::*;

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

    /// The process of broker `id` starts on the disk `disk` with these properties; false if it ends with exit code 3.
    pub fn start_broker(&self, id: i32, disk: &str, properties: &str) -> bool {
        self.state().start(BrokerId(id), disk, properties)
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
    fn start(&mut self, id: BrokerId, disk: &str, properties: &str) -> bool {
        let retired: Vec<&str> = property(properties, "ottla.retired.directories").split(',').collect();
        let known = self.disks.get(disk).cloned();
        let formatted = known.as_ref().map_or(0, |known| known.formatted);
        let directory = match known.filter(|known| !retired.contains(&known.directory.as_str())) {
            Some(known) if !self.is_member(&known.directory) => return false,
            Some(known) => known.directory,
            None => {
                let directory = format!("{disk}-{formatted}");
                self.disks.insert(disk.to_owned(), Disk { directory: directory.clone(), formatted: formatted + 1 });
                directory
            }
        };
        let founds =
            property(properties, "controller.quorum.voters").split(',').any(|one| one.starts_with(&format!("{id}@")));
        self.join(id, &directory, founds);
        self.register(id, directory);
        true
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

    fn register(&mut self, id: BrokerId, directory: String) {
        let before = self.brokers.iter().position(|one| one.id == id).map(|at| self.brokers.remove(at));
        let is_empty = before.as_ref().is_some_and(|before| before.directories[0].id != directory);
        let mut registered = BrokerView { cordoned: before.is_some_and(|before| before.cordoned), ..broker(id.0) };
        registered.directories[0].id = directory;
        self.brokers.push(registered);
        self.brokers.sort_by_key(|broker| broker.id);
        let partitions = self.topics.values_mut().flat_map(|(view, _)| &mut view.partitions);
        for state in partitions.filter(|state| state.replicas.contains(&id)) {
            if is_empty && state.leader.is_none() {
                self.violations.push(format!("an empty disk of broker {id} would lead"));
            }
            if !state.in_sync.contains(&id) {
                state.in_sync.push(id);
            }
            state.leader.get_or_insert(id);
        }
    }

    fn stop(&mut self, id: BrokerId, for_good: bool) {
        self.brokers.iter_mut().filter(|one| one.id == id).for_each(|one| one.fenced = true);
        for (view, _) in self.topics.values_mut() {
            for state in view.partitions.iter_mut().filter(|state| state.replicas.contains(&id)) {
                if for_good {
                    self.violations.push(format!("broker {id} was removed while it held a copy of {}", view.name));
                }
                if state.in_sync != [id] {
                    state.in_sync.retain(|other| *other != id);
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
