//! Every topic key of Kafka 4.3 and Ottla's own, with type, default, range and the broker key it falls back to.

use super::{Check, Kind, ResourceKey};

macro_rules! table {
    ($($name:literal, $kind:ident, $default:literal, $check:ident $(($($arg:expr),*))?, $broker:tt;)*) => {
        &[$(ResourceKey {
            name: $name,
            kind: Kind::$kind,
            default: $default,
            check: Check::$check $(($($arg),*))?,
            broker_key: table!(@broker $broker),
        }),*]
    };
    (@broker None) => { None };
    (@broker $name:literal) => { Some($name) };
}

/// The topic keys: Ottla's own first, then Kafka's in the order in which a Kafka broker lists them.
pub const TOPIC: &[ResourceKey] = table! {
    "ottla.durability",                                       String,   "fsync",                 OneOf(&["fsync", "replicated"]), "ottla.durability";
    "compression.type",                                       String,   "producer",              OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "compression.type";
    "remote.log.delete.on.disable",                           Boolean,  "false",                 Any, None;
    "leader.replication.throttled.replicas",                  List,     "",                      ThrottledReplicas, None;
    "remote.storage.enable",                                  Boolean,  "false",                 Any, None;
    "min.insync.replicas",                                    Int,      "1",                     AtLeast(1), "min.insync.replicas";
    "segment.jitter.ms",                                      Long,     "0",                     AtLeast(0), "log.roll.jitter.ms";
    "remote.log.copy.disable",                                Boolean,  "false",                 Any, None;
    "local.retention.ms",                                     Long,     "-2",                    AtLeast(-2), "log.local.retention.ms";
    "cleanup.policy",                                         List,     "delete",                ListOf(&["compact", "delete"]), "log.cleanup.policy";
    "flush.ms",                                               Long,     "9223372036854775807",   AtLeast(0), "log.flush.interval.ms";
    "follower.replication.throttled.replicas",                List,     "",                      ThrottledReplicas, None;
    "compression.lz4.level",                                  Int,      "9",                     Between(1.0, 17.0), "compression.lz4.level";
    "segment.bytes",                                          Int,      "1073741824",            AtLeast(1_048_576), "log.segment.bytes";
    "retention.ms",                                           Long,     "604800000",             AtLeast(-1), "log.retention.ms";
    "compression.gzip.level",                                 Int,      "-1",                    GzipLevel, "compression.gzip.level";
    "flush.messages",                                         Long,     "9223372036854775807",   AtLeast(1), "log.flush.interval.messages";
    "compression.zstd.level",                                 Int,      "3",                     Between(-131072.0, 22.0), "compression.zstd.level";
    "max.compaction.lag.ms",                                  Long,     "9223372036854775807",   AtLeast(1), "log.cleaner.max.compaction.lag.ms";
    "file.delete.delay.ms",                                   Long,     "60000",                 AtLeast(0), "log.segment.delete.delay.ms";
    "max.message.bytes",                                      Int,      "1048588",               AtLeast(0), "message.max.bytes";
    "min.compaction.lag.ms",                                  Long,     "0",                     AtLeast(0), "log.cleaner.min.compaction.lag.ms";
    "message.timestamp.type",                                 String,   "CreateTime",            OneOf(&["CreateTime", "LogAppendTime"]), "log.message.timestamp.type";
    "local.retention.bytes",                                  Long,     "-2",                    AtLeast(-2), "log.local.retention.bytes";
    "preallocate",                                            Boolean,  "false",                 Any, "log.preallocate";
    "index.interval.bytes",                                   Int,      "4096",                  AtLeast(0), "log.index.interval.bytes";
    "min.cleanable.dirty.ratio",                              Double,   "0.5",                   Between(0.0, 1.0), "log.cleaner.min.cleanable.ratio";
    "unclean.leader.election.enable",                         Boolean,  "false",                 Any, "unclean.leader.election.enable";
    "retention.bytes",                                        Long,     "-1",                    Any, "log.retention.bytes";
    "delete.retention.ms",                                    Long,     "86400000",              AtLeast(0), "log.cleaner.delete.retention.ms";
    "message.timestamp.after.max.ms",                         Long,     "3600000",               AtLeast(0), "log.message.timestamp.after.max.ms";
    "message.timestamp.before.max.ms",                        Long,     "9223372036854775807",   AtLeast(0), "log.message.timestamp.before.max.ms";
    "segment.ms",                                             Long,     "604800000",             AtLeast(1), "log.roll.ms";
    "segment.index.bytes",                                    Int,      "10485760",              AtLeast(4), "log.index.size.max.bytes";
};
