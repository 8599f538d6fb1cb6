//! The messages and the service of `proto/controller.proto`.

#[allow(missing_docs, clippy::all, unused_qualifications, clippy::unwrap_used)]
mod generated {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/generated/ottla.controller.v1.rs"));
}

use ottla_core::controller::{BrokerHeartbeat, BrokerStatus};
use ottla_core::{BrokerEpoch, BrokerId, LogIndex, quota};

pub(super) use generated::controller_client::ControllerClient;
pub(super) use generated::controller_server::{Controller, ControllerServer};
pub(super) use generated::submit_response::Outcome;
pub(super) use generated::{Decided, Heartbeat, Mutator, NotController, Status, SubmitRequest, SubmitResponse, Wish};

/// The largest command or answer; ten thousand partitions are some two MiB.
pub(super) const MAX_MESSAGE: usize = 64 << 20;

impl From<&BrokerHeartbeat> for Heartbeat {
    fn from(heartbeat: &BrokerHeartbeat) -> Self {
        use ottla_core::controller::Wish as Core;
        let wish = match heartbeat.wish {
            Core::Serve => Wish::Serve,
            Core::Pause => Wish::Pause,
            Core::Stop => Wish::Stop,
        };
        let BrokerHeartbeat { broker, epoch, applied, .. } = heartbeat;
        Self { broker: broker.0, epoch: epoch.0, applied: applied.0, wish: wish.into() }
    }
}

impl From<&Heartbeat> for BrokerHeartbeat {
    fn from(heartbeat: &Heartbeat) -> Self {
        use ottla_core::controller::Wish as Core;
        let wish = match heartbeat.wish() {
            Wish::Serve => Core::Serve,
            Wish::Pause => Core::Pause,
            Wish::Stop => Core::Stop,
        };
        let Heartbeat { broker, epoch, applied, .. } = *heartbeat;
        Self { broker: BrokerId(broker), epoch: BrokerEpoch(epoch), applied: LogIndex(applied), wish }
    }
}

impl From<&quota::Mutator> for Mutator {
    fn from(by: &quota::Mutator) -> Self {
        let quota::Mutator { user, client_id, is_strict } = by.clone();
        Self { user, client_id, is_strict }
    }
}

impl From<Mutator> for quota::Mutator {
    fn from(by: Mutator) -> Self {
        let Mutator { user, client_id, is_strict } = by;
        Self { user, client_id, is_strict }
    }
}

impl From<BrokerStatus> for Status {
    fn from(status: BrokerStatus) -> Self {
        let BrokerStatus { caught_up, fenced, may_stop } = status;
        Self { caught_up, fenced, may_stop, superseded: false }
    }
}
