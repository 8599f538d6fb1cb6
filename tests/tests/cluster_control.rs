//! The cluster-control service of whole brokers: any of them is asked, and all give the controller's answer.
#![allow(clippy::unwrap_used, reason = "a test")]

use ottla_control::cluster_control_client::ClusterControlClient;
use ottla_control::{
    AddVoterRequest, CheckRestartRequest, CordonRequest, GetPartitionHealthRequest, ListBrokersRequest,
    ListVotersRequest, LogDirectoryState, QuorumEffect, RemoveVoterRequest, UncordonRequest,
};
use ottla_tests::cluster::Cluster;
use tonic::Code;
use tonic::transport::Channel;

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

    let broker_id = i32::try_from(other).unwrap();
    let of = |list: &[ottla_control::QuorumNode]| list.iter().map(|node| node.broker_id).collect::<Vec<_>>();
    asked.remove_voter(RemoveVoterRequest { broker_id, directory_id: String::new() }).await.unwrap();
    let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    assert_eq!((voters.voters.len(), of(&voters.observers)), (2, vec![broker_id]));
    asked.add_voter(AddVoterRequest { broker_id, directory_id: String::new() }).await.unwrap();
    let voters = asked.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    assert_eq!(of(&voters.voters), [0, 1, 2]);

    let dead = (0..3).find(|id| *id != other && i32::try_from(*id) != Ok(controller)).unwrap();
    cluster.kill(dead);
    let is_fenced = || cluster.image(other).brokers().values().filter(|broker| broker.fenced).count() == 1;
    cluster.until("the dead broker is fenced", is_fenced).await;
    let verdict = asked.check_restart(CheckRestartRequest { broker_id }).await.unwrap().into_inner();
    assert_eq!((verdict.allowed, verdict.quorum()), (false, QuorumEffect::Lost));
}
