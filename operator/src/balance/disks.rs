//! Every log directory of a broker is about as full as the others: which replicas go to another directory of their broker.
//!
//! Pure: what lies where in, a bounded number of shifts out, and none for a broker whose directories are even. Directories
//! may differ in size, so each should hold its share of what the broker holds. A replica goes from the directory that
//! holds most above its share to one that holds least, only if that brings the two closer, so that no plan made anew
//! undoes another; where there is a choice, it goes where all of it is needed, and the fewest shifts are made.

use std::{cmp::Reverse, sync::Arc};

use ottla_core::ids::BrokerId;

use super::Place;

/// The log directories of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disks {
    /// The broker.
    pub broker: BrokerId,
    /// All of them. One that does not work is not among them: then nothing is shifted at all.
    pub directories: Vec<Directory>,
}

/// A log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it is on the broker.
    pub path: Arc<str>,
    /// Size of its file system in bytes.
    pub size: u64,
    /// What lies in it, and what is on its way to it.
    pub replicas: Vec<Replica>,
}

/// A replica in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The partition.
    pub place: Place,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it is still on its way here, and lies in another directory as well.
    pub is_arriving: bool,
}

/// A replica that should go to another directory of its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The broker.
    pub broker: BrokerId,
    /// The partition.
    pub place: Place,
    /// The path of the directory.
    pub to: Arc<str>,
}

/// However large disks are, what differs by more bytes than these is evened out.
const MOST_SLACK: u64 = 1 << 30;

/// What is on its way between directories.
pub fn under_way(all: &[Disks]) -> usize {
    let replicas = all.iter().flat_map(|disks| &disks.directories).flat_map(|directory| &directory.replicas);
    replicas.filter(|replica| replica.is_arriving).count()
}

/// The next shifts: with those under way at most `moves`, and of one broker one at a time, since what a disk reads and
/// writes for one it lacks for clients.
pub fn next(all: &[Disks], moves: usize) -> Vec<Shift> {
    let left = moves.max(1).saturating_sub(under_way(all));
    let idle = all.iter().filter(|disks| under_way(std::slice::from_ref(disks)) == 0);
    idle.filter_map(best).take(left).collect()
}

/// How far a directory is above its share; negative below it.
type Excess = i128;

/// The best shift on a broker nothing of which is on its way: between the two directories that differ most and between
/// which there is one.
fn best(disks: &Disks) -> Option<Shift> {
    let excesses = excesses(&disks.directories)?;
    let mut order: Vec<usize> = (0..excesses.len()).collect();
    order.sort_by_key(|at| (excesses[*at], *at));
    let mut pairs = order.iter().rev().flat_map(|from| order.iter().map(move |to| (*from, *to)));
    let (replica, to) = pairs.find_map(|(from, to)| {
        Some((fittest(&disks.directories[from], excesses[from], excesses[to], slack(&disks.directories))?, to))
    })?;
    let to = disks.directories[to].path.clone();
    Some(Shift { broker: disks.broker, place: replica.place.clone(), to })
}

/// The replica that brings a directory with the excess `from` and another with the excess `to` closest, of those all of
/// which the other lacks if there are such.
fn fittest(directory: &Directory, from: Excess, to: Excess, slack: Excess) -> Option<&Replica> {
    let gap = from - to;
    if gap <= slack {
        return None;
    }
    let needed = from.min(-to).max(0);
    // What brings the two hardly closer is not worth its bytes.
    let helps = |replica: &&Replica| {
        let bytes = Excess::from(replica.bytes);
        bytes > slack / 8 && bytes + slack / 8 < gap
    };
    directory.replicas.iter().filter(helps).min_by_key(|replica| {
        let bytes = Excess::from(replica.bytes);
        ((bytes - needed).max(0), Reverse(bytes.min(needed)), &replica.place)
    })
}

/// What each directory holds beyond its share of what all hold; none where there is nothing to even out.
fn excesses(directories: &[Directory]) -> Option<Vec<Excess>> {
    let held = |directory: &Directory| directory.replicas.iter().map(|replica| u128::from(replica.bytes)).sum::<u128>();
    let (all, sizes) = (
        directories.iter().map(held).sum::<u128>(),
        directories.iter().map(|directory| u128::from(directory.size)).sum::<u128>(),
    );
    if directories.len() < 2 || sizes == 0 {
        return None;
    }
    let excess = |directory: &Directory| {
        let share = all.saturating_mul(u128::from(directory.size)) / sizes;
        Some(Excess::try_from(held(directory)).ok()? - Excess::try_from(share).ok()?)
    };
    directories.iter().map(excess).collect()
}

/// By how much directories may differ: a twentieth of the smallest disk, and less of a large one.
fn slack(directories: &[Directory]) -> Excess {
    let smallest = directories.iter().map(|directory| directory.size).min().unwrap_or(0);
    Excess::from((smallest / 20).min(MOST_SLACK))
}

#[cfg(test)]
mod tests;
