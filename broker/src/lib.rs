//! The Ottla broker.
