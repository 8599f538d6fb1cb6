//! IncrementalAlterConfigs (KIP-339) and AlterConfigs: topics, brokers, every broker, groups, subscriptions to metrics.
//!
//! What values are valid is said in [`super::config_rules`]; here is what a request makes of what is set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::config_rules::{check_resource, list_default};
use super::partition_change::Proposal;
use super::sweep::sweep;
use super::{Context, Decision, Error};
use crate::metadata::{Record, Resource, ResourceKind};

pub(super) use super::config_rules::check_topic_configs;

/// What to do to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigOp {
    /// Set it.
    Set,
    /// Set it no more.
    Delete,
    /// Add words to a list.
    Append,
    /// Take words out of a list.
    Subtract,
}

/// A change to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// The key.
    pub key: String,
    /// What to do.
    pub op: ConfigOp,
    /// The value, or the words.
    pub value: Option<String>,
}

/// Changes to one resource: all of them, or none if one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceChanges {
    /// What is configured.
    pub resource: Resource,
    /// The changes.
    pub changes: Vec<ConfigChange>,
}

/// Changes single keys of resources, each resource on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncrementalAlterConfigs {
    /// The resources.
    pub resources: Vec<ResourceChanges>,
    /// Only say whether it could be done.
    pub validate_only: bool,
}

/// The whole configuration of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceValues {
    /// What is configured.
    pub resource: Resource,
    /// Every key that is to be set.
    pub values: Vec<(String, Option<String>)>,
}

/// Replaces the configurations of resources, each on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterConfigs {
    /// The resources.
    pub resources: Vec<ResourceValues>,
    /// Only say whether it could be done.
    pub validate_only: bool,
}

type Results = Vec<(Resource, Result<(), Error>)>;
/// A key and what it is to be; `None` unsets it.
type Wanted = Vec<(String, Option<String>)>;

operation!(IncrementalAlterConfigs => Vec<(Resource, Result<(), Error>)>, incremental_alter_configs);
operation!(AlterConfigs => Vec<(Resource, Result<(), Error>)>, alter_configs);

fn incremental_alter_configs(
    operation: IncrementalAlterConfigs,
    context: &Context<'_>,
) -> Result<Decision<Results>, Error> {
    let IncrementalAlterConfigs { resources, validate_only } = operation;
    let resources = resources.into_iter().map(|one| (one.resource, one.changes)).collect();
    Ok(alter(resources, validate_only, context, |resource, changes| {
        refuse_repeated_keys(changes.iter().map(|change| change.key.as_str()))?;
        changes.into_iter().map(|change| incremental(resource, change, context)).collect()
    }))
}

fn alter_configs(operation: AlterConfigs, context: &Context<'_>) -> Result<Decision<Results>, Error> {
    let AlterConfigs { resources, validate_only } = operation;
    let resources = resources.into_iter().map(|one| (one.resource, one.values)).collect();
    Ok(alter(resources, validate_only, context, |resource, values: Wanted| {
        refuse_repeated_keys(values.iter().map(|(key, _)| key.as_str()))?;
        if let Some((key, _)) = values.iter().find(|(_, value)| value.is_none()) {
            return Err(null_value(key));
        }
        let unset = |key: &&String| !values.iter().any(|(wanted, _)| wanted == *key);
        let present = context.image.config(resource);
        let gone: Wanted = present
            .into_iter()
            .flat_map(|config| config.keys())
            .filter(unset)
            .cloned()
            .map(|key| (key, None))
            .collect();
        Ok(values.into_iter().chain(gone).collect())
    }))
}

/// Decides on each resource alone; `wanted` says what the request makes of its keys.
fn alter<T>(
    resources: Vec<(Resource, T)>,
    validate_only: bool,
    context: &Context<'_>,
    wanted: impl Fn(&Resource, T) -> Result<Wanted, Error>,
) -> Decision<Results> {
    let names: Vec<_> = resources.iter().map(|(resource, _)| resource.clone()).collect();
    let mut records = Vec::new();
    let response = resources.into_iter().map(|(resource, request)| {
        let result = if names.iter().filter(|other| **other == resource).count() > 1 {
            Err(Error::InvalidRequest("Each resource must appear at most once.".into()))
        } else {
            check_name(&resource)
                .and_then(|()| wanted(&resource, request))
                .and_then(|wanted| change(&resource, wanted, context))
                .map(|changed| records.extend(changed))
        };
        (resource, result)
    });
    let response = response.collect();
    let mut decision = Decision { records, response };
    if validate_only {
        decision.records.clear();
    }
    let implied = partitions_affected(&decision.records, context);
    decision.records.extend(implied);
    decision
}

