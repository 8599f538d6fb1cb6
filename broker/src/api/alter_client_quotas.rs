//! AlterClientQuotas: each entity on its own (KIP-546).

use std::collections::BTreeSet;

use ottla_core::controller::{AlterClientQuotas, QuotaChange};
use ottla_core::quota::{EntityName, Limit, QuotaEntity, QuotaKey};
use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::alter_client_quotas::{EntityData, EntryData, EntryResponse, OpData};
use ottla_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::client_quotas::{CLIENT_ID, IP, USER, named};
use super::{Context, error};

/// How far from a whole number a rate of bytes may be, as in Kafka.
const EPSILON: f64 = 1e-6;

/// Answers once the changes are committed.
pub async fn handle(context: Context, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let checked = changes(&request.entries);
    let accepted: Vec<QuotaChange> = checked.iter().flatten().flatten().cloned().collect();
    let outcome = if request.validate_only || accepted.is_empty() {
        Ok(())
    } else {
        context.broker.controller.submit(AlterClientQuotas { changes: accepted }).await
    };
    let of_outcome = match &outcome {
        Ok(()) => (ErrorCode::NONE, None),
        Err(refusal) => (error::of_submit(refusal), Some(Str::from(refusal.to_string()))),
    };
    let answer = |(entry, checked): (EntryData, Result<_, String>)| {
        let (error_code, error_message) = match checked {
            Ok(_) => of_outcome.clone(),
            Err(reason) => (ErrorCode::INVALID_REQUEST, Some(reason.into())),
        };
        EntryResponse { error_code, error_message, entity: entry.entity }
    };
    let entries = request.entries.into_iter().zip(checked).map(answer).collect();
    AlterClientQuotasResponse { entries, ..AlterClientQuotasResponse::default() }
}

/// What each entry asks for, or why it is refused, in Kafka's words.
fn changes(entries: &[EntryData]) -> Vec<Result<Vec<QuotaChange>, String>> {
    let mut named = BTreeSet::new();
    let of_entry = |entry: &EntryData| {
        let entity = entity(&entry.entity)?;
        if !named.insert(entity.clone()) {
            return Err("Ignoring duplicate entity".to_owned());
        }
        let mut keys = BTreeSet::new();
        let changed = entry.ops.iter().map(|op| match keys.insert(op.key.as_str()) {
            true => change(&entity, op),
            false => Err(format!("Duplicate quota key {}", op.key)),
        });
        changed.filter_map(Result::transpose).collect()
    };
    entries.iter().map(of_entry).collect()
}

fn entity(parts: &[EntityData]) -> Result<QuotaEntity, String> {
    let mut entity = QuotaEntity::default();
    for EntityData { entity_type, entity_name } in parts {
        let place = match entity_type.as_str() {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            IP => &mut entity.ip,
            other => return Err(format!("Unhandled client quota entity type: {other}")),
        };
        let name = match entity_name.as_deref() {
            Some("") => return Err(format!("Empty {entity_type} not supported")),
            Some(name) => {
                named(entity_type, name).ok_or_else(|| format!("{name} is not a valid IP or resolvable host."))?
            }
            None => EntityName::Default,
        };
        if place.replace(name).is_some() {
            return Err(format!("Invalid client quota entity, duplicate entity entry {entity_type}"));
        }
    }
    if entity == QuotaEntity::default() {
        return Err("Invalid empty client quota entity".into());
    }
    if entity.ip.is_some() && (entity.user.is_some() || entity.client_id.is_some()) {
        return Err("Invalid quota entity combination, IP entity should not be combined with User or ClientId".into());
    }
    Ok(entity)
}

/// What an operation changes: nothing if it takes away what cannot be set.
fn change(entity: &QuotaEntity, op: &OpData) -> Result<Option<QuotaChange>, String> {
    let name = op.key.as_str();
    let is_of_address = entity.ip.is_some();
    let key = QuotaKey::from_name(name).filter(|key| (*key == QuotaKey::Connections) == is_of_address);
    let Some(key) = key else {
        return if op.remove { Ok(None) } else { Err(format!("Invalid configuration key {name}")) };
    };
    let limit = if op.remove { None } else { Some(limit(key, op.value)?) };
    Ok(Some(QuotaChange { entity: entity.clone(), key, limit }))
}

