//! Tests of the decisions that are about more than one file.

mod brokers;
mod directories;
mod group_configs;
mod moves;
mod oracle;
mod partitions;
mod random;
mod topics;
