//! Quotas of clients as bytes. A name that is absent says nothing of the entity; an empty one is the default.

use super::{DecodeError, proto};
use crate::metadata::Record;
use crate::quota::{EntityName, Limit, QuotaEntity, QuotaKey};

pub(super) fn to_proto(entity: &QuotaEntity, key: QuotaKey, limit: Option<Limit>) -> proto::QuotaChanged {
    let QuotaEntity { user, client_id, ip } = entity;
    let name = |name: &Option<EntityName>| {
        name.as_ref().map(|name| match name {
            EntityName::Default => String::new(),
            EntityName::Named(name) => name.clone(),
        })
    };
    proto::QuotaChanged {
        user: name(user),
        client_id: name(client_id),
        ip: name(ip),
        key: key.name().to_owned(),
        limit: limit.map(Limit::get),
    }
}

pub(super) fn from_proto(quota: proto::QuotaChanged) -> Result<Record, DecodeError> {
    let name = |name: Option<String>| {
        name.map(|name| if name.is_empty() { EntityName::Default } else { EntityName::Named(name) })
    };
    let key = QuotaKey::from_name(&quota.key).ok_or(DecodeError::Impossible { field: "quota key" })?;
    let limit = quota.limit.map(Limit::try_from).transpose();
    let limit = limit.map_err(|_| DecodeError::Impossible { field: "quota limit" })?;
    let entity = QuotaEntity { user: name(quota.user), client_id: name(quota.client_id), ip: name(quota.ip) };
    Ok(Record::QuotaChanged { entity, key, limit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Image;

    #[test]
    fn quotas_are_the_same_after_a_snapshot() {
        let mut image = Image::default();
        let named = |name: &str| Some(EntityName::Named(name.into()));
        for (user, client_id, ip) in [
            (named("u"), None, None),
            (Some(EntityName::Default), named("c"), None),
            (None, named("c"), None),
            (None, None, named("::1")),
        ] {
            let entity = QuotaEntity { user, client_id, ip };
            let limit = Some(1.5.try_into().unwrap());
            image.apply(&Record::QuotaChanged { entity, key: QuotaKey::Consumed, limit }).unwrap();
        }
        assert_eq!(image.quotas().iter().count(), 4);
        let again = Image::decode_snapshot(&image.encode_snapshot()).unwrap();
        assert_eq!(again.quotas(), image.quotas());
    }

    #[test]
    fn what_cannot_be_a_quota_is_refused() {
        let entity = QuotaEntity { user: Some(EntityName::Default), ..QuotaEntity::default() };
        let good = to_proto(&entity, QuotaKey::Consumed, None);
        for bad in [
            proto::QuotaChanged { key: "nonsense".into(), ..good.clone() },
            proto::QuotaChanged { limit: Some(f64::NAN), ..good.clone() },
            proto::QuotaChanged { limit: Some(-1.0), ..good.clone() },
        ] {
            assert!(matches!(from_proto(bad), Err(DecodeError::Impossible { .. })));
        }
        assert_eq!(from_proto(good), Ok(Record::QuotaChanged { entity, key: QuotaKey::Consumed, limit: None }));
    }
}
