//! What happens to a registered broker: it serves, asks to leave, dies, is cordoned, goes for good.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::partition_change::Proposal;
use super::sweep::sweep;
use super::{Context, Decision, Error};
use crate::metadata::{Broker, BrokerChange, Image, Partition, Record};
use crate::{BrokerEpoch, BrokerId, LogIndex};

/// What a broker wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// To serve.
    Serve,
    /// To be fenced until it says otherwise.
    Pause,
    /// To hand over what it leads and stop.
    Stop,
}

/// A broker says that it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerHeartbeat {
    /// The broker.
    pub broker: BrokerId,
    /// Its uptime.
    pub epoch: BrokerEpoch,
    /// How far it has applied the metadata log.
    pub applied: LogIndex,
    /// What it wants.
    pub wish: Wish,
}

/// Where a broker stands, in answer to its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// It has applied its own registration, without which it is not given work.
    pub caught_up: bool,
    /// It is fenced.
    pub fenced: bool,
    /// It wanted to stop, leads nothing any more, and may.
    pub may_stop: bool,
}

operation!(BrokerHeartbeat => BrokerStatus, heartbeat);

/// A broker is dead: its session broke and nobody answers, or it has been silent for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceBroker {
    /// The broker.
    pub broker: BrokerId,
    /// The uptime that ended.
    pub epoch: BrokerEpoch,
}

operation!(FenceBroker => (), fence);

/// Gives a broker nothing new, or does so again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CordonBroker {
    /// The broker.
    pub broker: BrokerId,
    /// True cordons, false ends it.
    pub cordoned: bool,
}

operation!(CordonBroker => (), cordon);

/// Forgets a broker for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnregisterBroker {
    /// The broker.
    pub broker: BrokerId,
}

operation!(UnregisterBroker => (), unregister);

impl<'a> Context<'a> {
    /// The broker, if this is its present uptime.
    pub(super) fn registered(&self, id: BrokerId, epoch: BrokerEpoch) -> Result<&'a Arc<Broker>, Error> {
        let broker = self.image.broker(id).ok_or(Error::StaleBrokerEpoch { expected: -1, found: epoch.0 })?;
        if broker.epoch != epoch {
            return Err(Error::StaleBrokerEpoch { expected: broker.epoch.0, found: epoch.0 });
        }
        Ok(broker)
    }

    /// The image once `records` are applied.
    pub(super) fn after(&self, records: &[Record]) -> Image {
        let mut image = self.image.clone();
        for record in records {
            image.apply(record).expect("a decision is made of records that fit the image it was made on");
        }
        image
    }
}

fn heartbeat(operation: BrokerHeartbeat, context: &Context<'_>) -> Result<Decision<BrokerStatus>, Error> {
    let broker = context.registered(operation.broker, operation.epoch)?;
    let caught_up = i64::try_from(operation.applied.0).is_ok_and(|applied| applied >= broker.epoch.0);
    let records = match operation.wish {
        Wish::Serve if broker.fenced && caught_up => return_to_service(broker, context),
        Wish::Pause if !broker.fenced => leave_service(broker, context, |change| change.fenced = Some(true)),
        Wish::Stop if !broker.in_controlled_shutdown => {
            leave_service(broker, context, |change| change.in_controlled_shutdown = Some(true))
        }
        Wish::Serve | Wish::Pause | Wish::Stop => Vec::new(),
    };
    let after = context.after(&records);
    let leads = |state: &Arc<Partition>| state.leader == broker.id;
    let may_stop =
        operation.wish == Wish::Stop && !after.topics().iter().any(|topic| topic.partitions.iter().any(leads));
    let fenced = after.broker(broker.id).is_none_or(|broker| broker.fenced);
    Ok(Decision { records, response: BrokerStatus { caught_up, fenced, may_stop } })
}

fn fence(operation: FenceBroker, context: &Context<'_>) -> Result<Decision<()>, Error> {
    let broker = context.registered(operation.broker, operation.epoch)?;
    if broker.fenced {
        return Ok(Decision::unchanged(()));
    }
    let records = leave_service(broker, context, |change| change.fenced = Some(true));
    Ok(Decision { records, response: () })
}

fn cordon(operation: CordonBroker, context: &Context<'_>) -> Result<Decision<()>, Error> {
    let CordonBroker { broker: id, cordoned } = operation;
    let broker = context.image.broker(id).ok_or(Error::BrokerIdNotRegistered(id.0))?;
    if broker.cordoned == cordoned {
        return Ok(Decision::unchanged(()));
    }
    let change = BrokerChange { cordoned: Some(cordoned), ..BrokerChange::of(broker) };
    Ok(Decision { records: vec![Record::BrokerChanged(change)], response: () })
}

fn unregister(operation: UnregisterBroker, context: &Context<'_>) -> Result<Decision<()>, Error> {
    let id = operation.broker;
    let broker = context.image.broker(id).ok_or(Error::BrokerIdNotRegistered(id.0))?;
    let mut records = Vec::new();
    if !broker.fenced {
        records = leave_service(broker, context, |change| change.fenced = Some(true));
    }
    records.push(Record::BrokerUnregistered { broker: id, epoch: broker.epoch });
    Ok(Decision { records, response: () })
}

/// Unfences, and gives back the lead of partitions that nobody else can lead.
fn return_to_service(broker: &Broker, context: &Context<'_>) -> Vec<Record> {
    let change = BrokerChange { fenced: Some(false), ..BrokerChange::of(broker) };
    let mut records = vec![Record::BrokerChanged(change)];
    let after = context.after(&records);
    records.extend(sweep(&after, context.settings, |_, _, state| {
        let waits = state.leader == BrokerId::NONE && state.replica_on(broker.id).is_some();
        waits.then(|| Proposal::unchanged(state))
    }));
    records
}

/// Makes the change that keeps the broker from serving, and takes it out of every ISR.
fn leave_service(broker: &Broker, context: &Context<'_>, change_it: impl Fn(&mut BrokerChange)) -> Vec<Record> {
    let mut change = BrokerChange::of(broker);
    change_it(&mut change);
    let mut records = vec![Record::BrokerChanged(change)];
    let after = context.after(&records);
    records.extend(sweep(&after, context.settings, |_, _, state| {
        state.isr.contains(&broker.id).then(|| Proposal::without(state, broker.id))
    }));
    records
}
