//! Whole brokers as one cluster.

use std::time::{Duration, Instant};

use ottla_protocol::ErrorCode;
use ottla_protocol::client::BrokerId;
use ottla_protocol::messages::DescribeQuorumRequest;
use ottla_protocol::messages::describe_quorum::{PartitionData, ReplicaState, TopicData};
use ottla_tests::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_make_a_cluster_and_survive_the_death_of_each() {
    let mut cluster = Cluster::start(3).await;
    cluster.settled().await;
    let brokers = |cluster: &Cluster, id: usize| cluster.image(id).brokers().values().filter(|b| !b.fenced).count();
    cluster.until("all are in service", || (0..3).all(|id| brokers(&cluster, id) == 3)).await;
    for id in 0..3 {
        cluster.kill(id);
        let begun = Instant::now();
        let other = (id + 1) % 3;
        cluster.until("the dead broker is fenced", || brokers(&cluster, other) == 2).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "fenced after {:?}", begun.elapsed());
        cluster.start_broker(id).await.unwrap();
        cluster.until("it is back", || (0..3).all(|id| brokers(&cluster, id) == 3)).await;
    }
    cluster.stop(0).await;
    cluster.start_broker(0).await.unwrap();
    cluster.until("it is back", || (0..3).all(|id| brokers(&cluster, id) == 3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broker_describes_the_quorum_as_its_leader_knows_it() {
    let cluster = Cluster::start(3).await;
    let controller = cluster.controller().await;
    cluster.settled().await;
    let partitions = vec![PartitionData { partition_index: 0 }];
    let topics = vec![TopicData { topic_name: "__cluster_metadata".into(), partitions }];
    let client = cluster.client().await;
    for id in 0..3 {
        let answer = client.send_to(BrokerId(id), &DescribeQuorumRequest { topics: topics.clone() }).await.unwrap();
        assert_eq!((answer.error_code, answer.nodes.len()), (ErrorCode::NONE, 3));
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id), (ErrorCode::NONE, controller as i32));
        assert_eq!(partition.current_voters.iter().map(|voter| voter.replica_id).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(partition.high_watermark > 0 && partition.observers.is_empty());
        let up_to_date = |voter: &ReplicaState| voter.log_end_offset >= partition.high_watermark;
        assert!(partition.current_voters.iter().filter(|voter| up_to_date(voter)).count() >= 2, "{partition:?}");
        assert!(partition.current_voters.iter().all(|voter| voter.last_fetch_timestamp > 0), "{partition:?}");
    }
    let partitions = vec![PartitionData { partition_index: 1 }];
    let topics = vec![TopicData { topic_name: "other".into(), partitions }];
    let answer = client.send_any(&DescribeQuorumRequest { topics }).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}
