//! What a driver needs of its partition.

use std::pin::Pin;

use ottla_core::coordinator::{AppendError, NewBatch, Replayed};
use ottla_core::{Now, Offset};

/// Ends when the records of an append are durable, or can no longer become so here.
pub type Appended = Pin<Box<dyn Future<Output = Result<(), AppendError>> + Send>>;

/// Is given what the partition holds while loading, with the offset of the batch that it is in.
pub type Replay<'a> = &'a mut dyn FnMut(Offset, Replayed<'_>);

/// Why the records of a partition could not be read; another attempt may succeed.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the coordinator: {0}")]
pub struct LoadError(pub String);

/// A partition of a coordinators' topic that this broker leads.
pub trait CoordinatorLog: Send + Sync + 'static {
    /// Appends one batch; gives its first offset. An error means that nothing was appended; the future's, that the outcome is another
    /// leader's to say. Futures end in the order of the appends.
    fn append(&self, batch: &NewBatch, now: Now) -> Result<(Offset, Appended), AppendError>;

    /// Deletes what lies below `offset`, which is durable.
    fn prune(&self, offset: Offset);

    /// Gives all that the partition holds to `each`, in log order. Blocks on files.
    fn replay(&self, each: Replay<'_>) -> Result<(), LoadError>;

    /// Ends when everything that was replayed is durable, so that it can be shown.
    fn settled(&self) -> Appended;
}
