//! Which values a resource may be configured with, by the tables of [`crate::config`].

use std::collections::BTreeMap;

use super::{Context, Error, Settings};
use crate::BrokerId;
use crate::client_metrics;
use crate::config::{Kind, Mode, broker_key, client_metrics_key, group_key, topic_key};
use crate::metadata::{Resource, ResourceKind};

type Values = BTreeMap<String, String>;

/// Checks what a resource's configuration would be with the keys in `changed` changed, and that the resource exists.
pub(super) fn check_resource(
    resource: &Resource,
    after: &Values,
    changed: &[String],
    context: &Context<'_>,
) -> Result<(), Error> {
    match resource.kind {
        ResourceKind::Topic => {
            check_topic_configs(after, context.settings)?;
            let unknown =
                || Error::UnknownTopicOrPartition(format!("The topic '{}' does not exist.", resource.name).into());
            context.image.topic(&resource.name).map(|_| ()).ok_or_else(unknown)
        }
        ResourceKind::Broker => check_broker(resource, after, changed, context),
        ResourceKind::ClientMetrics => client_metrics::check(after).map_err(|refused| match refused {
            client_metrics::Invalid::Value(_) | client_metrics::Invalid::Pattern(_) => invalid(refused),
            _ => Error::InvalidRequest(refused.to_string().into()),
        }),
        ResourceKind::Group => check_group(after, context.settings),
    }
}

/// Checks a topic's own configuration.
pub(super) fn check_topic_configs(values: &Values, settings: &Settings) -> Result<(), Error> {
    for (name, value) in values {
        let unknown = || invalid(format!("Unknown topic config name: {name}"));
        let key = topic_key(name).ok_or_else(unknown)?;
        key.check.value(key.name, key.kind, value).map_err(invalid)?;
    }
    let lag = |bound: &str| {
        let own = values.get(&format!("{bound}.compaction.lag.ms")).and_then(|value| value.trim().parse().ok());
        own.unwrap_or_else(|| settings.number::<i64>(&format!("log.cleaner.{bound}.compaction.lag.ms")))
    };
    let (min, max) = (lag("min"), lag("max"));
    if min > max {
        return Err(invalid(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    let enabled = values.get("remote.storage.enable").is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    if enabled {
        let reason = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote \
                      log storage.";
        return Err(Error::InvalidConfig(reason.into()));
    }
    Ok(())
}

/// The default of a key that is a list of words; `None` if it is none.
pub(super) fn list_default(resource: &Resource, key: &str, context: &Context<'_>) -> Option<String> {
    match resource.kind {
        ResourceKind::Topic => topic_key(key)
            .filter(|key| key.kind == Kind::List)
            .map(|key| context.settings.topic_value(context.image, &resource.name, key.name)),
        ResourceKind::Broker => broker_key(key)
            .filter(|key| key.kind == Kind::List)
            .map(|key| context.settings.broker_value(context.image, key.name).unwrap_or_default()),
        ResourceKind::ClientMetrics => {
            client_metrics_key(key).filter(|key| key.kind == Kind::List).map(|key| key.default.to_owned())
        }
        ResourceKind::Group => group_key(key).filter(|key| key.kind == Kind::List).map(|key| key.default.to_owned()),
    }
}

/// Unknown keys are kept, for plug-ins may know them; known ones must be dynamic, and valid.
fn check_broker(resource: &Resource, after: &Values, changed: &[String], context: &Context<'_>) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::InvalidRequest(reason.into()));
    let for_all = resource.name.is_empty();
    if !for_all {
        let id = resource.name.parse().map(BrokerId).unwrap_or(BrokerId::NONE);
        if context.image.broker(id).is_none() {
            return refuse(format!("Unexpected broker id {id}: no such broker is registered"));
        }
    }
    let known = || changed.iter().filter_map(|name| broker_key(name));
    let read_only: Vec<_> = known().filter(|key| key.mode == Mode::ReadOnly).map(|key| key.name).collect();
    if !read_only.is_empty() {
        return refuse(format!("Cannot update these configs dynamically: [{}]", read_only.join(", ")));
    }
    let alone: Vec<_> = known().filter(|key| for_all && key.mode == Mode::PerBroker).map(|key| key.name).collect();
    if !alone.is_empty() {
        return refuse(format!("Cannot update these configs at default cluster level: [{}]", alone.join(", ")));
    }
    for key in known() {
        if let Some(value) = after.get(key.name) {
            key.check.value(key.name, key.kind, value).or_else(|invalid| refuse(invalid.to_string()))?;
        }
    }
    Ok(())
}

fn check_group(after: &Values, settings: &Settings) -> Result<(), Error> {
    for (name, value) in after {
        let unknown = || invalid(format!("Unknown group config name: {name}"));
        let key = group_key(name).ok_or_else(unknown)?;
        key.check.value(key.name, key.kind, value).map_err(invalid)?;
        let Some((protocol, setting)) = name.split_once('.') else { continue };
        // Of a number of things the most there may be goes without the word.
        let setting = setting.strip_prefix("num.").unwrap_or(setting);
        for (bound, within) in [("min", "greater"), ("max", "less")] {
            let Some(limit_key) = broker_key(&format!("group.{protocol}.{bound}.{setting}")) else { continue };
            let (number, limit): (i64, i64) = (value.trim().parse().map_err(invalid)?, settings.number(limit_key.name));
            if (bound == "min" && number < limit) || (bound == "max" && number > limit) {
                return Err(invalid(format!("{name} must be {within} than or equal to {}", limit_key.name)));
            }
        }
    }
    ["consumer", "share", "streams"].into_iter().try_for_each(|protocol| check_silence(protocol, after, settings))
}

/// A member has to be heard more often than it may be silent.
fn check_silence(protocol: &str, after: &Values, settings: &Settings) -> Result<(), Error> {
    let [session, heartbeat] =
        ["session.timeout.ms", "heartbeat.interval.ms"].map(|setting| format!("{protocol}.{setting}"));
    let value = |name: &str| -> i64 {
        let own = after.get(name).and_then(|value| value.trim().parse().ok());
        own.unwrap_or_else(|| settings.number(&format!("group.{name}")))
    };
    let is_own = after.contains_key(&session) || after.contains_key(&heartbeat);
    if is_own && value(&session) <= value(&heartbeat) {
        return Err(invalid(format!("{session} must be greater than {heartbeat}")));
    }
    Ok(())
}

fn invalid(reason: impl ToString) -> Error {
    Error::InvalidConfig(reason.to_string().into())
}
