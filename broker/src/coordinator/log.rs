//! What a driver needs of its partition.

use std::pin::Pin;

use ottla_core::Now;
use ottla_core::coordinator::{AppendError, NewBatch, Replayed};

/// Ends when the records of an append are durable, or can no longer become so here.
pub type Appended = Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send>>;

/// Is given what the partition holds while loading.
pub type Replay<'a> = &'a mut dyn FnMut(Replayed<'_>);

/// Why the records of a partition could not be read; another attempt may succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the coordinator: {0}")]
pub struct LoadError(pub String);

/// A partition of a coordinators' topic that this broker leads.
pub trait CoordinatorLog: Send + Sync + 'static {
    /// Appends one batch. An error means that nothing was appended; the future's, that the outcome is another
    /// leader's to say. Futures end in the order of the appends.
    fn append(&self, batch: &NewBatch, now: Now) -> Result<Appended, AppendError>;

    /// Gives all that the partition holds to `each`, in log order. Blocks on files.
    fn replay(&self, each: Replay<'_>) -> Result<(), LoadError>;

    /// Ends when everything that was replayed is durable, so that it can be shown.
    fn settled(&self) -> Appended;
}
