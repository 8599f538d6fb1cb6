//! The cluster-control service of whole brokers: any of them is asked, and all give the controller's answer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use ottla_control::cluster_control_client::ClusterControlClient;
use ottla_control::{
    AddVoterRequest, AdvertiseRequest, CheckRestartRequest, CordonRequest, GetPartitionHealthRequest,
    ListBrokersRequest, ListPlacementsRequest, ListVotersRequest, LogDirectoryState, QuorumEffect, RemoveVoterRequest,
    RetireDiskRequest, UncordonRequest,
};
use ottla_core::TopicId;
use ottla_core::controller::{CreateTopics, NewTopic};
use ottla_tests::cluster::Cluster;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use uuid::Uuid;

const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again while the controller is on its way to another broker, as whoever operates a cluster does.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<Response<T>, Status>) -> T {
    let ask_on = async {
        loop {
            match ask().await {
                Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(PAUSE).await,
                answer => return answer.unwrap().into_inner(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, ask_on).await.expect("a controller answers")
}

async fn control(cluster: &Cluster, id: usize) -> ClusterControlClient<Channel> {
    let address = cluster.node(id).unwrap().controller_address().unwrap();
    ClusterControlClient::connect(format!("http://{address}")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broker_gives_the_answers_of_the_active_controller() {
    let mut cluster = Cluster::start(3).await;
    cluster.settled().await;
    let serving = |cluster: &Cluster| cluster.image(0).brokers().values().filter(|broker| !broker.fenced).count();
    cluster.until("all are in service", || serving(&cluster) == 3).await;
    let controller = i32::try_from(cluster.controller().await).unwrap();

    for id in 0..3 {
        let mut asked = control(&cluster, id).await;
        let brokers = asked.list_brokers(ListBrokersRequest {}).await.unwrap().into_inner();
        assert_eq!(brokers.controller_id, controller);
        assert_eq!(brokers.brokers.iter().map(|broker| broker.id).collect::<Vec<_>>(), [0, 1, 2]);
        for broker in &brokers.brokers {
            assert!(broker.answered && !broker.fenced && broker.epoch > 0, "{broker:?}");
            let disk = &broker.directories[0];
            assert_eq!((disk.state(), disk.id.len()), (LogDirectoryState::Online, 22));
            assert!(disk.free_bytes.unwrap() <= disk.total_bytes.unwrap());
        }
        let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
        assert_eq!((voters.voters.len(), voters.observers.len(), voters.leader_id), (3, 0, controller));
        let verdict = asked.check_restart(CheckRestartRequest { broker_id: 1 }).await.unwrap().into_inner();
        assert!(verdict.allowed && verdict.harmed.is_empty());
        assert_eq!((verdict.quorum(), verdict.is_controller), (QuorumEffect::Kept, controller == 1));
        asked.get_partition_health(GetPartitionHealthRequest {}).await.unwrap();
        let unknown = asked.check_restart(CheckRestartRequest { broker_id: 9 }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
    // Whom the controller is not on asks for changes too.
    let other = usize::try_from((controller + 1) % 3).unwrap();
    let mut asked = control(&cluster, other).await;
    asked.cordon(CordonRequest { broker_id: 2 }).await.unwrap();
    let is_cordoned = async |asked: &mut ClusterControlClient<Channel>| {
        let brokers = asked.list_brokers(ListBrokersRequest {}).await.unwrap().into_inner().brokers;
        (brokers[2].cordoned, brokers[2].draining)
    };
    assert_eq!(is_cordoned(&mut asked).await, (true, false), "it holds nothing");
    asked.uncordon(UncordonRequest { broker_id: 2 }).await.unwrap();
    assert_eq!(is_cordoned(&mut asked).await, (false, false));

    let mut advertised = async |broker_id: i32, listeners: &str| {
        let request = AdvertiseRequest { broker_id, listeners: listeners.to_owned() };
        asked.advertise(request).await.map_err(|status| status.code())?;
        let brokers = asked.list_brokers(ListBrokersRequest {}).await.unwrap().into_inner().brokers;
        Ok(brokers.into_iter().map(|broker| broker.advertised).collect::<Vec<_>>())
    };
    assert_eq!(advertised(2, "EXT://h:9094").await.unwrap(), ["", "", "EXT://h:9094"]);
    assert_eq!(advertised(2, "EXT://0.0.0.0:9094").await, Err(Code::InvalidArgument));
    assert_eq!(advertised(9, "EXT://h:9094").await, Err(Code::NotFound));
    assert_eq!(advertised(2, "").await.unwrap(), ["", "", ""]);

    let broker_id = i32::try_from(other).unwrap();
    let of = |list: &[ottla_control::QuorumNode]| list.iter().map(|node| node.broker_id).collect::<Vec<_>>();
    let removal = RemoveVoterRequest { broker_id, directory_id: String::new() };
    patiently(async || asked.remove_voter(removal.clone()).await).await;
    let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    assert_eq!((voters.voters.len(), of(&voters.observers)), (2, vec![broker_id]));
    let addition = AddVoterRequest { broker_id, directory_id: String::new() };
    patiently(async || asked.add_voter(addition.clone()).await).await;
    let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    assert_eq!(of(&voters.voters), [0, 1, 2]);

    let dead = (0..3).find(|id| *id != other && i32::try_from(*id) != Ok(controller)).unwrap();
    cluster.kill(dead);
    let is_fenced = || cluster.image(other).brokers().values().filter(|broker| broker.fenced).count() == 1;
    cluster.until("the dead broker is fenced", is_fenced).await;
    let verdict = asked.check_restart(CheckRestartRequest { broker_id }).await.unwrap().into_inner();
    assert_eq!((verdict.allowed, verdict.quorum()), (false, QuorumEffect::Lost));

    let disk = |list: &[ottla_control::QuorumNode]| {
        let node = list.iter().find(|node| Some(node.broker_id) == i32::try_from(dead).ok());
        node.map(|node| node.directory_id.clone())
    };
    let broker_id = i32::try_from(dead).unwrap();
    let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    let retire = RetireDiskRequest { broker_id, directory_id: disk(&voters.voters).unwrap() };
    assert_eq!(asked.retire_disk(retire.clone()).await.unwrap_err().code(), Code::FailedPrecondition, "it votes");
    let removal = RemoveVoterRequest { broker_id, directory_id: String::new() };
    patiently(async || asked.remove_voter(removal.clone()).await).await;
    for _ in 0..2 {
        patiently(async || asked.retire_disk(retire.clone()).await).await;
    }
    let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    assert_eq!(disk(&voters.observers), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broker_tells_where_partitions_lie_and_how_large_they_are() {
    let cluster = Cluster::start(3).await;
    cluster.settled().await;
    let serving = |cluster: &Cluster| cluster.image(0).brokers().values().filter(|broker| !broker.fenced).count();
    cluster.until("all are in service", || serving(&cluster) == 3).await;
    let orders =
        NewTopic { partitions: 2, replication_factor: 3, ..NewTopic::with_defaults("orders", TopicId(Uuid::new_v4())) };
    let controller = &cluster.node(0).unwrap().broker().controller;
    controller.submit(CreateTopics { topics: vec![orders], validate_only: false }).await.unwrap();
    for id in 0..3 {
        let mut asked = control(&cluster, id).await;
        // A broker that has not heard of the topic yet does not know how large its replicas are.
        let page = patiently(async || {
            let page = asked.list_placements(ListPlacementsRequest::default()).await?;
            let mut partitions = page.get_ref().topics.iter().flat_map(|topic| &topic.partitions);
            let is_known = partitions.all(|partition| partition.bytes.is_some());
            if is_known { Ok(page) } else { Err(Status::unavailable("a replica is not there yet")) }
        })
        .await;
        assert!(!page.has_more);
        let [topic] = &page.topics[..] else { panic!("{page:?}") };
        assert_eq!((topic.topic.as_str(), topic.topic_id.len(), topic.partitions.len()), ("orders", 16, 2));
        for partition in &topic.partitions {
            let mut replicas = partition.replicas.clone();
            replicas.sort_unstable();
            assert_eq!(replicas, [0, 1, 2]);
            assert_eq!((partition.leader, partition.in_sync.len()), (partition.replicas[0], 3));
            assert_eq!((&partition.adding[..], &partition.removing[..], partition.bytes), (&[][..], &[][..], Some(0)));
        }
        let rest = ListPlacementsRequest { after_topic: "orders".to_owned() };
        assert_eq!(asked.list_placements(rest).await.unwrap().into_inner().topics, []);
    }
}
