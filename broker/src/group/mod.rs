//! The group coordinators of this broker, and their section of the configuration.

mod settings;

use std::sync::Arc;

use ottla_core::group::{Coordinator, ListFilter, Listed, Note, Request, Response};
use ottla_core::metadata::Image;

use crate::coordinator::{Coordinators, Idle, Unavailable};

pub use settings::{serves_consumer_protocol, settings};

/// The group coordinators of this broker, by partition of `__consumer_offsets`.
pub type Groups = Coordinators<Coordinator, Idle>;

impl Groups {
    /// The groups of all coordinators that pass `filter`; "loading" while one of them is.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<Listed>, Unavailable> {
        let answers = self.call_all(|| Request::List(filter.clone())).await?;
        let listed = answers.into_iter().filter_map(|answer| match answer {
            Response::List(listed) => Some(listed),
            _ => None,
        });
        Ok(listed.flatten().collect())
    }
}

/// What the coordinators have to know of a change of the cluster: all of it.
pub fn note(image: &Arc<Image>) -> Option<Note> {
    Some(Note::Metadata(Arc::clone(image)))
}
