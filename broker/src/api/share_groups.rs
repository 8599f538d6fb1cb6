//! What the APIs of members of share groups share: who asks, the way to a share partition, and saying what was done with
//! records.

use std::sync::Arc;

use ottla_core::share::Key;
use ottla_core::share::partition::{Acknowledgement, Tally};
use ottla_core::{Offset, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;

use super::Context;
use super::error::{of_delivery, of_replica};
use super::groups::serves_share_groups;
use crate::replica::{Error, Partition};
use crate::share::{At, Delivery, Member};

/// Why there is nothing of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unserved {
    pub(super) code: ErrorCode,
    /// Who leads instead, and since which epoch, if that is known.
    pub(super) leader: Option<(i32, i32)>,
}

impl From<ErrorCode> for Unserved {
    fn from(code: ErrorCode) -> Self {
        Self { code, leader: None }
    }
}

impl From<Error> for Unserved {
    fn from(error: Error) -> Self {
        let leader = match error {
            Error::NotLeader { leader, epoch } => Some((leader.0, epoch.0)),
            _ => None,
        };
        Self { code: of_replica(&error), leader }
    }
}

/// Who asks; refused while share groups are not finalized.
pub(super) fn member_of(context: &Context, group: Option<&Str>, member: Option<&Str>) -> Result<Member, ErrorCode> {
    if !serves_share_groups(context) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let text = |text: Option<&Str>| text.filter(|text| !text.is_empty()).map(|text| text.to_string());
    text(group).zip(text(member)).ok_or(ErrorCode::INVALID_REQUEST)
}

/// The share partition of `group` at `at`, which this broker has to lead.
pub(super) async fn delivery(context: &Context, group: &str, at: At) -> Result<Arc<Delivery>, Unserved> {
    let partition = find(context, at)?;
    let key = Key::new(group, TopicId(at.0), at.1);
    Ok(context.broker.deliveries.get(&context.broker, &key, &partition).await?)
}

fn find(context: &Context, (topic, index): At) -> Result<Arc<Partition>, Error> {
    let (broker, id) = (&context.broker, TopicId(topic));
    let partition = match broker.replicas.topics().by_id(id) {
        Some(topic) => broker.replica(Some(&topic), topic.name.as_str(), index)?,
        None => {
            let image = broker.image();
            let topic = image.topics().by_id(id).ok_or(Error::UnknownTopicId)?;
            broker.replica(None, topic.name.as_str(), index)?
        }
    };
    partition.check_leader(ottla_core::LeaderEpoch::NONE)?;
    Ok(partition)
}

/// Acknowledgements as they stand in requests: first offset, last offset, kinds.
pub(super) type Said = (i64, i64, Vec<i8>);

/// Has the leader of the partition take in what `member` says; answered once it is durable. More time may be asked for only
/// where the request says that it `renews`.
pub(super) async fn say(
    context: &Context,
    member: &Member,
    at: At,
    said: Vec<Said>,
    renews: bool,
) -> Result<(), Unserved> {
    let metrics = &context.broker.replicas.metrics().share;
    let result = take_in(context, member, at, said, renews).await;
    match &result {
        Ok(tally) => metrics.acknowledged(*tally),
        Err(_) => {
            metrics.failed_acknowledgements.inc();
        }
    }
    result.map(drop)
}

async fn take_in(context: &Context, member: &Member, at: At, said: Vec<Said>, renews: bool) -> Result<Tally, Unserved> {
    let said = said.iter().map(|(first, last, codes)| Acknowledgement::new(Offset(*first), Offset(*last), codes));
    let said: Vec<Acknowledgement> = said.collect::<Result<_, _>>().map_err(of_delivery)?;
    if !renews && said.iter().any(Acknowledgement::renews) {
        return Err(ErrorCode::INVALID_REQUEST.into());
    }
    let (group, member) = member;
    let delivery = delivery(context, group, at).await?;
    let now = context.broker.replicas.clock().now();
    delivery.acknowledge(&context.broker, now, member, &said).await.map_err(of_delivery)?;
    Ok(Tally::of(&said))
}

/// For how long `group` locks records, in milliseconds.
pub(super) fn lock_millis(context: &Context, group: &str) -> i32 {
    let reading = context.broker.delivery_settings.of_group(group, &context.broker.image());
    i32::try_from(reading.delivery.lock_duration.as_millis()).unwrap_or(i32::MAX)
}
