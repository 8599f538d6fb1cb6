//! Share groups on this broker: the coordinators of their state, and what the leader of a partition keeps of each group.
//!
//! Must decide nothing about delivery: that is ottla-core's.

mod deliveries;
mod delivery;
mod layout;
mod persister;
mod place;
mod sessions;
mod settings;
mod upkeep;
mod wire;

use std::sync::Arc;

use ottla_core::metadata::Image;
use ottla_core::share::state::{Coordinator, Note};

use crate::coordinator::{Coordinators, Idle};

pub use deliveries::Deliveries;
pub use delivery::{Delivery, Turn};
pub use layout::Layout;
pub use persister::is_passing;
pub use place::{coordinator_of, is_coordinator_key, state_partition};
pub use sessions::{At, FINAL, INITIAL, Member, ShareSessions};
pub use settings::{DeliverySettings, Reading, state_settings};
pub use upkeep::{run, take_leave};
pub use wire::{read_batches, written_batches};

/// The share coordinators of this broker, by partition of `__share_group_state`.
pub type ShareStates = Coordinators<Coordinator, Idle>;

/// What the coordinators have to know of a change of the cluster: all of it.
pub fn note(image: &Arc<Image>) -> Option<Note> {
    Some(Note::Metadata(Arc::clone(image)))
}
