//! The custom resources of Ottla.
