//! Brokers: uptimes, and what survives an unclean stop.

use super::super::testing::{Cluster, registration};
use super::super::*;
use crate::metadata::{BrokerChange, LeaderRecovery, Record};
use crate::{BrokerEpoch, BrokerId, DirectoryId};

fn unclean(page_cache_kept: bool) -> PreviousStop {
    PreviousStop::Unclean { page_cache_kept, damaged: Vec::new() }
}

/// One broker, and a topic of each durability on it.
fn lone_cluster() -> Cluster {
    let mut cluster = Cluster::with_brokers(1);
    cluster.topic("flushed", &[&[0]], &[]);
    cluster.topic("cached", &[&[0]], &[("ottla.durability", "replicated")]);
    cluster
}

#[test]
fn the_epoch_is_the_log_index_and_a_repeated_registration_changes_nothing() {
    let mut cluster = Cluster::founded(&[]);
    let index = cluster.image.index().next().0;
    let (records, epoch) = cluster.decide(registration(5, 1)).unwrap();
    assert_eq!((epoch.0, records.len()), (i64::try_from(index).unwrap(), 1));
    assert_eq!(cluster.decide(registration(5, 1)).unwrap(), (vec![], epoch));
}

#[test]
fn a_broker_is_unfenced_only_once_it_has_seen_its_registration() {
    let mut cluster = Cluster::founded(&[]);
    let epoch = cluster.run(registration(0, 1)).unwrap();
    let heartbeat = |applied| BrokerHeartbeat { broker: BrokerId(0), epoch, applied, wish: Wish::Serve };
    let behind = cluster.run(heartbeat(crate::LogIndex(0))).unwrap();
    assert_eq!(behind, BrokerStatus { caught_up: false, fenced: true, may_stop: false });
    let (records, status) = cluster.decide(heartbeat(cluster.image.index())).unwrap();
    assert_eq!(status, BrokerStatus { caught_up: true, fenced: false, may_stop: false });
    let broker = cluster.image.broker(BrokerId(0)).unwrap();
    assert_eq!(records, [Record::BrokerChanged(BrokerChange { fenced: Some(false), ..BrokerChange::of(broker) })]);
}

#[test]
fn a_second_process_with_the_id_of_a_live_broker_is_refused_unless_it_has_its_disks() {
    let mut cluster = Cluster::with_brokers(1);
    let elsewhere = RegisterBroker { directories: vec![DirectoryId::ZERO], ..registration(0, 2) };
    assert_eq!(cluster.run(elsewhere.clone()), Err(Error::DuplicateBrokerRegistration(0)));
    assert!(cluster.run(registration(0, 3)).is_ok());
    assert!(cluster.run(elsewhere).is_ok(), "it is fenced now");
}

#[test]
fn brokers_of_another_cluster_or_version_are_refused() {
    let mut cluster = Cluster::founded(&[]);
    let other = RegisterBroker { cluster_id: "other".into(), ..registration(0, 1) };
    assert!(matches!(cluster.run(other), Err(Error::InconsistentClusterId { .. })));
    let old = RegisterBroker { features: Default::default(), ..registration(0, 1) };
    assert!(matches!(cluster.run(old), Err(Error::UnsupportedVersion(_))));
}

#[test]
fn a_killed_broker_leads_again_what_must_be_on_its_disk() {
    for (previous, comes_back_clean) in [(unclean(true), true), (unclean(false), false)] {
        let mut cluster = lone_cluster();
        cluster.run(RegisterBroker { previous, ..registration(0, 2) }).unwrap();
        assert_eq!(cluster.roles("flushed", 0), (-1, vec![], vec![0]));
        cluster.unfence(0);
        assert_eq!(cluster.roles("flushed", 0), (0, vec![0], vec![]));
        assert_eq!(cluster.partition("flushed", 0).recovery, LeaderRecovery::Recovered);
        // The only copy comes back in any case, but what was in the page cache is not promised.
        assert_eq!(cluster.roles("cached", 0), (0, vec![0], vec![]));
        let clean = cluster.partition("cached", 0).recovery == LeaderRecovery::Recovered;
        assert_eq!(clean, comes_back_clean);
    }
}

#[test]
fn a_damaged_copy_or_an_emptied_disk_leads_nothing_by_itself() {
    let mut cluster = lone_cluster();
    let damaged = vec![(cluster.get("flushed").id, 0)];
    let previous = PreviousStop::Unclean { page_cache_kept: true, damaged };
    cluster.run(RegisterBroker { previous, ..registration(0, 2) }).unwrap();
    cluster.unfence(0);
    assert_eq!(cluster.roles("flushed", 0), (-1, vec![], vec![]));
    assert_eq!(cluster.roles("cached", 0), (0, vec![0], vec![]));

    let mut cluster = lone_cluster();
    cluster.fence(0);
    let emptied = RegisterBroker { directories: vec![DirectoryId::ZERO], ..registration(0, 2) };
    cluster.run(emptied).unwrap();
    cluster.unfence(0);
    assert_eq!(cluster.roles("flushed", 0), (-1, vec![], vec![]));
}

#[test]
fn an_unclean_broker_leaves_the_eligible_set_and_others_lead() {
    let mut cluster = Cluster::with_brokers(3);
    cluster.topic("t", &[&[0, 1, 2]], &[("min.insync.replicas", "2"), ("ottla.durability", "replicated")]);
    cluster.run(registration(0, 2)).unwrap();
    assert_eq!(cluster.roles("t", 0), (1, vec![1, 2], vec![]));
    cluster.run(registration(1, 2)).unwrap();
    assert_eq!(cluster.roles("t", 0), (2, vec![2], vec![]), "1 lost its cache: not eligible");
    assert_eq!(cluster.partition("t", 0).last_known_elr, [BrokerId(1)]);
    cluster.unfence(0);
    cluster.unfence(1);
    assert_eq!(cluster.roles("t", 0), (2, vec![2], vec![]));
}

