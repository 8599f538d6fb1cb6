//! Whether a broker can be stopped and started again without harm: a question about the image, which changes nothing.
//!
//! The answer is what [`partition_change`](super::partition_change) would do to each partition if the broker left, so that
//! it cannot differ from what a restart does.

use super::partition_change::{Conditions, Proposal};
use super::{Error, Settings};
use crate::metadata::{BrokerChange, Image, Partition, Record};
use crate::{BrokerId, TopicPartition};

/// What a restart would do to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// No replica that holds everything committed would be left to lead.
    Offline,
    /// Fewer in-sync replicas than min.insync.replicas would be left: acks=all is refused.
    UnderMinIsr,
}

/// A partition that a restart would harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarmedPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// What would happen to it.
    pub harm: Harm,
    /// In-sync replicas that would be left.
    pub in_sync_left: usize,
    /// In-sync replicas that acks=all needs.
    pub min_in_sync: usize,
}

/// What a restart would do to the metadata quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumEffect {
    /// A majority of the voters stays.
    Kept,
    /// No majority would be left, because other voters are down.
    Lost,
    /// No majority would be left although every voter is up: there are one or two.
    UnavoidablyLost,
}

/// What speaks against restarting a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartVerdict {
    /// Partitions that lack an in-sync replica now and would be harmed: to wait for it helps. By name and index.
    pub harmed: Vec<HarmedPartition>,
    /// Partitions that are whole and would be harmed all the same: they have one replica, or as many as
    /// min.insync.replicas asks for. To wait helps nobody, so these must not hold up a restart. By name and index.
    pub unavoidable: Vec<HarmedPartition>,
    /// How many partitions, harmed or not, wait for another broker that serves to catch up: the cluster is less whole
    /// than it is about to be.
    pub catching_up: usize,
    /// What becomes of the quorum.
    pub quorum: QuorumEffect,
}

impl RestartVerdict {
    /// Whether nothing speaks against it that waiting could mend.
    pub fn is_allowed(&self) -> bool {
        self.harmed.is_empty() && self.quorum != QuorumEffect::Lost
    }
}

/// What would come of stopping `broker` now, in a quorum of `voters`.
///
/// # Errors
/// [`Error::BrokerIdNotRegistered`].
pub fn check_restart(
    image: &Image,
    settings: &Settings,
    voters: &[BrokerId],
    broker: BrokerId,
) -> Result<RestartVerdict, Error> {
    let without = image_without(image, broker)?;
    let (mut harmed, mut unavoidable) = (Vec::new(), Vec::new());
    for topic in image.topics().iter() {
        let affected = || topic.indexed().filter(|(_, state)| state.isr.contains(&broker));
        if affected().next().is_none() {
            continue;
        }
        let min_isr = image.min_isr(topic.name.as_str(), settings.min_insync_replicas());
        for (index, state) in affected() {
            let Some((harm, in_sync_left)) = harm(state, broker, min_isr, &without) else { continue };
            let found = HarmedPartition {
                partition: TopicPartition::new(topic.name.clone(), index),
                harm,
                in_sync_left,
                min_in_sync: state.effective_min_isr(min_isr),
            };
            if is_whole(state) { unavoidable.push(found) } else { harmed.push(found) }
        }
    }
    for list in [&mut harmed, &mut unavoidable] {
        list.sort_by(|one, other| one.partition.cmp(&other.partition));
    }
    let catching_up = image.topics().iter().flat_map(|topic| &topic.partitions);
    let catching_up = catching_up.filter(|state| waits_for_another(state, broker, image)).count();
    Ok(RestartVerdict { harmed, unavoidable, catching_up, quorum: quorum_effect(image, voters, broker) })
}

/// Whether a replica that is to stay, on a broker other than `broker`, is out of sync and can come into sync: its broker
/// serves, and so does the directory it lies in.
fn waits_for_another(state: &Partition, broker: BrokerId, image: &Image) -> bool {
    let moves = |id: BrokerId| state.adding.contains(&id) || state.removing.contains(&id);
    state.replicas.iter().any(|replica| {
        let id = replica.broker;
        let can_catch_up = || image.is_active(id) && image.is_online(replica);
        id != broker && !moves(id) && !state.isr.contains(&id) && can_catch_up()
    })
}

/// The image in which nobody may elect `broker`.
fn image_without(image: &Image, broker: BrokerId) -> Result<Image, Error> {
    let registered = image.broker(broker).ok_or(Error::BrokerIdNotRegistered(broker.0))?;
    let gone = BrokerChange { fenced: Some(true), ..BrokerChange::of(registered) };
    let mut without = image.clone();
    without.apply(&Record::BrokerChanged(gone)).expect("the broker is registered with this epoch");
    Ok(without)
}

