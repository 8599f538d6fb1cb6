//! Leaders elsewhere: who is pointed to, who is elected when it is asked for, who is forgotten.

use std::collections::BTreeMap;

use ottla_core::controller::{
    BrokerHeartbeat, CreateTopics, FenceBroker, NewTopic, PartitionAssignment, PreviousStop, RegisterBroker, Wish,
    supported_features,
};
use ottla_core::metadata::{Endpoint, SecurityProtocol};
use ottla_core::{BrokerEpoch, BrokerId, DirectoryId, TopicId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::messages::unregister_broker::UnregisterBrokerRequest;
use uuid::Uuid;

use super::produce_fetch::{batch, fetch, produce};
use super::raw::Raw;
use crate::testing::TestBroker;

/// A broker that is known to the controller alone, in service.
async fn other_broker(broker: &TestBroker) -> BrokerEpoch {
    let listener = broker.running.broker.config.listeners.kafka[0].name.clone();
    let registration = RegisterBroker {
        broker: BrokerId(1),
        cluster_id: "test".to_owned(),
        incarnation: Uuid::from_u128(1),
        endpoints: vec![Endpoint {
            listener,
            host: "elsewhere".to_owned(),
            port: 1234,
            security_protocol: SecurityProtocol::Plaintext,
        }],
        rack: Some("b".to_owned()),
        directories: vec![DirectoryId(Uuid::from_u128(2))],
        features: supported_features().map(|(name, range)| (name.to_owned(), range)).collect::<BTreeMap<_, _>>(),
        previous: PreviousStop::Unclean { page_cache_kept: false, damaged: Vec::new() },
    };
    let epoch = broker.controller.submit(registration).await.unwrap();
    let applied = broker.controller.image().index();
    let heartbeat = BrokerHeartbeat { broker: BrokerId(1), epoch, applied, wish: Wish::Serve };
    assert!(!broker.controller.submit(heartbeat).await.unwrap().fenced);
    epoch
}

async fn create(broker: &TestBroker, name: &str, brokers: &[i32]) -> TopicId {
    let id = TopicId(Uuid::new_v4());
    let brokers = brokers.iter().copied().map(BrokerId).collect();
    let assignments = vec![PartitionAssignment { partition: 0, brokers }];
    let topic = NewTopic { assignments, ..NewTopic::with_defaults(name, id) };
    let created = broker.controller.submit(CreateTopics { topics: vec![topic], validate_only: false }).await.unwrap();
    created[0].1.as_ref().unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_is_told_who_leads_instead_and_where() {
    let broker = TestBroker::start().await;
    other_broker(&broker).await;
    let id = create(&broker, "away", &[1]).await;
    let mut by_id = produce("", -1, batch("v"));
    by_id.topic_data[0].topic_id = id.0;
    let mut connection = Raw::connect(broker.address()).await;
    for request in [produce("away", -1, batch("v")), produce("away", 1, batch("v")), by_id] {
        let version = if request.topic_data[0].name.is_empty() { 13 } else { 12 };
        let answer = connection.call(&request, version).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert_eq!((partition.current_leader.leader_id, partition.current_leader.leader_epoch), (1, 0));
        let [endpoint] = &answer.node_endpoints[..] else { panic!("{:?}", answer.node_endpoints) };
        assert_eq!((endpoint.node_id, &*endpoint.host, endpoint.port), (1, "elsewhere", 1234));
        assert_eq!(endpoint.rack.as_deref(), Some("b"));
    }
    let answer = connection.call(&fetch("away", 0, 0, 1), 12).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(partition.current_leader.leader_id, 1);
    let mut by_id = fetch("", 0, 0, 1);
    by_id.topics[0].topic_id = id.0;
    let answer = connection.call(&by_id, 16).await;
    assert_eq!(answer.node_endpoints.iter().map(|endpoint| endpoint.port).collect::<Vec<_>>(), [1234]);
    let metadata = connection.call(&MetadataRequest { topics: None, ..Default::default() }, 12).await;
    assert_eq!(metadata.brokers.iter().map(|broker| broker.node_id).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_elected_on_request_and_fenced_brokers_are_not_listed() {
    let broker = TestBroker::start_with(&[("auto.leader.rebalance.enable", "false")]).await;
    let epoch = other_broker(&broker).await;
    create(&broker, "both", &[1, 0]).await;
    create(&broker, "away", &[1]).await;
    broker.controller.submit(FenceBroker { broker: BrokerId(1), epoch }).await.unwrap();
    let client = broker.client().await;
    let elect = |election_type, topic: &str| ElectLeadersRequest {
        election_type,
        topic_partitions: Some(vec![TopicPartitions { topic: topic.into(), partitions: vec![0] }]),
        timeout_ms: 5000,
    };
    for (kind, topic, code) in [
        (0, "both", ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE),
        (1, "both", ErrorCode::ELECTION_NOT_NEEDED),
        (1, "away", ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE),
        (0, "none", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ] {
        let answer = client.send_any(&elect(kind, topic)).await.unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
        assert_eq!(answer.replica_election_results[0].partition_result[0].error_code, code, "{kind} {topic}");
    }
    assert_eq!(client.send_any(&elect(2, "both")).await.unwrap().error_code, ErrorCode::INVALID_REQUEST);
    let all = ElectLeadersRequest { election_type: 0, topic_partitions: None, timeout_ms: 5000 };
    let answered = client.send_any(&all).await.unwrap().replica_election_results;
    let refused = answered.iter().flat_map(|topic| &topic.partition_result).map(|partition| partition.error_code);
    assert_eq!(refused.collect::<Vec<_>>(), [ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE; 2]);

    let metadata = client.send_any(&MetadataRequest { topics: None, ..Default::default() }).await.unwrap();
    assert_eq!(metadata.brokers.iter().map(|broker| broker.node_id).collect::<Vec<_>>(), [0]);
    let unregister = |broker_id| UnregisterBrokerRequest { broker_id };
    assert_eq!(client.send_any(&unregister(1)).await.unwrap().error_code, ErrorCode::NONE);
    let again = client.send_any(&unregister(1)).await.unwrap();
    assert_eq!(again.error_code, ErrorCode::BROKER_ID_NOT_REGISTERED);
}
