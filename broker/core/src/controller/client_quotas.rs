//! AlterClientQuotas (KIP-546). What may be set is checked where the request comes in.

use serde::{Deserialize, Serialize};

use super::command::operation;
use super::{Context, Decision, Error};
use crate::metadata::Record;
use crate::quota::{Limit, QuotaEntity, QuotaKey, QuotaTable};

/// A change of one quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaChange {
    /// For whom.
    pub entity: QuotaEntity,
    /// Of what.
    pub key: QuotaKey,
    /// How much a second; none takes the quota away.
    pub limit: Option<Limit>,
}

/// Changes quotas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterClientQuotas {
    /// The changes, in their order.
    pub changes: Vec<QuotaChange>,
}

operation!(AlterClientQuotas => (), alter_client_quotas);

fn alter_client_quotas(operation: AlterClientQuotas, context: &Context<'_>) -> Result<Decision<()>, Error> {
    let mut quotas = QuotaTable::clone(context.image.quotas());
    let mut records = Vec::new();
    for QuotaChange { entity, key, limit } in operation.changes {
        if quotas.get(&entity, key) != limit {
            quotas.set(&entity, key, limit);
            records.push(Record::QuotaChanged { entity, key, limit });
        }
    }
    Ok(Decision { records, response: () })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{Command, Response, Settings, decide};
    use crate::metadata::Image;
    use crate::quota::EntityName;
    use crate::{Now, Timestamp};

    fn change(limit: Option<f64>) -> QuotaChange {
        let entity = QuotaEntity { user: Some(EntityName::Default), ..QuotaEntity::default() };
        let limit = limit.map(|limit| limit.try_into().unwrap());
        QuotaChange { entity, key: QuotaKey::Consumed, limit }
    }

    #[test]
    fn only_what_differs_is_written_and_the_last_change_counts() {
        let mut image = Image::default();
        let mut records = |limits: &[Option<f64>]| {
            let changes = limits.iter().map(|limit| change(*limit)).collect();
            let command = Command::AlterClientQuotas(AlterClientQuotas { changes });
            let now = Now { monotonic: std::time::Duration::ZERO, wall: Timestamp(0) };
            let decision = decide(&image, &Settings::new(std::iter::empty().collect()), now, command).unwrap();
            assert_eq!(decision.response, Response::AlterClientQuotas(()));
            decision.records.iter().for_each(|record| image.apply(record).unwrap());
            decision.records.len()
        };
        assert_eq!(records(&[Some(5.0)]), 1);
        assert_eq!(records(&[Some(5.0)]), 0);
        assert_eq!(records(&[Some(6.0), None]), 2);
        assert_eq!(records(&[None]), 0);
        assert!(image.quotas().is_empty());
    }
}
