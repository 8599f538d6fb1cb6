//! Whole brokers as one cluster.

use std::time::{Duration, Instant};

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
