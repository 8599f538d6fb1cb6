//! Tests that need more than one crate, and of the repository itself.

// It serves tests alone: what cannot go on ends the test.
#![allow(clippy::panic)]

pub mod cluster;