/// What becomes of a partition whose ISR `broker` leaves, and how many stay in it. An unclean election counts as harm,
/// since it may lose what was acked.
fn harm(state: &Partition, broker: BrokerId, min_isr: usize, without: &Image) -> Option<(Harm, usize)> {
    let online = |other: BrokerId| state.replica_on(other).is_some_and(|replica| without.is_online(replica));
    let electable = |other: BrokerId| without.is_active(other) && online(other);
    let left = Proposal::without(state, broker).resolve(&Conditions { min_isr, electable: &electable });
    let left = left.as_ref().unwrap_or(state);
    let in_sync = left.isr.iter().filter(|member| **member != broker).count();
    if left.leader == BrokerId::NONE {
        return Some((Harm::Offline, in_sync));
    }
    (in_sync < left.effective_min_isr(min_isr)).then_some((Harm::UnderMinIsr, in_sync))
}

/// Whether every replica that is to stay is in sync.
fn is_whole(state: &Partition) -> bool {
    state.brokers().filter(|broker| !state.removing.contains(broker)).all(|broker| state.isr.contains(&broker))
}

fn quorum_effect(image: &Image, voters: &[BrokerId], broker: BrokerId) -> QuorumEffect {
    if !voters.contains(&broker) || !image.is_active(broker) {
        return QuorumEffect::Kept;
    }
    let others = voters.len() - 1;
    let others_up = voters.iter().filter(|voter| **voter != broker && image.is_active(**voter)).count();
    if others_up > voters.len() / 2 {
        QuorumEffect::Kept
    } else if others_up < others {
        QuorumEffect::Lost
    } else {
        QuorumEffect::UnavoidablyLost
    }
}

#[cfg(test)]
mod tests {
    use super::super::FailDirectories;
    use super::super::testing::{Cluster, directory};
    use super::*;
    use crate::TopicName;

    const VOTERS: [BrokerId; 3] = [BrokerId(0), BrokerId(1), BrokerId(2)];

    fn check(cluster: &Cluster, broker: i32) -> RestartVerdict {
        check_restart(&cluster.image, &cluster.settings, &VOTERS, BrokerId(broker)).unwrap()
    }

    fn harmed(topic: &str, index: i32, harm: Harm, in_sync_left: usize, min_in_sync: usize) -> HarmedPartition {
        let partition = TopicPartition::new(TopicName::new(topic).unwrap(), index);
        HarmedPartition { partition, harm, in_sync_left, min_in_sync }
    }

    fn verdict(
        harmed: Vec<HarmedPartition>,
        unavoidable: Vec<HarmedPartition>,
        quorum: QuorumEffect,
    ) -> RestartVerdict {
        RestartVerdict { harmed, unavoidable, catching_up: 0, quorum }
    }

