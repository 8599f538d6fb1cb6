//! The group coordinators of this broker, their section of the configuration, and their way to the share coordinators.

mod settings;
mod states;

use std::sync::Arc;

use ottla_core::group::{Coordinator, GroupCounts, ListFilter, Listed, Note, Request, Response};
use ottla_core::metadata::Image;

use crate::api::error::to_group;
use crate::broker::Broker;
use crate::coordinator::{Coordinators, Handover, Job, Unavailable};

pub use settings::{Protocols, protocols, settings};
pub use states::{Summary, summaries};

/// The group coordinators of this broker, by partition of `__consumer_offsets`.
pub type Groups = Coordinators<Coordinator, Handover<Coordinator>>;

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

    /// How many groups the coordinators that are loaded have.
    pub async fn count(&self) -> GroupCounts {
        let answers = self.call_loaded(|| Request::Count).await.into_iter();
        answers
            .filter_map(|answer| match answer {
                Response::Count(counts) => Some(counts),
                _ => None,
            })
            .collect()
    }
}

/// What the coordinators have to know of a change of the cluster: all of it.
pub fn note(image: &Arc<Image>) -> Option<Note> {
    Some(Note::Metadata(Arc::clone(image)))
}

/// Asks the share coordinators what a group coordinator wants of them.
pub async fn act(broker: Arc<Broker>, job: Job<Coordinator>) {
    let call = job.act;
    let answers = states::change(&broker, &call.group, &call.ask).await;
    let results = answers.into_iter().map(|((topic, index), result)| (topic, index, result.map_err(to_group)));
    job.notes.tell(Note::StatesAnswered(call.id, results.collect()));
}
