//! An in-process broker over TCP: with the protocol client, and with raw frames where the client is too well-behaved.

mod cleaning;
mod client_metrics;
mod consumer_groups;
mod deletions;
mod directories;
mod features;
mod groups;
mod groups_oracle;
mod hostile;
mod leaders;
mod moves;
mod operating;
mod oracle;
mod produce_fetch;
mod quotas;
mod raw;
mod replication;
mod share_groups;
mod streams_groups;
mod throttles;
mod transactions;
