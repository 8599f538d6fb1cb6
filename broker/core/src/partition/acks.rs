//! What a producer asks for before it is answered.

/// The `acks` of a produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAcks {
    /// 0: no answer.
    None,
    /// 1: after the leader's append.
    Leader,
    /// −1: when the high watermark has passed the records.
    All,
}
