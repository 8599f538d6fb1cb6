//! The composition root: what a running broker consists of, and the order in which it starts and stops.

use std::sync::Arc;

use std::collections::BTreeMap;

use ottla_core::config::Layers;
use ottla_core::metadata::{Image, Resource};

use crate::api::Table;
use crate::config::Config;
use crate::controller::ControllerHandle;

/// A running broker, as the API handlers see it.
pub struct Broker {
    /// What it was told at its start.
    pub config: Arc<Config>,
    /// The APIs it serves.
    pub apis: Table,
    /// Asks the controller, and sees the cluster.
    pub controller: ControllerHandle,
}

impl Broker {
    /// The cluster as of now.
    pub fn image(&self) -> Arc<Image> {
        self.controller.image()
    }

    /// What `ask` makes of this broker's layers of configuration, as `image` and the properties have them.
    pub fn with_layers<T>(&self, image: &Image, ask: impl FnOnce(Layers<'_>) -> T) -> T {
        let none = BTreeMap::new();
        let own = image.config(&Resource::broker(self.config.node_id.to_string()));
        let every = image.config(&Resource::every_broker());
        let (own, every) = (own.map_or(&none, |values| values), every.map_or(&none, |values| values));
        ask(self.config.layers(own, every))
    }
}
