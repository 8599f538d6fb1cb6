//! Tests that need more than one crate: in-process clusters, simulation, oracle, end to end.
