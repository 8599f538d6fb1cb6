//! The composition root: what a running broker consists of, and the order in which it starts and stops.

use std::sync::Arc;

use crate::api::Table;
use crate::config::Config;

/// A running broker, as the API handlers see it.
pub struct Broker {
    /// What it was told at its start.
    pub config: Arc<Config>,
    /// The APIs it serves.
    pub apis: Table,
}
