//! Quotas of clients: set, tried, told by entity, and taken away (KIP-546).

use ottla_protocol::ErrorCode;
use ottla_protocol::codec::Str;
use ottla_protocol::messages::alter_client_quotas::{EntityData, EntryData, OpData};
use ottla_protocol::messages::describe_client_quotas::{ComponentData, EntryData as Told};
use ottla_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use super::world::{Scenario, World, scenario};

pub const SCENARIOS: &[(ottla_protocol::ApiKey, Scenario)] =
    &[scenario!(AlterClientQuotas, alter_client_quotas), scenario!(DescribeClientQuotas, describe_client_quotas)];

const CLIENT: &str = "client-id";
const PRODUCED: &str = "producer_byte_rate";
/// More than these scenarios use, so that nobody is held back.
const PLENTY: f64 = 1e12;
/// How an entity is matched.
const EXACT: i8 = 0;
const ANY: i8 = 2;

/// Sets a quota of the client, or unsets it.
async fn alter(
    world: &mut World,
    version: i16,
    client: &str,
    key: &str,
    value: Option<f64>,
    only_try: bool,
) -> (ErrorCode, Option<String>) {
    let entity = vec![EntityData { entity_type: CLIENT.into(), entity_name: Some(client.into()) }];
    let op = OpData { key: key.into(), value: value.unwrap_or_default(), remove: value.is_none() };
    let entries = vec![EntryData { entity: entity.clone(), ops: vec![op] }];
    let answer = world.call(&AlterClientQuotasRequest { entries, validate_only: only_try }, version).await;
    world.cluster.settled().await;
    let [entry] = &answer.entries[..] else { panic!("{answer:?}") };
    assert_eq!(entry.entity, entity);
    (entry.error_code, entry.error_message.as_ref().map(ToString::to_string))
}

async fn describe(world: &mut World, version: i16, match_type: i8, matched: Option<&str>) -> Vec<Told> {
    let component = ComponentData { entity_type: CLIENT.into(), match_type, matched: matched.map(Str::from) };
    let request = DescribeClientQuotasRequest { components: vec![component], strict: true };
    let answer = world.call(&request, version).await;
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer.entries.unwrap()
}

/// The quotas of one client, by key.
async fn own(world: &mut World, version: i16, client: &str) -> Vec<(String, f64)> {
    let told = describe(world, version, EXACT, Some(client)).await;
    let values = told.iter().flat_map(|entry| &entry.values);
    values.map(|value| (value.key.to_string(), value.value)).collect()
}

async fn alter_client_quotas(world: &mut World, version: i16) {
    let client = format!("altered-{version}");
    let fine = (ErrorCode::NONE, None);
    assert_eq!(alter(world, version, &client, PRODUCED, Some(PLENTY), true).await, fine);
    assert_eq!(own(world, 1, &client).await, [], "it was only tried");
    assert_eq!(alter(world, version, &client, PRODUCED, Some(PLENTY), false).await, fine);
    assert_eq!(own(world, 1, &client).await, [(PRODUCED.to_owned(), PLENTY)]);
    let (code, why) = alter(world, version, &client, "unheard_of", Some(1.0), false).await;
    assert_eq!((code, why.is_some()), (ErrorCode::INVALID_REQUEST, true));
    assert_eq!(alter(world, version, &client, PRODUCED, None, false).await, fine);
    assert_eq!(own(world, 1, &client).await, []);
}

async fn describe_client_quotas(world: &mut World, version: i16) {
    let client = format!("described-{version}");
    alter(world, 1, &client, PRODUCED, Some(PLENTY), false).await;
    alter(world, 1, &client, "consumer_byte_rate", Some(PLENTY), false).await;
    let mut quotas = own(world, version, &client).await;
    quotas.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(quotas, [("consumer_byte_rate".to_owned(), PLENTY), (PRODUCED.to_owned(), PLENTY)]);
    let all = describe(world, version, ANY, None).await;
    let is_told = |told: &Told| told.entity.iter().any(|part| part.entity_name.as_deref() == Some(&client));
    assert_eq!(all.iter().filter(|told| is_told(told)).count(), 1);
    assert_eq!(own(world, version, "nobody").await, []);
}
