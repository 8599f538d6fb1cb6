//! Deletes topics, by name or id (KIP-516).

use uuid::Uuid;

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to delete topics.
    request DeleteTopicsRequest = DeleteTopics [1-6, flexible 4+] -> DeleteTopicsResponse {
        [6+] topics: Vec<DeleteTopicState>,
        [0-5, ignorable] topic_names: Vec<Str>,
        /// How long the broker may take, in milliseconds.
        [0+] timeout_ms: i32,
    }

    /// An element of `topics` of [`DeleteTopicsRequest`].
    struct DeleteTopicState {
        [6+, null 6+] name: Option<Str>,
        [6+] topic_id: Uuid,
    }

    /// Per topic, whether it was deleted.
    response DeleteTopicsResponse [1-6, flexible 4+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [1+, ignorable] throttle_time_ms: i32,
        [0+] responses: Vec<DeletableTopicResult>,
    }

    /// An element of `responses` of [`DeleteTopicsResponse`].
    struct DeletableTopicResult {
        [0+, null 6+] name: Option<Str> = Some(Str::default()),
        [6+, ignorable] topic_id: Uuid,
        [0+] error_code: ErrorCode,
        /// What a person should read; null for the standard text of the code.
        [5+, null 5+, ignorable] error_message: Option<Str>,
    }
}
