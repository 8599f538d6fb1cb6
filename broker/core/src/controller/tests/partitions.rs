//! ISR, eligible leaders and elections, as a partition goes through them.

use super::super::partition_change::{Conditions, Election, Proposal};
use super::super::testing::{Cluster, registration};
use super::super::*;
use crate::metadata::{LeaderRecovery, Partition, PartitionChange, Record, Resource};
use crate::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};

/// Three brokers, one partition on all, min.insync.replicas 2.
fn cluster() -> Cluster {
    let mut cluster = Cluster::with_brokers(3);
    cluster.topic("t", &[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
    cluster
}

#[test]
fn a_leader_shrinks_and_extends_its_isr() {
    let mut cluster = cluster();
    let state = cluster.propose("t", 0, &[0, 1]).unwrap();
    assert_eq!((state.leader_epoch, state.partition_epoch), (LeaderEpoch(0), PartitionEpoch(1)));
    assert_eq!(cluster.roles("t", 0), (0, vec![0, 1], vec![]));
    cluster.propose("t", 0, &[0, 1, 2]).unwrap();
    assert_eq!(cluster.roles("t", 0), (0, vec![0, 1, 2], vec![]));
    let same = cluster.propose("t", 0, &[0, 1, 2]).unwrap();
    assert_eq!(same.partition_epoch, PartitionEpoch(2), "nothing changed, no new epoch");
}

#[test]
fn below_min_isr_those_who_leave_stay_eligible_until_the_isr_is_whole() {
    let mut cluster = cluster();
    cluster.propose("t", 0, &[0, 1]).unwrap(); // 2 leaves while the watermark could move: not eligible
    cluster.fence(1);
    assert_eq!(cluster.roles("t", 0), (0, vec![0], vec![1]));
    cluster.fence(0);
    assert_eq!(cluster.roles("t", 0), (-1, vec![], vec![0, 1]));
    cluster.fence(2);
    cluster.unfence(2);
    assert_eq!(cluster.roles("t", 0), (-1, vec![], vec![0, 1]), "2 may lack what was committed");
    cluster.unfence(1);
    assert_eq!(cluster.roles("t", 0), (1, vec![1], vec![0]));
    cluster.unfence(0);
    cluster.propose("t", 0, &[1, 0]).unwrap();
    assert_eq!(cluster.roles("t", 0), (1, vec![1, 0], vec![]));
}

#[test]
fn proposals_that_are_stale_or_contradict_themselves_are_refused() {
    let mut cluster = cluster();
    let proposal = |cluster: &Cluster| {
        let state = cluster.partition("t", 0);
        IsrProposal {
            topic: cluster.get("t").id,
            partition: 0,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            isr: [0, 1].map(|id| IsrMember { broker: BrokerId(id), epoch: cluster.epoch(id) }).into(),
            recovery: LeaderRecovery::Recovered,
            flushed: false,
        }
    };
    let mut try_it = |from: i32, change: &dyn Fn(&mut IsrProposal)| {
        let mut wanted = proposal(&cluster);
        change(&mut wanted);
        let alter =
            AlterPartition { broker: BrokerId(from), broker_epoch: cluster.epoch(from), proposals: vec![wanted] };
        let (records, mut altered) = cluster.decide(alter).unwrap();
        assert_eq!(records, []);
        altered.remove(0).result.unwrap_err()
    };
    use PartitionFault::*;
    assert_eq!(try_it(1, &|_| ()), FencedLeaderEpoch);
    assert_eq!(try_it(0, &|p| p.leader_epoch = LeaderEpoch(1)), ControllerBehind);
    assert_eq!(try_it(0, &|p| p.leader_epoch = LeaderEpoch(-1)), FencedLeaderEpoch);
    assert_eq!(try_it(0, &|p| p.partition_epoch = PartitionEpoch(-1)), StalePartitionEpoch);
    assert_eq!(try_it(0, &|p| p.partition = 1), UnknownPartition);
    assert_eq!(try_it(0, &|p| p.isr.truncate(0)), InvalidRequest);
    assert_eq!(try_it(0, &|p| p.isr.push(p.isr[1])), InvalidRequest);
    assert_eq!(try_it(0, &|p| p.isr[1].broker = BrokerId(7)), InvalidRequest);
    assert_eq!(try_it(0, &|p| p.recovery = LeaderRecovery::Recovering), InvalidRequest);
}

#[test]
fn a_member_that_is_refused_stays_refused_whatever_copies_of_the_proposal_are_on_their_way() {
    let mut cluster = cluster();
    let before = cluster.partition("t", 0).clone();
    let member = |id, epoch| IsrMember { broker: BrokerId(id), epoch };
    let wanted = IsrProposal {
        topic: cluster.get("t").id,
        partition: 0,
        leader_epoch: before.leader_epoch,
        partition_epoch: before.partition_epoch,
        isr: vec![member(0, cluster.epoch(0)), member(1, BrokerEpoch(1))],
        recovery: LeaderRecovery::Recovered,
        flushed: false,
    };
    let topic = wanted.topic;
    let alter = AlterPartition { broker: BrokerId(0), broker_epoch: cluster.epoch(0), proposals: vec![wanted] };
    let (records, mut altered) = cluster.decide(alter.clone()).unwrap();
    assert_eq!(altered.remove(0).result, Err(PartitionFault::IneligibleReplica(BrokerId(1))));
    let after = Partition { partition_epoch: before.partition_epoch.next(), ..before.clone() };
    let change = PartitionChange::between(&before, &after);
    assert_eq!(records, [Record::PartitionChanged { topic, partition: 0, change }]);
    let (records, mut altered) = cluster.decide(alter).unwrap();
    assert_eq!((records, altered.remove(0).result), (vec![], Err(PartitionFault::StalePartitionEpoch)));
}

#[test]
fn a_broker_of_an_uptime_that_is_over_decides_nothing() {
    let mut cluster = cluster();
    let broker_epoch = BrokerEpoch(1);
    let alter = AlterPartition { broker: BrokerId(0), broker_epoch, proposals: Vec::new() };
    assert_eq!(cluster.run(alter), Err(Error::StaleBrokerEpoch { expected: cluster.epoch(0).0, found: 1 }));
}

#[test]
fn a_lower_min_isr_empties_the_eligible_set() {
    let mut cluster = cluster();
    cluster.fence(1);
    cluster.fence(2);
    assert_eq!(cluster.roles("t", 0), (0, vec![0], vec![2]));
    let change = ConfigChange { key: "min.insync.replicas".into(), op: ConfigOp::Delete, value: None };
    let resources = vec![ResourceChanges { resource: Resource::topic("t"), changes: vec![change] }];
    let (records, _) = cluster.decide(IncrementalAlterConfigs { resources, validate_only: false }).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(cluster.roles("t", 0), (0, vec![0], vec![]));
}

#[test]
fn an_unclean_election_needs_to_be_allowed_and_is_remembered() {
    let mut cluster = cluster();
    cluster.propose("t", 0, &[0, 1]).unwrap();
    cluster.fence(0);
    cluster.fence(1);
    assert_eq!(cluster.roles("t", 0), (-1, vec![], vec![0, 1]));
    let change =
        ConfigChange { key: "unclean.leader.election.enable".into(), op: ConfigOp::Set, value: Some("true".into()) };
    let resources = vec![ResourceChanges { resource: Resource::topic("t"), changes: vec![change] }];
    cluster.run(IncrementalAlterConfigs { resources, validate_only: false }).unwrap();
    assert_eq!(cluster.roles("t", 0), (2, vec![2], vec![]));
    assert_eq!(cluster.partition("t", 0).recovery, LeaderRecovery::Recovering);
    cluster.propose("t", 0, &[2]).unwrap();
    assert_eq!(cluster.partition("t", 0).recovery, LeaderRecovery::Recovered);
}

fn moving(isr: &[i32]) -> Partition {
    let mut cluster = Cluster::with_brokers(4);
    cluster.topic("t", &[&[0, 1, 2, 3]], &[]);
    let brokers = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
    Partition {
        isr: brokers(isr),
        adding: brokers(&[2, 3]),
        removing: brokers(&[0, 1]),
        ..cluster.partition("t", 0).clone()
    }
}

#[test]
fn a_move_ends_when_all_that_it_adds_are_in_sync() {
    let conditions = Conditions { min_isr: 2, electable: &|_| true };
    let extend = |before: &Partition, isr: &[i32]| {
        let mut proposal = Proposal::unchanged(before);
        proposal.isr = isr.iter().copied().map(BrokerId).collect();
        proposal.resolve(&conditions)
    };
    let before = moving(&[0, 1]);
    let half = extend(&before, &[0, 1, 2]).unwrap();
    assert!(half.is_moving() && half.leader == BrokerId(0));
    let ended = extend(&before, &[0, 1, 2, 3]).unwrap();
    assert_eq!(ended.brokers().collect::<Vec<_>>(), [BrokerId(2), BrokerId(3)]);
    assert_eq!((ended.isr.len(), ended.is_moving(), ended.leader), (2, false, BrokerId(2)));
    assert_eq!(ended.leader_epoch, before.leader_epoch.next());
}

#[test]
fn the_preferred_leader_is_elected_only_when_it_is_in_sync() {
    let mut before = moving(&[0, 1]);
    (before.adding, before.removing) = (Vec::new(), Vec::new());
    before.leader = BrokerId(1);
    let elect = |before: &Partition| {
        let mut proposal = Proposal::unchanged(before);
        proposal.election = Election::Preferred;
        proposal.resolve(&Conditions { min_isr: 1, electable: &|_| true })
    };
    let after = elect(&before).unwrap();
    assert_eq!((after.leader, after.leader_epoch), (BrokerId(0), before.leader_epoch.next()));
    before.isr.remove(0);
    assert_eq!(elect(&before), None);
}

#[test]
fn records_say_only_what_changed() {
    let mut cluster = cluster();
    let (epoch, topic) = (cluster.epoch(2), cluster.get("t").id);
    let (records, ()) = cluster.decide(FenceBroker { broker: BrokerId(2), epoch }).unwrap();
    let Record::PartitionChanged { topic: changed, partition: 0, change } = &records[1] else { panic!("{records:?}") };
    assert_eq!((*changed, records.len()), (topic, 2));
    assert_eq!(change.isr, Some(vec![BrokerId(0), BrokerId(1)]));
    assert_eq!((change.leader, &change.elr, &change.replicas), (None, &None, &None));
}

#[test]
fn a_topic_changed_to_fsync_counts_as_such_when_its_leader_says_that_all_have_flushed() {
    let mut cluster = cluster();
    let set = |cluster: &mut Cluster, value: &str| {
        let change = ConfigChange { key: "ottla.durability".into(), op: ConfigOp::Set, value: Some(value.to_owned()) };
        let resources = vec![ResourceChanges { resource: Resource::topic("t"), changes: vec![change] }];
        cluster.run(IncrementalAlterConfigs { resources, validate_only: false }).unwrap();
    };
    let stop = |cluster: &mut Cluster, incarnation| {
        cluster.fence(2);
        cluster.run(registration(2, incarnation)).unwrap();
        let elr = cluster.roles("t", 0).2;
        cluster.unfence(2);
        elr
    };
    let wanted = |cluster: &Cluster, isr: &[i32]| IsrProposal {
        topic: cluster.get("t").id,
        partition: 0,
        leader_epoch: cluster.partition("t", 0).leader_epoch,
        partition_epoch: cluster.partition("t", 0).partition_epoch,
        isr: isr.iter().map(|id| IsrMember { broker: BrokerId(*id), epoch: cluster.epoch(*id) }).collect(),
        recovery: LeaderRecovery::Recovered,
        flushed: true,
    };
    let tell = |cluster: &mut Cluster, wanted: IsrProposal| {
        let (broker, broker_epoch) = (BrokerId(0), cluster.epoch(0));
        cluster.run(AlterPartition { broker, broker_epoch, proposals: vec![wanted] }).unwrap().remove(0).result
    };
    let change = ConfigChange { key: "min.insync.replicas".into(), op: ConfigOp::Set, value: Some("3".into()) };
    let resources = vec![ResourceChanges { resource: Resource::topic("t"), changes: vec![change] }];
    cluster.run(IncrementalAlterConfigs { resources, validate_only: false }).unwrap();
    assert!(!cluster.partition("t", 0).unflushed, "made as fsync");
    set(&mut cluster, "replicated");
    assert!(!cluster.partition("t", 0).unflushed);
    let stale = wanted(&cluster, &[0, 1, 2]);
    set(&mut cluster, "fsync");
    assert!(cluster.partition("t", 0).unflushed);
    assert_eq!(tell(&mut cluster, stale), Err(PartitionFault::StalePartitionEpoch));
    assert_eq!(stop(&mut cluster, 77), Vec::<i32>::new(), "a power loss may have cost it what it had not flushed");

    let thin = wanted(&cluster, &[0, 1]);
    assert!(tell(&mut cluster, thin).unwrap().unflushed, "there may be eligible replicas besides");
    let all = wanted(&cluster, &[0, 1, 2]);
    assert!(!tell(&mut cluster, all).unwrap().unflushed);
    assert_eq!(stop(&mut cluster, 78), [2]);
    set(&mut cluster, "replicated");
    set(&mut cluster, "fsync");
    assert!(cluster.partition("t", 0).unflushed);
    set(&mut cluster, "replicated");
    assert!(!cluster.partition("t", 0).unflushed, "proposals under way are obsolete");
}
