//! What goes into the coordinator and what comes out. Requests are about one share partition each.

use std::convert::Infallible;
use std::sync::Arc;

use super::Error;
use crate::metadata::Image;
use crate::share::{Key, StateBatch};
use crate::{LeaderEpoch, Offset, StateEpoch, coordinator};

/// What happens to a share coordinator.
pub type Event = coordinator::Event<Request, Note>;

/// What its driver has to do.
pub type Effect = coordinator::Effect<Response, Infallible>;

/// What a share coordinator has to know besides requests.
#[derive(Clone, Debug)]
pub enum Note {
    /// The cluster. The first one may be older than the term of the coordinator, the others are not.
    Metadata(Arc<Image>),
}

/// A request about the state of a share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// InitializeShareGroupState: begins (anew); answered by [`Response::Done`].
    Initialize {
        /// What is begun.
        key: Key,
        /// The beginning.
        state_epoch: StateEpoch,
        /// Where delivery begins; none for where the leader says.
        start: Option<Offset>,
    },
    /// WriteShareGroupState; answered by [`Response::Done`].
    Write(Key, Write),
    /// ReadShareGroupState by the leader of an epoch, which fences the leaders before; answered by [`Response::State`].
    Read(Key, LeaderEpoch),
    /// ReadShareGroupStateSummary; answered by [`Response::Summary`].
    Summarize(Key),
    /// DeleteShareGroupState; answered by [`Response::Done`].
    Delete(Key),
}

impl Request {
    /// What it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Initialize { key, .. }
            | Self::Write(key, _)
            | Self::Read(key, _)
            | Self::Summarize(key)
            | Self::Delete(key) => key,
        }
    }

    /// The answer that refuses it.
    pub(super) fn refused(&self, error: Error) -> Response {
        match self {
            Self::Initialize { .. } | Self::Write(..) | Self::Delete(_) => Response::Done(Err(error)),
            Self::Read(..) => Response::State(Err(error)),
            Self::Summarize(_) => Response::Summary(Err(error)),
        }
    }
}

/// What a leader has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The beginning of the group that the leader knows; −1 if it does not say.
    pub state_epoch: StateEpoch,
    /// Its term; −1 if it does not say.
    pub leader_epoch: LeaderEpoch,
    /// Where delivery begins; none for no change.
    pub start: Option<Offset>,
    /// How many offsets from there on will not be delivered again, if the leader says (KIP-1226).
    pub complete: Option<u32>,
    /// What has changed.
    pub batches: Vec<StateBatch>,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// It is durable.
    Done(Result<(), Error>),
    /// What is kept.
    State(Result<State, Error>),
    /// Where delivery stands.
    Summary(Result<Summary, Error>),
}

/// All that is kept of a share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The beginning of the group.
    pub state_epoch: StateEpoch,
    /// Where delivery begins; none if no leader has said so far.
    pub start: Option<Offset>,
    /// What is known of the offsets from there on, in their order.
    pub batches: Vec<StateBatch>,
}

/// Where delivery stands in a share partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The beginning of the group; 0 where nothing is kept.
    pub state_epoch: StateEpoch,
    /// The latest leader that has read; 0 if none has.
    pub leader_epoch: LeaderEpoch,
    /// Where delivery begins; none if no leader has said so far.
    pub start: Option<Offset>,
    /// How many offsets from there on will not be delivered again, if that is known.
    pub complete: Option<u32>,
}
