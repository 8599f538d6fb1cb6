//! A node that comes back with another disk, or with one that the cluster has retired.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_disk_comes_back_as_a_new_voter_in_place_of_the_old_one_whoever_it_was() {
    let mut cluster = Cluster::start(3).await;
    cluster.commit(0).await;
    for emptied in 0..3 {
        let before = VoterId::new(BrokerId(emptied), cluster.0[emptied as usize].directory);
        let place = &mut cluster.0[emptied as usize];
        place.kill();
        place.empty();
        // Found anew it must not, be it the lowest founding voter.
        place.start().await.unwrap();
        let leader = cluster.leader().await;
        let members = cluster.0[leader].service().log().members();
        assert!(members.all.iter().all(|member| member.id != before), "{members:?}");
        assert_eq!(cluster.0[leader].voters(), [0, 1, 2]);
        cluster.alike().await;
        assert_eq!(cluster.0[emptied as usize].committed(), 1);
    }
}

/// Once a cluster serves, its founders are named no more: an empty disk only knows where the quorum is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_disk_has_the_vote_of_the_old_one_before_it_serves_though_it_is_named_as_no_founder() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..120 {
        cluster.commit(number).await;
    }
    for emptied in 0..3 {
        let others = cluster.0.iter().filter(|place| place.id != emptied).map(|place| place.address.clone());
        let others = config::Quorum::Joining(others.collect());
        let place = &mut cluster.0[emptied as usize];
        place.kill();
        place.empty();
        place.quorum = others;
        place.start().await.unwrap();
        let me = VoterId::new(BrokerId(emptied), place.directory);
        let leader = cluster.leader().await;
        let members = cluster.0[leader].service().log().members().all;
        let voters: Vec<_> = members.iter().filter(|member| member.is_voter).map(|member| member.id).collect();
        assert!(voters.len() == 3 && voters.contains(&me), "{voters:?}");
        assert_eq!(members.len(), 3, "the old disk is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_disk_is_sent_away() {
    let mut cluster = Cluster::start(3).await;
    cluster.0[1].kill();
    let place = &mut cluster.0[1];
    let old = std::mem::replace(&mut place.folder, tempfile::tempdir().unwrap());
    let (old_directory, cluster_id) = (place.directory, place.cluster_id.clone());
    place.empty();
    place.start().await.unwrap();
    cluster.0[1].kill();
    let place = &mut cluster.0[1];
    (place.folder, place.directory, place.cluster_id) = (old, old_directory, cluster_id);
    // It has the image of old, and may come up; the leader's word ends it then.
    match place.start().await {
        Err(error) => assert!(error.is_identity() && error.to_string().contains("has retired"), "{error}"),
        Ok(()) => {
            let log = Arc::clone(place.service().log());
            let refusal = tokio::time::timeout(DEADLINE, log.sent_away()).await.unwrap();
            assert!(matches!(&refusal, Refusal::SentAway(reason) if reason.contains("has retired")), "{refusal}");
        }
    }
}
