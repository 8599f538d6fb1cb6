//! Tests of the decisions that are about more than one file.

mod brokers;
mod oracle;
mod partitions;
mod random;
mod topics;
