//! The operator is told to stop at whatever moment.

use std::time::{Duration, Instant};

use super::support::Bench;

const SMALL: &str = "apiVersion: ottla.io/v1alpha1\nkind: KafkaCluster\nmetadata: {name: demo}\nspec: {brokers: 1, \
                     storage: {volumes: [{name: data, size: 1Gi}]}}";

/// Far below what a pass that hangs is given.
const SOON: Duration = Duration::from_millis(800);

#[tokio::test]
async fn an_operator_stopped_in_its_first_moments_waits_for_no_list_that_will_never_come() {
    let bench = Bench::new().await;
    bench.create(SMALL).await;
    for polls in 0..60 {
        let (operator, shutdown) = bench.start_operator_until();
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        let told = Instant::now();
        shutdown.cancel();
        operator.await.unwrap();
        assert!(told.elapsed() < SOON, "stopped after {polls} polls, it took {:?}", told.elapsed());
    }
}
