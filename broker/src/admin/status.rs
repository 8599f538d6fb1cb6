//! How errors and ids look in gRPC.

use ottla_core::DirectoryId;
use ottla_core::controller;
use tonic::Status;

use crate::controller::SubmitError;
use crate::controller::quorum::ChangeError;

/// An answer may name each of very many brokers and partitions.
pub(super) const ANSWER_BYTES: usize = 64 << 20;

/// What a refused or lost command means to who asked.
pub(super) fn of_submit(error: SubmitError) -> Status {
    match error {
        SubmitError::Refused(refused) => of_refusal(&refused),
        lost => Status::unavailable(lost.to_string()),
    }
}

/// What a refusal of the controller means.
pub(super) fn of_refusal(error: &controller::Error) -> Status {
    match error {
        controller::Error::BrokerIdNotRegistered(_) => Status::not_found(error.to_string()),
        _ => Status::failed_precondition(error.to_string()),
    }
}

/// What a change of the quorum that was not made means.
pub(super) fn of_change(error: &ChangeError) -> Status {
    let message = error.to_string();
    match error {
        ChangeError::Unknown(_) => Status::not_found(message),
        ChangeError::NotCaughtUp(_) | ChangeError::OnlyVoter(_) | ChangeError::IsVoter(_) | ChangeError::InProgress => {
            Status::failed_precondition(message)
        }
        ChangeError::NotLeader { .. } | ChangeError::TimedOut | ChangeError::Stopped(_) => Status::unavailable(message),
    }
}

/// A directory's id as in its meta.properties: 22 characters of URL-safe base64, as Kafka writes them.
pub(super) fn directory_text(directory: DirectoryId) -> String {
    ottla_storage::id_text(directory.0)
}