    #[test]
    fn a_whole_cluster_can_spare_any_one_broker() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("t", &[&[0, 1, 2], &[1, 2, 0]], &[("min.insync.replicas", "2")]);
        for broker in 0..3 {
            assert_eq!(check(&cluster, broker), verdict(vec![], vec![], QuorumEffect::Kept));
        }
    }

    #[test]
    fn a_partition_that_lacks_a_replica_is_named_and_holds_the_restart_up() {
        let mut cluster = Cluster::with_brokers(4);
        cluster.topic("b", &[&[0, 1, 3], &[1, 2, 0]], &[("min.insync.replicas", "2")]);
        cluster.topic("a", &[&[0, 3]], &[("min.insync.replicas", "1")]);
        cluster.fence(3);
        let expected = vec![harmed("a", 0, Harm::Offline, 0, 1), harmed("b", 0, Harm::UnderMinIsr, 1, 2)];
        let answer = check(&cluster, 0);
        assert_eq!(answer, verdict(expected, vec![], QuorumEffect::Kept));
        assert!(!answer.is_allowed());
        assert!(check(&cluster, 2).is_allowed(), "it holds only partitions that are whole");
        cluster.unfence(3);
        cluster.propose("b", 0, &[0, 1, 3]).unwrap();
        cluster.propose("a", 0, &[0, 3]).unwrap();
        assert_eq!(check(&cluster, 0), verdict(vec![], vec![], QuorumEffect::Kept));
    }

    #[test]
    fn partitions_that_no_waiting_makes_safer_are_told_apart_and_do_not_hold_up_a_roll() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("single", &[&[1], &[0]], &[]);
        cluster.topic("strict", &[&[0, 1]], &[("min.insync.replicas", "2")]);
        let unavoidable = vec![harmed("single", 1, Harm::Offline, 0, 1), harmed("strict", 0, Harm::UnderMinIsr, 1, 2)];
        let answer = check(&cluster, 0);
        assert_eq!(answer, verdict(vec![], unavoidable, QuorumEffect::Kept));
        assert!(answer.is_allowed());
    }

    #[test]
    fn a_strict_partition_that_is_not_whole_is_waited_for() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("strict", &[&[0, 1]], &[("min.insync.replicas", "2")]);
        cluster.fence(1);
        assert_eq!(check(&cluster, 0).harmed, [harmed("strict", 0, Harm::Offline, 0, 2)]);
    }

    #[test]
    fn an_unclean_election_counts_as_harm() {
        let mut cluster = Cluster::with_brokers(2);
        cluster.topic("t", &[&[0, 1]], &[("unclean.leader.election.enable", "true")]);
        cluster.propose("t", 0, &[0]).unwrap();
        assert_eq!(check(&cluster, 0).harmed, [harmed("t", 0, Harm::Offline, 0, 1)]);
    }

    #[test]
    fn an_eligible_replica_that_is_back_keeps_the_partition_available() {
        let mut cluster = Cluster::with_brokers(2);
        cluster.topic("t", &[&[0, 1]], &[("min.insync.replicas", "2")]);
        cluster.fence(1);
        cluster.unfence(1);
        assert_eq!(cluster.roles("t", 0), (0, vec![0], vec![1]));
        assert_eq!(check(&cluster, 0).harmed, [harmed("t", 0, Harm::UnderMinIsr, 1, 2)]);
        let failed = FailDirectories { broker: BrokerId(1), epoch: cluster.epoch(1), failed: vec![directory(1)] };
        cluster.run(failed).unwrap();
        assert_eq!(check(&cluster, 0).harmed, [harmed("t", 0, Harm::Offline, 0, 2)], "unless its directory has failed");
    }

    #[test]
    fn a_broker_that_is_down_can_be_restarted_at_any_time() {
        let mut cluster = Cluster::with_brokers(3);
        cluster.topic("t", &[&[0, 1, 2]], &[("min.insync.replicas", "3")]);
        cluster.fence(2);
        assert_eq!(check(&cluster, 2), verdict(vec![], vec![], QuorumEffect::Kept));
    }

    #[test]
    fn what_others_have_still_to_catch_up_on_is_counted_and_what_waiting_does_not_mend_is_not() {
        let mut cluster = Cluster::with_brokers(4);
        cluster.topic("t", &[&[0, 1, 2], &[1, 2, 3], &[0, 1, 3]], &[("min.insync.replicas", "1")]);
        let catching_up = |cluster: &Cluster, broker| check(cluster, broker).catching_up;
        cluster.fence(2);
        assert_eq!(catching_up(&cluster, 0), 0, "a broker that is down is waited for otherwise");
        cluster.unfence(2);
        assert_eq!(catching_up(&cluster, 0), 2);
        assert_eq!(catching_up(&cluster, 3), 2, "even where the broker holds nothing of it");
        assert_eq!(catching_up(&cluster, 2), 0, "what it lacks itself does not keep a broker from being restarted");
        assert!(check(&cluster, 0).is_allowed(), "whoever asks decides whether to wait");
        cluster.propose("t", 0, &[0, 1, 2]).unwrap();
        assert_eq!(catching_up(&cluster, 0), 1);
    }

    #[test]
    fn the_quorum_is_lost_when_the_majority_is_and_only_voters_matter() {
        let mut cluster = Cluster::with_brokers(4);
        cluster.fence(1);
        assert_eq!(check(&cluster, 0).quorum, QuorumEffect::Lost);
        assert!(!check(&cluster, 0).is_allowed());
        assert_eq!(check(&cluster, 3).quorum, QuorumEffect::Kept);
        let alone = check_restart(&cluster.image, &cluster.settings, &VOTERS[..1], BrokerId(0)).unwrap();
        assert_eq!(alone.quorum, QuorumEffect::UnavoidablyLost);
        let pair = check_restart(&cluster.image, &cluster.settings, &[BrokerId(0), BrokerId(2)], BrokerId(0)).unwrap();
        assert_eq!((pair.quorum, pair.is_allowed()), (QuorumEffect::UnavoidablyLost, true));
    }

    #[test]
    fn a_broker_that_is_not_registered_is_an_error() {
        let cluster = Cluster::with_brokers(1);
        let answer = check_restart(&cluster.image, &cluster.settings, &VOTERS, BrokerId(9));
        assert_eq!(answer, Err(Error::BrokerIdNotRegistered(9)));
    }
}
