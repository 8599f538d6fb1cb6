//! From domain errors to Kafka's error codes: the only place that does it.

use ottla_core::partition;
use ottla_protocol::ErrorCode;

/// The code that tells a client of `refusal`.
pub fn of_refusal(refusal: &partition::Refusal) -> ErrorCode {
    match refusal {
        partition::Refusal::NotEnoughReplicas { .. } => ErrorCode::NOT_ENOUGH_REPLICAS,
        partition::Refusal::FencedLeaderEpoch { .. } => ErrorCode::FENCED_LEADER_EPOCH,
        partition::Refusal::UnknownLeaderEpoch { .. } => ErrorCode::UNKNOWN_LEADER_EPOCH,
    }
}
