//! Tests that need more than one crate, and of the repository itself.

pub mod cluster;
