//! A converged cluster is left in peace (O2): passes read, and write nothing to Kubernetes or to a broker.

use std::{sync::Arc, time::Duration};

use kube::api::ListParams;
use ottla_crds::{KafkaCluster, KafkaTopic};

use super::support::{Bench, is_ready, is_topic_ready};
use crate::{cluster, topic};

const QUICKSTART: &str = include_str!("../../../manifests/quickstart.yaml");

async fn converged() -> Bench {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.start_operator();
    bench.create(QUICKSTART).await;
    bench.cluster("demo", |cluster| is_ready(cluster) && knows_all_topics(cluster)).await;
    for topic in ["orders", "flights", "logs"] {
        bench.topic(topic, is_topic_ready).await;
    }
    bench
}

fn knows_all_topics(cluster: &KafkaCluster) -> bool {
    let partitions = cluster.status.as_ref().and_then(|status| status.partitions.clone());
    partitions.is_some_and(|partitions| partitions.total == 10)
}

#[tokio::test]
async fn passes_over_a_converged_cluster_write_nothing() {
    let bench = Bench::new().await;
    bench.kafka.set_brokers(3);
    bench.create(QUICKSTART).await;
    let context = bench.context();
    let all = async || {
        for cluster in bench.api::<KafkaCluster>().list(&ListParams::default()).await.unwrap() {
            cluster::reconcile(Arc::new(cluster), context.clone()).await.unwrap();
        }
        for topic in bench.api::<KafkaTopic>().list(&ListParams::default()).await.unwrap() {
            topic::reconcile(Arc::new(topic.into()), context.clone()).await.unwrap();
        }
    };
    super::support::eventually("a round of passes without a write", async || {
        all().await;
        let ready = is_ready(&bench.api::<KafkaCluster>().get("demo").await.unwrap());
        let writes = bench.wiretap.take_writes();
        if ready && writes.is_empty() { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await;
    bench.kafka.take_calls();
    for _ in 0..20 {
        all().await;
    }
    assert_eq!(bench.wiretap.take_writes(), Vec::<String>::new());
    assert_eq!(bench.kafka.take_calls(), vec![]);
}

#[tokio::test]
async fn a_running_operator_comes_to_rest() {
    let bench = converged().await;
    // Passes that the last writes caused may still be under way: a second without any request is rest.
    let rest = Duration::from_secs(1);
    super::support::eventually("a second without a request", async || {
        let before = bench.wiretap.requests();
        tokio::time::sleep(rest).await;
        let asked = bench.wiretap.requests() - before;
        if asked == 0 { Ok(()) } else { Err(format!("{asked} requests: {:?}", bench.wiretap.take_writes())) }
    })
    .await;
}

#[tokio::test]
async fn the_quick_start_costs_a_bounded_number_of_writes() {
    let bench = converged().await;
    let writes = bench.wiretap.take_writes();
    // 8 children, 2 annotations, 3 finalizers, events, and a few statuses each.
    assert!(writes.len() <= 50, "{}: {writes:#?}", writes.len());
}
