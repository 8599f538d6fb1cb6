//! Feature levels of the cluster: what UpdateFeatures accepts and refuses, and that the levels are obeyed.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla_protocol::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest, UpdateFeaturesResponse};
use serde_json::Value;

use super::raw::Raw;
use crate::testing::{TestBroker, eventually_some};

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;

fn update(feature: &str, level: i16, upgrade_type: i8) -> UpdateFeaturesRequest {
    let allow_downgrade = false;
    let update = FeatureUpdateKey { feature: feature.into(), max_version_level: level, allow_downgrade, upgrade_type };
    UpdateFeaturesRequest { feature_updates: vec![update], ..UpdateFeaturesRequest::default() }
}

async fn level(raw: &mut Raw, feature: &str) -> i16 {
    let request = ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    let finalized = raw.call(&request, 4).await.finalized_features;
    finalized.iter().find(|one| &*one.name == feature).map_or(0, |one| one.max_version_level)
}

/// Whether groups of the consumer protocol are served.
async fn serves_groups(raw: &mut Raw) -> bool {
    let request =
        ConsumerGroupDescribeRequest { group_ids: vec!["g".into()], ..ConsumerGroupDescribeRequest::default() };
    raw.call(&request, 1).await.groups[0].error_code != ErrorCode::UNSUPPORTED_VERSION
}

async fn done(raw: &mut Raw, request: UpdateFeaturesRequest) {
    assert_eq!(raw.call(&request, 2).await, UpdateFeaturesResponse { error_message: None, ..Default::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feature_is_lowered_and_raised_and_its_level_obeyed() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    assert!(serves_groups(&mut raw).await);
    let lower = update("group.version", 0, SAFE_DOWNGRADE);
    done(&mut raw, UpdateFeaturesRequest { validate_only: true, ..lower.clone() }).await;
    assert_eq!(level(&mut raw, "group.version").await, 1, "it was only asked whether it could be done");
    done(&mut raw, lower).await;
    let is_lowered = async || {
        let mut raw = Raw::connect(broker.address()).await;
        (level(&mut raw, "group.version").await == 0 && !serves_groups(&mut raw).await).then_some(())
    };
    eventually_some("groups of the consumer protocol are refused", is_lowered).await;
    done(&mut raw, update("group.version", 1, UPGRADE)).await;
    let is_raised = async || serves_groups(&mut Raw::connect(broker.address()).await).await.then_some(());
    eventually_some("they are served again", is_raised).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_updates_none_is_made_if_one_is_refused() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let mut both = update("group.version", 0, SAFE_DOWNGRADE);
    both.feature_updates.extend(update("transaction.version", 9, UPGRADE).feature_updates);
    for version in [1, 2] {
        let answer = raw.call(&both, version).await;
        assert_eq!(answer.error_code, ErrorCode::INVALID_UPDATE_VERSION);
        assert!(answer.error_message.unwrap().contains("version 9 for feature transaction.version"));
        assert!(answer.results.is_empty());
    }
    assert_eq!(level(&mut raw, "group.version").await, 1);
    let answer = raw.call(&update("group.version", 0, 7), 2).await;
    assert_eq!(answer.error_code, ErrorCode::INVALID_UPDATE_VERSION, "no such type of upgrade");
    let old = raw.call(&update("group.version", 1, UPGRADE), 1).await;
    let results: Vec<_> = old.results.iter().map(|one| (&*one.feature, one.error_code)).collect();
    assert_eq!((old.error_code, results), (ErrorCode::NONE, vec![("group.version", ErrorCode::NONE)]));
    let mut without = update("transaction.version", 1, UPGRADE);
    assert_eq!(raw.call(&without, 0).await.error_code, ErrorCode::INVALID_UPDATE_VERSION, "lowered without leave");
    without.feature_updates[0].allow_downgrade = true;
    assert_eq!(raw.call(&without, 0).await.error_code, ErrorCode::NONE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_those_of_a_real_broker() {
    let broker = TestBroker::start().await;
    let mut raw = Raw::connect(broker.address()).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oracle/edge-errors.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases: Vec<_> = cases.iter().filter(|case| case["api"] == "UpdateFeatures").collect();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let wanted = &case["request"]["feature_updates"][0];
        let level = wanted["max_version_level"].as_i64().unwrap() as i16;
        let kind = wanted["upgrade_type"].as_i64().unwrap() as i8;
        let answer = raw.call(&update(wanted["feature"].as_str().unwrap(), level, kind), 2).await;
        assert_eq!(i64::from(answer.error_code.0), case["response"]["error_code"].as_i64().unwrap());
        // Which controller it is, Kafka's controller says too.
        let recorded =
            case["response"]["error_message"].as_str().unwrap().replace("Local controller 1", "The controller");
        assert_eq!(answer.error_message.as_deref(), Some(recorded.as_str()));
    }
}
