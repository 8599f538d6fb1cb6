//! The group coordinators of this broker, and their section of the configuration.

mod settings;

use ottla_core::group::{Coordinator, ListFilter, Listed, Note, Request, Response};
use ottla_core::metadata::{Image, Topics};

use crate::coordinator::{Coordinators, Idle, Unavailable};

pub use settings::settings;

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

/// What the coordinators have to know of a change of the cluster: committed offsets for topics that are gone go too.
pub fn note(before: &Image, after: &Image) -> Option<Note> {
    let changes = Topics::differences(before.topics(), after.topics());
    let deleted: Vec<_> =
        changes.filter(|(_, after)| after.is_none()).filter_map(|(topic, _)| Some(topic?.name.clone())).collect();
    (!deleted.is_empty()).then_some(Note::TopicsDeleted(deleted))
}
