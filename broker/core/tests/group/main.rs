//! Tests of the group coordinator through its public face: scenarios, the real broker's answers, and a simulation.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod bench;
mod commits;
mod consumer_simulation;
mod consumers;
mod intervals;
mod migration;
mod oracle;
mod refusals;
mod requests;
mod scenarios;
mod share_simulation;
mod shares;
mod simulation;
mod streams;
mod streams_admin;
mod streams_simulation;
mod transactions;
