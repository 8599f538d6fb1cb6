//! A broker's uptime begins: its epoch, and which places in ISR and ELR it keeps from the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::command::operation;
use super::partition_change::Proposal;
use super::sweep::sweep;
use super::{Context, Decision, Error};
use crate::metadata::{Broker, Endpoint, FeatureRange, Image, Partition, Record, Topic};
use crate::mutant::{self, Mutant};
use crate::{BrokerEpoch, BrokerId, DirectoryId, TopicId};

/// How the broker's uptime before this one ended, and what its disks say since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreviousStop {
    /// It stopped cleanly in the uptime with this epoch: everything it had is on disk.
    Clean(BrokerEpoch),
    /// It did not, or never ran.
    Unclean {
        /// The kernel has run on since, and what it held has been flushed: nothing was lost but the process.
        page_cache_kept: bool,
        /// Partitions whose log was damaged below its recovery point.
        damaged: Vec<(TopicId, i32)>,
    },
}

/// A broker's uptime begins. Registering an incarnation again changes nothing and answers the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterBroker {
    /// Its `node.id`.
    pub broker: BrokerId,
    /// The cluster its disks belong to.
    pub cluster_id: String,
    /// Drawn at start.
    pub incarnation: Uuid,
    /// Advertised addresses.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Usable log directories.
    pub directories: Vec<DirectoryId>,
    /// What it can run with.
    pub features: BTreeMap<String, FeatureRange>,
    /// What its disks are worth.
    pub previous: PreviousStop,
}

operation!(RegisterBroker => BrokerEpoch, register);

/// Answers with the uptime's epoch: the index at which the registration will be in the log.
fn register(operation: RegisterBroker, context: &Context<'_>) -> Result<Decision<BrokerEpoch>, Error> {
    let image = context.image;
    if operation.cluster_id != image.cluster_id() {
        let (expected, found) = (image.cluster_id().to_owned(), operation.cluster_id);
        return Err(Error::InconsistentClusterId { expected, found });
    }
    check_features(&operation, image)?;
    let registered = image.broker(operation.broker);
    if let Some(registered) = registered {
        if registered.incarnation == operation.incarnation {
            return Ok(Decision::unchanged(registered.epoch));
        }
        // The directories are locked by a process while it runs, so whoever has the same ones is its successor.
        let successor = registered.directories.iter().any(|one| operation.directories.contains(one));
        let in_this_very_entry = registered.epoch == next_epoch(image);
        if in_this_very_entry || !(registered.fenced || successor) {
            return Err(Error::DuplicateBrokerRegistration(operation.broker.0));
        }
    }
    let broker = Arc::new(Broker {
        id: operation.broker,
        epoch: next_epoch(image),
        incarnation: operation.incarnation,
        endpoints: operation.endpoints,
        rack: operation.rack,
        directories: operation.directories,
        features: operation.features,
        fenced: true,
        cordoned: registered.is_some_and(|registered| registered.cordoned),
        in_controlled_shutdown: false,
    });
    let mut records = vec![Record::BrokerRegistered(Arc::clone(&broker))];
    // An id that was unregistered may still have its places.
    let before = Before {
        epoch: registered.map(|registered| registered.epoch),
        replacement: registered.and_then(|registered| replacement(registered, &broker)),
        stop: &operation.previous,
    };
    let after = context.after(&records);
    let propose = |topic, index, state| leave(&after, context, &broker, &before, (topic, index, state));
    records.extend(sweep(&after, context.settings, propose));
    Ok(Decision { records, response: broker.epoch })
}

/// The log index that what is decided on `image` will have.
fn next_epoch(image: &Image) -> BrokerEpoch {
    let index = i64::try_from(image.index().next().0);
    BrokerEpoch(index.expect("a log of 2^63 entries cannot have been written"))
}

fn check_features(operation: &RegisterBroker, image: &Image) -> Result<(), Error> {
    for (name, level) in image.features() {
        let range = operation.features.get(name).copied().unwrap_or(FeatureRange { min: 0, max: 0 });
        if *level < range.min || *level > range.max {
            let FeatureRange { min, max } = range;
            let reason = format!("the cluster runs with level {level} of {name}; the broker supports {min} to {max}");
            return Err(Error::UnsupportedVersion(reason.into()));
        }
    }
    Ok(())
}

/// The directory that takes the place of a broker's only one: what lay in the old one begins anew, empty. A broker with
/// several says itself where it begins its lost copies anew, for a directory may also be away for a while.
fn replacement(before: &Broker, after: &Broker) -> Option<DirectoryId> {
    match (&before.directories[..], &after.directories[..]) {
        ([old], [new]) if old != new => Some(*new),
        _ => None,
    }
}

/// What a broker's new uptime is judged by.
struct Before<'a> {
    /// The uptime before, as far as it is known.
    epoch: Option<BrokerEpoch>,
    /// See [`replacement`].
    replacement: Option<DirectoryId>,
    /// How that uptime ended.
    stop: &'a PreviousStop,
}

/// A broker that begins anew is in no ISR; it stays eligible where its copy must hold everything committed.
fn leave<'a>(
    image: &Image,
    context: &Context<'_>,
    broker: &Broker,
    before: &Before<'_>,
    (topic, index, state): (&'a Topic, i32, &'a Partition),
) -> Option<Proposal<'a>> {
    let directory_kept = broker.has_directory(state.replica_on(broker.id)?.directory);
    if directory_kept && !state.isr.contains(&broker.id) && !state.elr.contains(&broker.id) {
        return None;
    }
    let mut proposal = Proposal::without(state, broker.id);
    if let (false, Some(directory)) = (directory_kept, before.replacement) {
        proposal.place(broker.id, directory);
    }
    let (complete, damaged) = match before.stop {
        // Of an id that was unregistered the uptime is not known; the marker goes before anything is written in a new one.
        PreviousStop::Clean(epoch) => (before.epoch.is_none_or(|known| known == *epoch), false),
        PreviousStop::Unclean { page_cache_kept, damaged } => {
            let damaged = damaged.contains(&(topic.id, index));
            let flushed = !state.unflushed || mutant::is(Mutant::FsyncAtOnce);
            let durable = || flushed && context.settings.is_fsync(image, topic.name.as_str());
            (!damaged && (*page_cache_kept || durable()), damaged)
        }
    };
    let complete = complete || mutant::is(Mutant::UncleanStopKeepsPlace);
    let directory_kept = directory_kept || mutant::is(Mutant::DirectoryForgotten);
    if !(complete && directory_kept) {
        proposal.lost.push(broker.id);
    }
    if damaged || !directory_kept {
        proposal.damaged.push(broker.id);
    }
    Some(proposal)
}
