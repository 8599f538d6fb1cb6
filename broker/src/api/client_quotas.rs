//! What the two APIs of quotas share (KIP-546): how Kafka names entities and what is limited.

use ottla_core::quota::{EntityName, QuotaEntity, address_name};
use ottla_protocol::codec::Str;

pub(super) const USER: &str = "user";
pub(super) const CLIENT_ID: &str = "client-id";
pub(super) const IP: &str = "ip";

/// An entity's name of the type `kind`: addresses have one name each, however they are written; none if it is no address.
pub(super) fn named(kind: &str, name: &str) -> Option<EntityName> {
    let name = if kind == IP { address_name(name.parse().ok()?) } else { name.to_owned() };
    Some(EntityName::Named(name))
}

/// The parts of an entity: type, and name or null for the default.
pub(super) fn parts(entity: &QuotaEntity) -> impl Iterator<Item = (Str, Option<Str>)> {
    let part = |kind: &'static str, name: &Option<EntityName>| {
        let name = match name.as_ref()? {
            EntityName::Default => None,
            EntityName::Named(name) => Some(Str::from(name.as_str())),
        };
        Some((Str::from_static(kind), name))
    };
    [part(USER, &entity.user), part(CLIENT_ID, &entity.client_id), part(IP, &entity.ip)].into_iter().flatten()
}