/// A limit of `key`; of bytes and connections it is a whole number.
fn limit(key: QuotaKey, value: f64) -> Result<Limit, String> {
    let name = key.name();
    let whole = match key {
        QuotaKey::Produced | QuotaKey::Consumed => Some(("a LONG", i64::MAX as f64)),
        QuotaKey::Connections => Some(("an INT", f64::from(i32::MAX))),
        QuotaKey::RequestTime | QuotaKey::Mutations => None,
    };
    if let Some((kind, _)) = whole.filter(|(_, most)| value > *most) {
        return Err(format!("Proposed value for {name} is too large for {kind}."));
    }
    let limit = Limit::try_from(value).map_err(|_| format!("Quota {name} must be greater than 0"))?;
    if whole.is_some() && value % 1.0 > EPSILON {
        return Err(format!("{name} cannot be a fractional value."));
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &str, name: Option<&str>) -> EntityData {
        EntityData { entity_type: kind.into(), entity_name: name.map(Str::from) }
    }

    fn set(key: &str, value: f64) -> OpData {
        OpData { key: key.into(), value, remove: false }
    }

    fn entry(entity: &[EntityData], ops: &[OpData]) -> EntryData {
        EntryData { entity: entity.to_vec(), ops: ops.to_vec() }
    }

    fn refusal(entity: &[EntityData], ops: &[OpData]) -> String {
        changes(&[entry(entity, ops)]).remove(0).unwrap_err()
    }

    #[test]
    fn names_and_defaults_become_one_entity() {
        let ops = [set("producer_byte_rate", 1024.0), OpData { remove: true, ..set("consumer_byte_rate", -1.0) }];
        let asked = entry(&[part(CLIENT_ID, None), part(USER, Some("u"))], &ops);
        let (user, client_id) = (Some(EntityName::Named("u".into())), Some(EntityName::Default));
        let entity = QuotaEntity { user, client_id, ip: None };
        let change = |key, limit: Option<f64>| QuotaChange {
            entity: entity.clone(),
            key,
            limit: limit.map(|limit| limit.try_into().unwrap()),
        };
        let expected = vec![change(QuotaKey::Produced, Some(1024.0)), change(QuotaKey::Consumed, None)];
        assert_eq!(changes(&[asked]), [Ok(expected)]);
    }

    #[test]
    fn entities_that_mean_nothing_are_refused_with_the_reason() {
        let user = || part(USER, Some("u"));
        for (entity, reason) in [
            (vec![part("planet", Some("x"))], "Unhandled client quota entity type: planet"),
            (vec![], "Invalid empty client quota entity"),
            (vec![part(IP, Some("nowhere"))], "nowhere is not a valid IP or resolvable host."),
            (
                vec![part(IP, None), user()],
                "Invalid quota entity combination, IP entity should not be combined with User or ClientId",
            ),
            (vec![part(USER, Some(""))], "Empty user not supported"),
            (vec![user(), user()], "Invalid client quota entity, duplicate entity entry user"),
        ] {
            assert_eq!(refusal(&entity, &[set("producer_byte_rate", 1.0)]), reason);
        }
    }

    #[test]
    fn keys_and_limits_that_cannot_be_are_refused_by_name() {
        let rate = |value| vec![set("producer_byte_rate", value)];
        for (ops, reason) in [
            (vec![set("nonsense", 1.0)], "Invalid configuration key nonsense"),
            (vec![set("connection_creation_rate", 1.0)], "Invalid configuration key connection_creation_rate"),
            (vec![set("request_percentage", 0.0)], "Quota request_percentage must be greater than 0"),
            (rate(-5.0), "Quota producer_byte_rate must be greater than 0"),
            (rate(f64::NAN), "Quota producer_byte_rate must be greater than 0"),
            (rate(1.5), "producer_byte_rate cannot be a fractional value."),
            (rate(1e30), "Proposed value for producer_byte_rate is too large for a LONG."),
            (rate(f64::INFINITY), "Proposed value for producer_byte_rate is too large for a LONG."),
            ([rate(1.0), rate(2.0)].concat(), "Duplicate quota key producer_byte_rate"),
        ] {
            assert_eq!(refusal(&[part(USER, Some("u"))], &ops), reason);
        }
    }

    #[test]
    fn an_address_has_one_name_and_one_quota() {
        let address = [part(IP, Some("0:0::1"))];
        let asked = changes(&[entry(&address, &[set("connection_creation_rate", 5.0)])]).remove(0).unwrap();
        assert_eq!(asked[0].entity.ip, Some(EntityName::Named("::1".into())));
        assert_eq!(asked[0].key, QuotaKey::Connections);
        for (op, reason) in [
            (set("producer_byte_rate", 1.0), "Invalid configuration key producer_byte_rate"),
            (
                set("connection_creation_rate", 3e9),
                "Proposed value for connection_creation_rate is too large for an INT.",
            ),
            (set("connection_creation_rate", 0.5), "connection_creation_rate cannot be a fractional value."),
        ] {
            assert_eq!(refusal(&address, &[op]), reason);
        }
    }

    #[test]
    fn what_cannot_be_set_can_be_taken_away() {
        let unset = OpData { remove: true, ..set("nonsense", 0.0) };
        assert_eq!(changes(&[entry(&[part(USER, None)], &[unset])]), [Ok(vec![])]);
    }

    #[test]
    fn of_two_entries_for_an_entity_the_second_is_refused() {
        let entry = || entry(&[part(USER, None)], &[set("producer_byte_rate", 1.0)]);
        let [first, second] = changes(&[entry(), entry()]).try_into().unwrap();
        assert!(first.is_ok());
        assert_eq!(second, Err("Ignoring duplicate entity".into()));
    }
}
