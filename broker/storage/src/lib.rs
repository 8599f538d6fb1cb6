//! The durable log of an Ottla broker.
