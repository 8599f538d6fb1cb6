//! Share groups on the side of what they read (KIP-932): where each group stands in each partition.
//!
//! The leader of a partition gives its records out ([`partition`]); what is to survive it is kept by a coordinator on
//! `__share_group_state` ([`state`]). Membership and assignments are the group coordinator's and unknown here.

mod batch;
mod key;
pub mod partition;
pub mod state;

pub use batch::{DeliveryState, StateBatch};
pub use key::Key;

pub(crate) use batch::combine;
