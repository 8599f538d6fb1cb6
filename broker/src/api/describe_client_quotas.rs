//! DescribeClientQuotas: the quotas of the entities that match a filter, from the image (KIP-546).

use ottla_core::quota::{EntityName, QuotaEntity};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_client_quotas::{ComponentData, EntityData, EntryData, ValueData};
use ottla_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::Context;
use super::client_quotas::{CLIENT_ID, IP, USER, named, parts};

type Refusal = (ErrorCode, String);

/// Which names of one type are meant.
enum Wanted {
    Name(EntityName),
    Any,
    /// What is no name at all.
    None,
}

impl Wanted {
    fn has(&self, name: Option<&EntityName>) -> bool {
        match self {
            Self::Name(wanted) => name == Some(wanted),
            Self::Any => name.is_some(),
            Self::None => false,
        }
    }
}

/// What is asked of an entity's parts; nothing of those that have no filter.
#[derive(Default)]
struct Filter {
    user: Option<Wanted>,
    client_id: Option<Wanted>,
    ip: Option<Wanted>,
    /// An entity has no parts but those asked for.
    strict: bool,
}

impl Filter {
    fn of(request: &DescribeClientQuotasRequest) -> Result<Self, Refusal> {
        let mut filter = Self { strict: request.strict, ..Self::default() };
        for component in &request.components {
            let kind = component.entity_type.as_str();
            let place = match kind {
                "" => return Err(invalid("Invalid empty entity type.".into())),
                USER => &mut filter.user,
                CLIENT_ID => &mut filter.client_id,
                IP => &mut filter.ip,
                _ => return Err((ErrorCode::UNSUPPORTED_VERSION, format!("Unsupported entity type {kind}"))),
            };
            if place.replace(wanted(component)?).is_some() {
                return Err(invalid(format!("Entity type {kind} cannot appear more than once in the filter.")));
            }
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            let reason = "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.";
            return Err(invalid(reason.into()));
        }
        Ok(filter)
    }

    fn passes(&self, entity: &QuotaEntity) -> bool {
        let of_part = |wanted: &Option<Wanted>, name: &Option<EntityName>| match wanted {
            Some(wanted) => wanted.has(name.as_ref()),
            None => !self.strict || name.is_none(),
        };
        of_part(&self.user, &entity.user)
            && of_part(&self.client_id, &entity.client_id)
            && of_part(&self.ip, &entity.ip)
    }
}

fn wanted(component: &ComponentData) -> Result<Wanted, Refusal> {
    let unexpected = |kind: &str| invalid(format!("Request specified {kind}, but also specified a match string."));
    match (component.match_type, component.matched.as_deref()) {
        (0, Some(name)) => Ok(named(&component.entity_type, name).map_or(Wanted::None, Wanted::Name)),
        (0, None) => Err(invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.".into())),
        (1, None) => Ok(Wanted::Name(EntityName::Default)),
        (1, Some(_)) => Err(unexpected("MATCH_TYPE_DEFAULT")),
        (2, None) => Ok(Wanted::Any),
        (2, Some(_)) => Err(unexpected("MATCH_TYPE_SPECIFIED")),
        (other, _) => Err(invalid(format!("Unknown match type {other}"))),
    }
}

fn invalid(reason: String) -> Refusal {
    (ErrorCode::INVALID_REQUEST, reason)
}

/// Answers at once.
pub async fn handle(context: Context, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    let filter = match Filter::of(&request) {
        Ok(filter) => filter,
        Err((error_code, reason)) => {
            let error_message = Some(reason.into());
            return DescribeClientQuotasResponse { error_code, error_message, entries: None, throttle_time_ms: 0 };
        }
    };
    let image = context.broker.image();
    let matching = image.quotas().iter().filter(|(entity, _)| filter.passes(entity));
    let entries = matching.map(|(entity, quotas)| EntryData {
        entity: parts(entity).map(|(entity_type, entity_name)| EntityData { entity_type, entity_name }).collect(),
        values: quotas.iter().map(|(key, limit)| ValueData { key: key.name().into(), value: limit.get() }).collect(),
    });
    let entries = Some(entries.collect());
    DescribeClientQuotasResponse { error_code: ErrorCode::NONE, error_message: None, entries, throttle_time_ms: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(kind: &str, match_type: i8, name: Option<&str>) -> ComponentData {
        ComponentData { entity_type: kind.into(), match_type, matched: name.map(Into::into) }
    }

    fn request(components: Vec<ComponentData>, strict: bool) -> DescribeClientQuotasRequest {
        DescribeClientQuotasRequest { components, strict }
    }

    fn found(components: Vec<ComponentData>, strict: bool) -> Vec<usize> {
        let filter = Filter::of(&request(components, strict)).map_err(|(_, reason)| reason).unwrap();
        let name = |name: &str| Some(EntityName::Named(name.into()));
        let entities = [
            QuotaEntity { user: name("u"), client_id: None, ip: None },
            QuotaEntity { user: Some(EntityName::Default), client_id: None, ip: None },
            QuotaEntity { user: name("u"), client_id: name("c"), ip: None },
            QuotaEntity { user: None, client_id: Some(EntityName::Default), ip: None },
            QuotaEntity { user: None, client_id: None, ip: name("::1") },
        ];
        (0..5).filter(|place| filter.passes(&entities[*place])).collect()
    }

    #[test]
    fn every_component_has_to_match_and_strictly_nothing_else_may_be_there() {
        assert_eq!(found(vec![], false), [0, 1, 2, 3, 4]);
        assert!(found(vec![], true).is_empty());
        assert_eq!(found(vec![component(USER, 0, Some("u"))], false), [0, 2]);
        assert_eq!(found(vec![component(USER, 0, Some("u"))], true), [0]);
        assert_eq!(found(vec![component(USER, 1, None)], false), [1]);
        assert_eq!(found(vec![component(USER, 2, None), component(CLIENT_ID, 2, None)], true), [2]);
        assert_eq!(found(vec![component(CLIENT_ID, 1, None)], true), [3]);
        assert_eq!(found(vec![component(IP, 2, None)], false), [4]);
        assert_eq!(found(vec![component(IP, 0, Some("0::1"))], true), [4]);
        assert!(found(vec![component(IP, 0, Some("nowhere"))], false).is_empty());
    }

    #[test]
    fn a_filter_that_means_nothing_is_refused() {
        let refusal = |components| Filter::of(&request(components, false)).err().unwrap();
        assert_eq!(
            refusal(vec![component("planet", 2, None)]),
            (ErrorCode::UNSUPPORTED_VERSION, "Unsupported entity type planet".into())
        );
        for components in [
            vec![component(USER, 9, None)],
            vec![component(USER, 0, None)],
            vec![component(USER, 1, Some("u"))],
            vec![component(USER, 2, Some("u"))],
            vec![component("", 2, None)],
            vec![component(USER, 2, None), component(USER, 2, None)],
            vec![component(USER, 2, None), component(IP, 2, None)],
        ] {
            assert_eq!(refusal(components).0, ErrorCode::INVALID_REQUEST);
        }
    }
}
