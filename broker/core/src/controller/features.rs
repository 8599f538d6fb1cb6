//! Feature levels that the whole cluster runs with (KIP-584).

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::{Context, Decision, Error};
use crate::metadata::{FeatureRange, Image, Record};

/// The feature that gates new kinds of metadata records and what brokers say to each other.
pub const OTTLA_VERSION: &str = "ottla.version";

/// The feature that says by which rules clients end transactions (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";

/// The feature that says which kinds of groups there are (KIP-848).
pub const GROUP_VERSION: &str = "group.version";

/// The feature that says whether there are share groups (KIP-932).
pub const SHARE_VERSION: &str = "share.version";

/// The feature that says whether there are streams groups (KIP-1071).
pub const STREAMS_VERSION: &str = "streams.version";

/// What this build can run with, by feature. A feature of Kafka is above 0 only once its semantics are there.
pub fn supported_features() -> impl Iterator<Item = (&'static str, FeatureRange)> {
    [
        (OTTLA_VERSION, FeatureRange { min: 1, max: 1 }),
        (TRANSACTION_VERSION, FeatureRange { min: 0, max: 2 }),
        (GROUP_VERSION, FeatureRange { min: 0, max: 1 }),
        (SHARE_VERSION, FeatureRange { min: 0, max: 1 }),
        (STREAMS_VERSION, FeatureRange { min: 0, max: 1 }),
    ]
    .into_iter()
}

/// One feature to finalize at another level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureUpdate {
    /// Its name.
    pub name: String,
    /// The wanted level; 0 takes it away.
    pub level: i16,
    /// Whether a lower level than now is meant.
    pub downgrade: bool,
}

/// Finalizes feature levels: all of them, or none if one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateFeatures {
    /// The features.
    pub updates: Vec<FeatureUpdate>,
    /// Only say whether it could be done.
    pub validate_only: bool,
}

type Results = Vec<(String, Result<(), Error>)>;

operation!(UpdateFeatures => Vec<(String, Result<(), Error>)>, update_features);

fn update_features(operation: UpdateFeatures, context: &Context<'_>) -> Result<Decision<Results>, Error> {
    let check = |update: &FeatureUpdate| check(update, context.image);
    let response: Vec<_> = operation.updates.iter().map(|update| (update.name.clone(), check(update))).collect();
    if operation.validate_only || response.iter().any(|(_, result)| result.is_err()) {
        return Ok(Decision::unchanged(response));
    }
    let changed = operation.updates.into_iter().filter(|update| update.level != context.image.feature(&update.name));
    let records = changed.map(|update| Record::Feature { name: update.name, level: update.level }).collect();
    Ok(Decision { records, response })
}

/// The messages are Kafka's.
fn check(update: &FeatureUpdate, image: &Image) -> Result<(), Error> {
    let FeatureUpdate { name, level, downgrade } = update;
    let refuse = |reason: String| {
        let text = format!("Invalid update version {level} for feature {name}. {reason}");
        Err(Error::InvalidUpdateVersion(text.into()))
    };
    let (level, present) = (*level, image.feature(name));
    let Some((_, range)) = supported_features().find(|(supported, _)| supported == name) else {
        return refuse("The controller does not support this feature.".to_owned());
    };
    if level < range.min || level > range.max {
        let FeatureRange { min, max } = range;
        return refuse(format!("The controller only supports versions {min}-{max}"));
    }
    let lacks = |broker: &&std::sync::Arc<crate::metadata::Broker>| {
        broker.features.get(name).is_none_or(|range| level < range.min || level > range.max)
    };
    if let Some(broker) = image.brokers().values().find(lacks) {
        return refuse(format!("Broker {} does not support it.", broker.id));
    }
    if level < present && !downgrade {
        let how = "without setting the upgrade type to either safe or unsafe downgrade";
        return refuse(format!("Can't downgrade the version of this feature {how}."));
    }
    if level > present && *downgrade {
        return refuse("Can't downgrade to a newer version.".to_owned());
    }
    Ok(())
}
