//! Tests of the decisions that are about more than one file.

mod brokers;
mod directories;
mod moves;
mod oracle;
mod partitions;
mod random;
mod topics;
