//! A broker leaves the cluster for good, and comes back: with its old disk it is refused, unless it is told that the disk
//! was retired; then it comes as a new one with an empty disk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use ottla_control::cluster_control_client::ClusterControlClient;
use ottla_control::{CordonRequest, ListVotersRequest, RemoveVoterRequest, RetireDiskRequest};
use ottla_core::BrokerId;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::UnregisterBrokerRequest;
use ottla_tests::cluster::{Cluster, within};
use tonic::transport::Channel;

async fn control(cluster: &Cluster) -> ClusterControlClient<Channel> {
    let address = cluster.node(0).unwrap().controller_address().unwrap();
    ClusterControlClient::connect(format!("http://{address}")).await.unwrap()
}

/// The id of the disk with which broker 3 belongs to the quorum.
async fn disk(control: &mut ClusterControlClient<Channel>) -> Option<String> {
    let quorum = control.list_voters(ListVotersRequest {}).await.unwrap().into_inner();
    let mut all = quorum.voters.into_iter().chain(quorum.observers);
    all.find(|node| node.broker_id == 3).map(|node| node.directory_id)
}

/// As the operator scales in.
async fn send_away(cluster: &mut Cluster) -> String {
    let mut control = control(cluster).await;
    let directory_id = disk(&mut control).await.unwrap();
    control.cordon(CordonRequest { broker_id: 3 }).await.unwrap();
    control.remove_voter(RemoveVoterRequest { broker_id: 3, directory_id: directory_id.clone() }).await.unwrap();
    cluster.stop(3).await;
    control.retire_disk(RetireDiskRequest { broker_id: 3, directory_id: directory_id.clone() }).await.unwrap();
    let client = cluster.client().await;
    let request = UnregisterBrokerRequest { broker_id: 3 };
    assert_eq!(client.send_any(&request).await.unwrap().error_code, ErrorCode::NONE);
    cluster.settled().await;
    assert!(cluster.image(0).broker(BrokerId(3)).is_none());
    directory_id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_retired_disk_is_refused_until_it_is_told_to_begin_anew() {
    let mut cluster = Cluster::start(4).await;
    cluster.settled().await;
    let retired = send_away(&mut cluster).await;

    // It may come up with what it knew; the word of the leader ends it then.
    let refusal = match cluster.start_broker(3).await {
        Err(error) => error,
        Ok(()) => within("the broker is sent away", cluster.node(3).unwrap().failed()).await,
    };
    assert_eq!(refusal.exit_code(), 3, "{refusal}");
    cluster.kill(3);
    assert_eq!(disk(&mut control(&cluster).await).await, None);

    cluster.configure(3, "ottla.retired.directories", &retired);
    cluster.start_broker(3).await.unwrap();
    let serves = |cluster: &Cluster| cluster.image(0).broker(BrokerId(3)).is_some_and(|broker| broker.is_active());
    cluster.until("the broker serves again", || serves(&cluster)).await;
    let now = disk(&mut control(&cluster).await).await;
    assert!(now.as_ref().is_some_and(|now| *now != retired), "{now:?}");
    let aside = cluster.data(3).join("logs").join(format!(".retired-{retired}"));
    assert!(aside.join("meta.properties").exists(), "nothing of the old disk is lost");

    // The property stays; it means the old disk, not the new one.
    cluster.stop(3).await;
    cluster.start_broker(3).await.unwrap();
    assert_eq!(disk(&mut control(&cluster).await).await, now);
}
