//! The whole operator, whose watches end all the time.

use kube::ResourceExt;
use ottla_crds::KafkaCluster;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        mortal::{Fate, Mortal},
        support::{Bench, is_ready},
    },
    report::Report,
};
use crate::run_with;

const CLUSTER: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 3, \
                       storage: {volumes: [{name: data, size: 1Gi}]}}";

#[tokio::test(start_paused = true)]
async fn nothing_is_missed_by_an_operator_whose_watches_end_after_every_event() {
    let bench = Bench::living().await;
    let mortal = Mortal::new(false, |call| if call.is_watch { Fate::EndEarly } else { Fate::Done });
    mortal.begin();
    let context = bench.mortal_context(&mortal);
    let shutdown = CancellationToken::new();
    let running = run_with(context.client.clone(), context.config.clone(), context.connector.clone(), shutdown.clone());
    let operator = tokio::spawn(running);
    bench.create(CLUSTER).await;
    bench.cluster("demo", is_ready).await;
    bench.kafka.make_safe_topic("orders", 6, 3);
    for brokers in [4, 3] {
        bench.edit::<KafkaCluster>("demo", json!({ "brokers": brokers })).await.unwrap();
        let cluster = bench.cluster("demo", is_ready).await;
        assert_eq!(bench.kafka.state().brokers.len(), usize::try_from(brokers).unwrap(), "{}", cluster.name_any());
    }
    shutdown.cancel();
    operator.await.unwrap().unwrap();
    assert_eq!(bench.kafka.state().violations, Vec::<String>::new());
    let mut report = Report::new("The whole operator with watches that end after one event, 3→4→3");
    report.add(mortal.effects());
    report.publish("18-watches", "");
}
