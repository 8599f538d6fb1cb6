//! The quotas that are set, and which of them a client has.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::entity::{EntityName, Limit, QuotaEntity, QuotaKey, address_name};
use super::ledger::Client;

/// The quotas that are set, as the metadata log has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaTable {
    entities: BTreeMap<QuotaEntity, BTreeMap<QuotaKey, Limit>>,
}

/// Those who share a limit: all of a user's clients, or all with a client id, or all of that user with that client id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sharers {
    user: Option<String>,
    client_id: Option<String>,
}

/// A limit, and those who share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) limit: Limit,
    pub(super) sharers: Sharers,
}

impl QuotaTable {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Every entity with a quota, and its quotas.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &BTreeMap<QuotaKey, Limit>)> {
        self.entities.iter()
    }

    /// What the entity's quota of `key` is set to.
    pub fn get(&self, entity: &QuotaEntity, key: QuotaKey) -> Option<Limit> {
        self.entities.get(entity)?.get(&key).copied()
    }

    /// Sets a quota, or with `None` takes it away.
    pub fn set(&mut self, entity: &QuotaEntity, key: QuotaKey, limit: Option<Limit>) {
        let quotas = self.entities.entry(entity.clone()).or_default();
        match limit {
            Some(limit) => quotas.insert(key, limit),
            None => quotas.remove(&key),
        };
        if quotas.is_empty() {
            self.entities.remove(entity);
        }
    }

    /// The quota of `client`: the first in Kafka's order that is set. Each name that a default stands for has its share for
    /// itself; a quota of a user is shared by all of its clients, and the other way round.
    pub(super) fn share(&self, key: QuotaKey, client: Client<'_>) -> Option<Share> {
        let (default, named) = (Some(EntityName::Default), |name: &str| Some(EntityName::Named(name.to_owned())));
        let order = [
            (named(client.user), named(client.id)),
            (named(client.user), default.clone()),
            (named(client.user), None),
            (default.clone(), named(client.id)),
            (default.clone(), default.clone()),
            (default.clone(), None),
            (None, named(client.id)),
            (None, default),
        ];
        order.into_iter().find_map(|(user, client_id)| {
            let entity = QuotaEntity { user, client_id, ip: None };
            let limit = self.get(&entity, key)?;
            let sharers = Sharers {
                user: entity.user.is_some().then(|| client.user.to_owned()),
                client_id: entity.client_id.is_some().then(|| client.id.to_owned()),
            };
            Some(Share { limit, sharers })
        })
    }

    /// How many connections `address` may make: what is set for it, or for every one that has no quota of its own.
    pub(super) fn of_address(&self, address: IpAddr) -> Option<Limit> {
        let names = [EntityName::Named(address_name(address)), EntityName::Default];
        names
            .into_iter()
            .find_map(|name| self.get(&QuotaEntity { ip: Some(name), ..QuotaEntity::default() }, QuotaKey::Connections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(user: &str, client_id: &str) -> QuotaEntity {
        let name = |text: &str| match text {
            "" => None,
            "*" => Some(EntityName::Default),
            name => Some(EntityName::Named(name.into())),
        };
        QuotaEntity { user: name(user), client_id: name(client_id), ip: None }
    }

    fn limit(number: i32) -> Option<Limit> {
        Some(f64::from(number).try_into().unwrap())
    }

    fn share(table: &QuotaTable, key: QuotaKey, user: &str, id: &str) -> Option<Share> {
        table.share(key, Client { user, id })
    }

    #[test]
    fn the_first_in_kafkas_order_counts_and_says_who_shares_it() {
        let order = [("u", "c"), ("u", "*"), ("u", ""), ("*", "c"), ("*", "*"), ("*", ""), ("", "c"), ("", "*")];
        let mut table = QuotaTable::default();
        for (number, (user, client)) in (1..).zip(order) {
            table.set(&entity(user, client), QuotaKey::Produced, limit(number));
        }
        for (number, (user, client)) in (1..).zip(order) {
            let sharers = Sharers {
                user: (!user.is_empty()).then(|| "u".to_owned()),
                client_id: (!client.is_empty()).then(|| "c".to_owned()),
            };
            let expected = limit(number).map(|limit| Share { limit, sharers });
            assert_eq!(share(&table, QuotaKey::Produced, "u", "c"), expected);
            table.set(&entity(user, client), QuotaKey::Produced, None);
        }
        assert!(table.is_empty());
    }

    #[test]
    fn a_quota_of_one_thing_or_of_another_client_limits_nothing_else() {
        let mut table = QuotaTable::default();
        table.set(&entity("", "c"), QuotaKey::Produced, limit(5));
        table.set(&entity("v", ""), QuotaKey::Consumed, limit(6));
        assert_eq!(share(&table, QuotaKey::Consumed, "u", "c"), None);
        assert_eq!(share(&table, QuotaKey::Produced, "u", "d"), None);
        assert_eq!(share(&table, QuotaKey::Consumed, "v", "d").map(|share| Some(share.limit)), Some(limit(6)));
    }
}
