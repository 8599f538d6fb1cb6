//! The transaction coordinators of this broker, and what they need done: producer ids, and markers in the partitions of
//! the transactions that end.
//!
//! Must decide nothing about transactions: that is ottla-core's.

mod acts;
mod confirm;
mod markers;
mod peers;
mod settings;

use std::sync::Arc;

use ottla_core::metadata::Image;
use ottla_core::txn::{Coordinator, Note};

use crate::coordinator::{Coordinators, Handover};

pub use acts::act;
pub use confirm::confirm;
pub use markers::{Marking, write_here};
pub use peers::{Peers, Unanswered};
pub use settings::{Retry, retry, settings};

/// The transaction coordinators of this broker, by partition of `__transaction_state`.
pub type Transactions = Coordinators<Coordinator, Handover<Coordinator>>;

/// What the coordinators have to know of a change of the cluster: nothing. Whether a partition is still there is asked
/// when its marker is written.
pub fn note(_: &Arc<Image>) -> Option<Note> {
    None
}