#[test]
fn a_clean_stop_counts_only_for_the_uptime_it_ended() {
    for (epoch_before, eligible) in [(0, vec![0]), (-1, vec![])] {
        let mut cluster = lone_cluster();
        let previous = PreviousStop::Clean(BrokerEpoch(cluster.epoch(0).0 + epoch_before));
        cluster.run(RegisterBroker { previous, ..registration(0, 2) }).unwrap();
        assert_eq!(cluster.roles("cached", 0), (-1, vec![], eligible));
    }
}

#[test]
fn a_stopping_broker_hands_over_what_it_leads_and_joins_no_isr() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.topic("t", &[&[0, 1]], &[]);
    let stop = |cluster: &mut Cluster| {
        let (broker, epoch, applied) = (BrokerId(0), cluster.epoch(0), cluster.image.index());
        cluster.run(BrokerHeartbeat { broker, epoch, applied, wish: Wish::Stop }).unwrap()
    };
    assert!(stop(&mut cluster).may_stop);
    assert_eq!(cluster.roles("t", 0), (1, vec![1], vec![]));
    assert_eq!(cluster.propose("t", 0, &[1, 0]), Err(PartitionFault::IneligibleReplica(BrokerId(0))));
    assert!(stop(&mut cluster).may_stop, "asking again changes nothing");
    cluster.run(registration(0, 2)).unwrap();
    cluster.unfence(0);
    assert!(cluster.propose("t", 0, &[1, 0]).is_ok());
}

#[test]
fn a_cordon_outlives_a_restart_and_an_unregistered_broker_is_forgotten() {
    let mut cluster = Cluster::with_brokers(2);
    cluster.topic("t", &[&[0, 1]], &[]);
    cluster.cordon(0);
    cluster.run(registration(0, 2)).unwrap();
    assert!(cluster.image.broker(BrokerId(0)).unwrap().cordoned);
    cluster.run(UnregisterBroker { broker: BrokerId(1) }).unwrap();
    assert_eq!(cluster.image.brokers().len(), 1);
    assert_eq!(cluster.run(UnregisterBroker { broker: BrokerId(1) }), Err(Error::BrokerIdNotRegistered(1)));
}

#[test]
fn a_broker_that_was_unregistered_and_comes_back_is_judged_like_any_other() {
    let eligible = |previous: PreviousStop| {
        let mut cluster = Cluster::with_brokers(2);
        let strict = [("min.insync.replicas", "2"), ("ottla.durability", "replicated")];
        cluster.topic("t", &[&[0, 1]], &strict);
        cluster.run(UnregisterBroker { broker: BrokerId(1) }).unwrap();
        assert_eq!(cluster.roles("t", 0), (0, vec![0], vec![1]), "its copy may be whole");
        cluster.run(RegisterBroker { previous, ..registration(1, 2) }).unwrap();
        cluster.roles("t", 0).2
    };
    assert_eq!(eligible(unclean(true)), [1]);
    assert_eq!(eligible(unclean(false)), Vec::<i32>::new());
    assert_eq!(eligible(PreviousStop::Clean(BrokerEpoch(3))), [1], "it has lost nothing");
}

#[test]
fn producer_ids_are_given_out_once() {
    let mut cluster = Cluster::with_brokers(1);
    let allocate = |cluster: &Cluster| AllocateProducerIds { broker: BrokerId(0), broker_epoch: cluster.epoch(0) };
    let blocks: Vec<_> = (0..3).map(|_| cluster.run(allocate(&cluster)).unwrap().first.0).collect();
    assert_eq!(blocks, [0, 1000, 2000]);
    let stale = AllocateProducerIds { broker_epoch: BrokerEpoch(1), ..allocate(&cluster) };
    assert!(matches!(cluster.run(stale), Err(Error::StaleBrokerEpoch { .. })));
}

#[test]
fn features_are_finalized_within_what_every_broker_supports() {
    let mut cluster = Cluster::with_brokers(1);
    assert_eq!(cluster.image.feature(OTTLA_VERSION), 1);
    let mut update = |name: &str, level, downgrade| {
        let updates = vec![FeatureUpdate { name: name.into(), level, downgrade }];
        let result = cluster.run(UpdateFeatures { updates, validate_only: false }).unwrap().remove(0).1;
        (result.err().map(|error| error.to_string()), cluster.image.feature(name))
    };
    let refused =
        |level: i16, name: &str, why: &str| Some(format!("Invalid update version {level} for feature {name}. {why}"));
    assert_eq!(update(OTTLA_VERSION, 1, false), (None, 1));
    let too_new = refused(2, OTTLA_VERSION, "The controller only supports versions 1-1");
    assert_eq!(update(OTTLA_VERSION, 2, false), (too_new, 1));
    let name = TRANSACTION_VERSION;
    let lower = "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.";
    assert_eq!(update(name, 1, false), (refused(1, name, lower), 2));
    assert_eq!(update(name, 1, true), (None, 1));
    assert_eq!(update(name, 2, true), (refused(2, name, "Can't downgrade to a newer version."), 1));
    assert_eq!(update(name, 2, false), (None, 2));
    assert_eq!(update(name, 3, false), (refused(3, name, "The controller only supports versions 0-2"), 2));
    let unknown = refused(1, "nonsense", "The controller does not support this feature.");
    assert_eq!(update("nonsense", 1, false), (unknown, 0));
}
