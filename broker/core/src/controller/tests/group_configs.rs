//! What groups may be configured with, by the bounds of the broker.

use super::super::testing::Cluster;
use super::super::*;
use crate::metadata::Resource;

fn set(cluster: &mut Cluster, values: &[(&str, &str)]) -> Result<(), Error> {
    let change = |(key, value): &(&str, &str)| ConfigChange {
        key: (*key).to_owned(),
        op: ConfigOp::Set,
        value: Some((*value).to_owned()),
    };
    let changes = values.iter().map(change).collect();
    let resources = vec![ResourceChanges { resource: Resource::group("g"), changes }];
    cluster.run(IncrementalAlterConfigs { resources, validate_only: true }).unwrap().remove(0).1
}

#[test]
fn a_group_is_held_to_the_bounds_that_the_broker_has_for_it() {
    let mut cluster = Cluster::founded(&[("group.streams.min.heartbeat.interval.ms", "100")]);
    let below = |key: &str, bound: &str| (key.to_owned(), "greater", bound.to_owned());
    let above = |key: &str, bound: &str| (key.to_owned(), "less", bound.to_owned());
    for (value, (key, within, bound)) in [
        ("44999", below("streams.session.timeout.ms", "group.streams.min.session.timeout.ms")),
        ("60001", above("streams.session.timeout.ms", "group.streams.max.session.timeout.ms")),
        ("99", below("streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms")),
        ("15001", above("streams.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms")),
        ("15001", above("streams.assignment.interval.ms", "group.streams.max.assignment.interval.ms")),
        ("3", above("streams.num.standby.replicas", "group.streams.max.standby.replicas")),
        ("11", above("share.delivery.count.limit", "group.share.max.delivery.count.limit")),
        ("14999", below("share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms")),
    ] {
        let refusal = format!("{key} must be {within} than or equal to {bound}");
        assert_eq!(set(&mut cluster, &[(&key, value)]), Err(Error::InvalidConfig(refusal.into())));
    }
    let allowed = [
        ("streams.session.timeout.ms", "45000"),
        ("streams.heartbeat.interval.ms", "100"),
        ("streams.initial.rebalance.delay.ms", "0"),
        ("streams.assignment.interval.ms", "0"),
        ("streams.num.standby.replicas", "2"),
    ];
    assert_eq!(set(&mut cluster, &allowed), Ok(()));
    let negative = "Invalid value -1 for configuration streams.num.standby.replicas: Value must be at least 0";
    assert_eq!(
        set(&mut cluster, &[("streams.num.standby.replicas", "-1")]),
        Err(Error::InvalidConfig(negative.into()))
    );
}

#[test]
fn a_member_has_to_be_heard_more_often_than_it_may_be_silent() {
    let wide = ["consumer", "share", "streams"].map(|protocol| {
        [
            (format!("group.{protocol}.min.session.timeout.ms"), "1"),
            (format!("group.{protocol}.min.heartbeat.interval.ms"), "1"),
        ]
    });
    let wide: Vec<(&str, &str)> = wide.iter().flatten().map(|(key, value)| (key.as_str(), *value)).collect();
    let mut cluster = Cluster::founded(&wide);
    for protocol in ["consumer", "share", "streams"] {
        let (session, heartbeat) =
            (format!("{protocol}.session.timeout.ms"), format!("{protocol}.heartbeat.interval.ms"));
        let refusal = Err(Error::InvalidConfig(format!("{session} must be greater than {heartbeat}").into()));
        assert_eq!(set(&mut cluster, &[(&session, "5000")]), refusal, "{protocol}: as often as every broker says");
        assert_eq!(set(&mut cluster, &[(&session, "1000"), (&heartbeat, "1000")]), refusal);
        assert_eq!(set(&mut cluster, &[(&session, "1000"), (&heartbeat, "999")]), Ok(()));
    }
}
