//! The coordinators' topics, which are made when a coordinator is first asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_core::TopicId;
use ottla_core::controller::internal_topics::new_internal_topic;
use ottla_core::controller::{CreateTopics, Error, Settings};
use ottla_core::metadata::Image;
use tracing::warn;
use uuid::Uuid;

use crate::broker::Broker;

/// The cluster with the internal topic `name`, unless it cannot be made just now. Clients ask once and have their answer,
/// rather than being told to come again when the topic is there.
pub async fn with_topic(broker: &Broker, name: &'static str) -> Arc<Image> {
    let controller = &broker.controller;
    let image = controller.image();
    if image.topic(name).is_some() {
        return image;
    }
    let settings = Settings::new(BTreeMap::clone(&broker.config.fixed));
    let id = TopicId(Uuid::new_v4());
    let topics = new_internal_topic(name, id, &settings).into_iter().collect();
    match controller.submit(CreateTopics { topics, validate_only: false }).await {
        Ok(results) => {
            for (topic, result) in results {
                match result {
                    // Another client asked at the same time.
                    Ok(_) | Err(Error::TopicAlreadyExists(_)) => {}
                    Err(error) => warn!(topic, %error, "cannot create the internal topic"),
                }
            }
        }
        Err(error) => warn!(topic = name, %error, "cannot create the internal topic"),
    }
    controller.image()
}
