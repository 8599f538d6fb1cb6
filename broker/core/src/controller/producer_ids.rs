//! Blocks of producer ids, so that a broker gives out ids without asking for each (KIP-730).

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::{Context, Decision, Error};
use crate::metadata::Record;
use crate::{BrokerEpoch, BrokerId, ProducerId};

/// How many ids a block holds.
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// A broker wants a block of producer ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocateProducerIds {
    /// The broker.
    pub broker: BrokerId,
    /// Its uptime.
    pub broker_epoch: BrokerEpoch,
}

/// Ids that are the broker's alone, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerIdBlock {
    /// The first.
    pub first: ProducerId,
    /// How many follow one another.
    pub count: i64,
}

operation!(AllocateProducerIds => ProducerIdBlock, allocate);

fn allocate(operation: AllocateProducerIds, context: &Context<'_>) -> Result<Decision<ProducerIdBlock>, Error> {
    let AllocateProducerIds { broker, broker_epoch } = operation;
    context.registered(broker, broker_epoch)?;
    let first = context.image.next_producer_id();
    let next = first.0.checked_add(PRODUCER_ID_BLOCK);
    let next = ProducerId(next.ok_or(Error::Unknown("every producer id has been given out".into()))?);
    let records = vec![Record::ProducerIdsAllocated { broker, broker_epoch, next }];
    Ok(Decision { records, response: ProducerIdBlock { first, count: PRODUCER_ID_BLOCK } })
}
