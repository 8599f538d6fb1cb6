//! Every group key of Kafka 4.3 (KIP-848, 932, 1071), with type, default, range and the broker key it falls back to.

use super::{Check, Kind, ResourceKey};

macro_rules! table {
    ($($name:literal, $kind:ident, $default:literal, $check:ident $(($($arg:expr),*))?, $broker:literal;)*) => {
        &[$(ResourceKey {
            name: $name,
            kind: Kind::$kind,
            default: $default,
            check: Check::$check $(($($arg),*))?,
            broker_key: Some($broker),
        }),*]
    };
}

/// The group keys, in the order in which a Kafka broker lists them.
pub const GROUP: &[ResourceKey] = table! {
    "consumer.session.timeout.ms",                            Int,      "45000",                 AtLeast(1), "group.consumer.session.timeout.ms";
    "consumer.assignment.interval.ms",                        Int,      "1000",                  AtLeast(0), "group.consumer.assignment.interval.ms";
    "share.auto.offset.reset",                                String,   "latest",                OffsetReset, "share.auto.offset.reset";
    "share.renew.acknowledge.enable",                         Boolean,  "true",                  Any, "share.renew.acknowledge.enable";
    "streams.initial.rebalance.delay.ms",                     Int,      "3000",                  AtLeast(0), "group.streams.initial.rebalance.delay.ms";
    "share.session.timeout.ms",                               Int,      "45000",                 AtLeast(1), "group.share.session.timeout.ms";
    "streams.assignment.interval.ms",                         Int,      "1000",                  AtLeast(0), "group.streams.assignment.interval.ms";
    "share.heartbeat.interval.ms",                            Int,      "5000",                  AtLeast(1), "group.share.heartbeat.interval.ms";
    "streams.heartbeat.interval.ms",                          Int,      "5000",                  AtLeast(1), "group.streams.heartbeat.interval.ms";
    "share.delivery.count.limit",                             Int,      "5",                     Any, "group.share.delivery.count.limit";
    "consumer.heartbeat.interval.ms",                         Int,      "5000",                  AtLeast(1), "group.consumer.heartbeat.interval.ms";
    "share.record.lock.duration.ms",                          Int,      "30000",                 AtLeast(1000), "group.share.record.lock.duration.ms";
    "share.assignment.interval.ms",                           Int,      "1000",                  AtLeast(0), "group.share.assignment.interval.ms";
    "share.isolation.level",                                  String,   "read_uncommitted",      OneOf(&["read_committed", "read_uncommitted"]), "share.isolation.level";
    "streams.session.timeout.ms",                             Int,      "45000",                 AtLeast(1), "group.streams.session.timeout.ms";
    "share.partition.max.record.locks",                       Int,      "2000",                  Any, "group.share.partition.max.record.locks";
    "streams.num.standby.replicas",                           Int,      "0",                     AtLeast(0), "group.streams.num.standby.replicas";
};
