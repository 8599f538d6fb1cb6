//! The shape of a coordinator: a machine that its driver feeds and whose effects it performs.

use std::fmt::Debug;
use std::time::Duration;

use super::{AppendError, AppendId, NewBatch, RecordError, Replayed, RequestId};
use crate::{Now, Offset};

/// What happens to a coordinator.
#[derive(Clone, Debug)]
pub enum Event<Request, Note> {
    /// A request; exactly one [`Effect::Reply`] answers it, now or later.
    Request(RequestId, Request),
    /// The records of an [`Effect::Append`] are durable (`Ok`), or were certainly not appended (`Err`).
    /// `Ok` must be reported in the order of the appends.
    Appended(AppendId, Result<(), AppendError>),
    /// Something that this kind of coordinator has to know.
    Note(Note),
    /// The time of [`Machine::next_deadline`] has come. Harmless when early.
    Tick,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<Response, Act> {
    /// Answer a request.
    Reply(RequestId, Response),
    /// Append this batch, and report [`Event::Appended`]. Appends keep their order.
    Append(AppendId, NewBatch),
    /// Something that this kind of coordinator needs done.
    Act(Act),
    /// Nothing of the log below this offset is needed any more: it may be deleted.
    Prune(Offset),
}

/// A coordinator of what one partition of its topic keeps.
///
/// Life: [`new`](Self::new), [`replay`](Self::replay) of every record of the partition, [`start`](Self::start), then
/// [`handle`](Self::handle) until [`unload`](Self::unload).
pub trait Machine: Sized + Send + 'static {
    /// Its topic.
    const TOPIC: &'static str;
    /// Its settings.
    type Config: Clone + Default + Send + Sync + 'static;
    /// What it is asked.
    type Request: Send + 'static;
    /// What it answers.
    type Response: Send + Debug + 'static;
    /// What it has to know besides.
    type Note: Send + 'static;
    /// What it needs done besides.
    type Act: Send + 'static;

    /// An empty coordinator.
    fn new(config: Self::Config) -> Self;

    /// Applies what the partition holds, in log order, before the start. Records of kinds that are not coordinated here
    /// are passed over. After an error the coordinator is unchanged; the record is best skipped with a warning.
    fn replay(&mut self, replayed: Replayed<'_>) -> Result<(), RecordError>;

    /// What is replayed next stands at `offset` of the log. Only a machine that prunes its log need know.
    fn replaying(&mut self, _offset: Offset) {}

    /// The log has put the records of `append` at `offset`; said before the machine hears of the fate of the append.
    fn placed(&mut self, _append: AppendId, _offset: Offset) {}

    /// Everything is replayed.
    fn start(&mut self, now: Now) -> Vec<Effect<Self::Response, Self::Act>>;

    /// When [`Event::Tick`] is due, on the monotonic clock.
    fn next_deadline(&self) -> Option<Duration>;

    /// Handles an event. The effects are to be performed in their order.
    fn handle(&mut self, now: Now, event: Event<Self::Request, Self::Note>) -> Vec<Effect<Self::Response, Self::Act>>;

    /// The partition is led elsewhere now: every parked request is answered with NOT_COORDINATOR.
    fn unload(self) -> Vec<Effect<Self::Response, Self::Act>>;

    /// What to note before the tick when the whole process stood still past its deadlines, if that matters.
    fn stalled() -> Option<Self::Note> {
        None
    }
}
