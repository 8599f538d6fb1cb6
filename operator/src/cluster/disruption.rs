//! Whether the cluster can bear that one of its brokers is taken away now, as by the eviction of a pod from a node that is
//! being drained. The PodDisruptionBudget says so; what the operator itself does is asked about broker by broker.
//!
//! The rule is that of restarts: partitions that have no replica to spare, and would have none after any wait, hold up
//! nothing, or nodes could never be drained.

use std::collections::BTreeSet;

use ottla_core::ids::BrokerId;

use super::{
    observe::{Controller, Observed},
    pods,
};
use crate::kafka::ClusterAdmin;

/// Whether one broker, whichever it is, may go. Before the cluster served there is nothing to keep; after that, any answer
/// but a plain yes is a no.
pub fn is_bearable(observed: &Observed) -> bool {
    if !observed.is_founded() {
        return true;
    }
    let all_serve = |controller: &Controller| controller.brokers.iter().all(|broker| serves(broker.id, observed));
    observed.controller().is_some_and(all_serve)
        && observed.registered().all(|broker| !broker.fenced)
        && observed.unsparable.is_empty()
}

fn serves(broker: BrokerId, observed: &Observed) -> bool {
    observed.pod_of(broker.0).is_some_and(pods::is_ready)
}

/// The brokers that cannot be spared, as the active controller says. Where every replica is in sync only those can be
/// missed that vote.
pub async fn unsparable(controller: &Controller, admin: &dyn ClusterAdmin) -> BTreeSet<BrokerId> {
    let votes = |broker: &BrokerId| controller.quorum.voters.iter().any(|voter| voter.broker == *broker);
    let is_whole = controller.health.under_replicated == 0;
    let doubtful = controller.brokers.iter().filter(|broker| !broker.fenced).map(|broker| broker.id);
    let mut unsparable = BTreeSet::new();
    for broker in doubtful.filter(|broker| !is_whole || votes(broker)) {
        if !admin.check_restart(broker).await.is_ok_and(|verdict| verdict.allowed) {
            unsparable.insert(broker);
            // One is enough: nobody says which would be taken away.
            break;
        }
    }
    unsparable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{
            observe::Kafka,
            testing::{observed, of_brokers, pod, settled},
        },
        kafka::{
            Error, RestartVerdict,
            fake::{FakeCluster, harmless},
        },
    };

    #[test]
    fn a_broker_may_go_only_while_all_serve_and_each_could_be_spared() {
        let bears = |change: fn(&mut Observed)| {
            let mut observed = settled(&of_brokers(3));
            change(&mut observed);
            is_bearable(&observed)
        };
        assert!(bears(|_| {}));
        assert!(!bears(|observed| observed.pods[1] = pod(1, "", false)), "one is not ready");
        assert!(!bears(|observed| drop(observed.pods.remove(1))), "one has no pod");
        assert!(!bears(|observed| controller(observed).brokers[2].fenced = true), "the controller misses one");
        assert!(!bears(|observed| assert!(observed.unsparable.insert(BrokerId(2)))), "one holds what others lack");
        assert!(!bears(|observed| observed.kafka = Kafka::NotAsked), "nobody can be asked");
        assert!(!bears(|observed| observed.kafka = Kafka::Failed(Error::Unreachable(String::new()))));
        assert!(bears(|observed| observed.pods.push(pod(3, "", false))), "one that is only coming holds nothing");
    }

    #[test]
    fn a_cluster_that_never_served_keeps_no_node() {
        assert!(is_bearable(&observed(&of_brokers(3))));
    }

    fn controller(observed: &mut Observed) -> &mut Controller {
        let Kafka::Seen { controller: Ok(controller), .. } = &mut observed.kafka else { panic!() };
        controller
    }

    async fn asked(under_replicated: u32, refused: &[i32]) -> Vec<i32> {
        let mut observed = settled(&of_brokers(5));
        controller(&mut observed).health.under_replicated = under_replicated;
        let kafka = FakeCluster::of(5);
        for id in refused {
            kafka.state().restart.insert(BrokerId(*id), RestartVerdict { allowed: false, ..harmless() });
        }
        unsparable(controller(&mut observed), &kafka).await.into_iter().map(|broker| broker.0).collect()
    }

    #[tokio::test]
    async fn who_could_be_missed_is_asked_of_the_controller() {
        assert!(asked(1, &[]).await.is_empty(), "replicas that are moved are out of sync and harm nothing");
        assert_eq!(asked(1, &[4]).await, [4]);
        assert_eq!(asked(0, &[1]).await, [1], "it votes, and another voter lags");
        assert!(asked(0, &[4]).await.is_empty(), "all is whole and it has no vote");
    }

    #[tokio::test]
    async fn whoever_cannot_be_asked_about_cannot_be_spared() {
        let kafka = FakeCluster::of(1);
        kafka.state().failure = Some(Error::Unreachable("refused".to_owned()));
        let mut observed = settled(&of_brokers(1));
        assert_eq!(unsparable(controller(&mut observed), &kafka).await.len(), 1);
    }

    #[tokio::test]
    async fn partitions_without_a_replica_to_spare_keep_no_node_for_ever() {
        let kafka = FakeCluster::of(1);
        kafka.state().restart.insert(BrokerId(0), RestartVerdict { unavoidable: 9, ..harmless() });
        let mut observed = settled(&of_brokers(1));
        observed.unsparable = unsparable(controller(&mut observed), &kafka).await;
        assert!(is_bearable(&observed));
    }
}