fn check_name(resource: &Resource) -> Result<(), Error> {
    let refuse = |reason: &'static str| Err(Error::InvalidRequest(reason.into()));
    match (resource.kind, resource.name.as_str()) {
        (ResourceKind::Topic, "") => refuse("Default topic resources are not allowed."),
        (ResourceKind::ClientMetrics, "") => refuse("Subscription name can't be empty"),
        (ResourceKind::Group, "") => refuse("Default group resources are not allowed."),
        (ResourceKind::Broker, name) if !name.is_empty() => match name.parse::<i32>() {
            Err(_) => refuse("Unable to parse broker name as a base 10 number."),
            Ok(id) if id < 0 => refuse("Invalid negative broker ID."),
            Ok(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The records that make the keys what they are wanted to be, if the whole is then valid.
fn change(resource: &Resource, wanted: Wanted, context: &Context<'_>) -> Result<Vec<Record>, Error> {
    let present = context.image.config(resource);
    let mut after = present.map(|config| BTreeMap::clone(config)).unwrap_or_default();
    let mut records = Vec::new();
    let mut changed = Vec::new();
    for (key, value) in wanted {
        let before = after.get(&key).cloned();
        match &value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(&key),
        };
        // A broker also reloads what a value refers to, such as a key store, when it is set to what it was.
        if before != value || resource.kind == ResourceKind::Broker {
            changed.push(key.clone());
            records.push(Record::ConfigChanged { resource: resource.clone(), key, value });
        }
    }
    check_resource(resource, &after, &changed, context)?;
    Ok(records)
}

fn incremental(
    resource: &Resource,
    change: ConfigChange,
    context: &Context<'_>,
) -> Result<(String, Option<String>), Error> {
    let ConfigChange { key, op, value } = change;
    if op == ConfigOp::Delete {
        return Ok((key, None));
    }
    let value = value.ok_or_else(|| null_value(&key))?;
    if op == ConfigOp::Set {
        return Ok((key, Some(value)));
    }
    let verb = if op == ConfigOp::Append { "APPEND" } else { "SUBTRACT" };
    let Some(default) = list_default(resource, &key, context) else {
        let reason = format!("Can't {verb} to key {key} because its type is not LIST.");
        return Err(Error::InvalidConfig(reason.into()));
    };
    let set = context.image.config_value(resource, &key);
    let mut words: Vec<&str> = set.unwrap_or(&default).split(',').filter(|word| !word.is_empty()).collect();
    for word in value.split(',') {
        if op == ConfigOp::Subtract {
            words.retain(|present| *present != word);
        } else if !words.contains(&word) {
            words.push(word);
        }
    }
    let words = words.join(",");
    Ok((key, Some(words)))
}

/// A lower min.insync.replicas empties eligible sets, unclean elections once allowed bring partitions back, and what was
/// committed before a topic became `fsync` is not flushed on that account.
fn partitions_affected(records: &[Record], context: &Context<'_>) -> Vec<Record> {
    const KEYS: [&str; 3] = ["min.insync.replicas", "unclean.leader.election.enable", "ottla.durability"];
    let mut everywhere = false;
    let mut topics = Vec::new();
    for record in records {
        if let Record::ConfigChanged { resource, key, .. } = record
            && KEYS.contains(&key.as_str())
        {
            everywhere |= resource.kind == ResourceKind::Broker;
            topics.push(resource.name.as_str());
        }
    }
    if topics.is_empty() {
        return Vec::new();
    }
    let after = context.after(records);
    sweep(&after, context.settings, |topic, _, state| {
        let name = topic.name.as_str();
        let affected = everywhere || topics.contains(&name);
        affected.then(|| {
            let mut proposal = Proposal::unchanged(state);
            let is_fsync = context.settings.is_fsync(&after, name);
            // Going to `replicated` takes the mark back, so that either change makes proposals under way obsolete.
            if is_fsync != context.settings.is_fsync(context.image, name) {
                proposal.unflushed = is_fsync;
            }
            proposal
        })
    })
}

fn refuse_repeated_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(Error::InvalidRequest("Error due to duplicate config keys".into()));
        }
    }
    Ok(())
}

fn null_value(key: &str) -> Error {
    Error::InvalidRequest(format!("Null value not supported for : {key}").into())
}
