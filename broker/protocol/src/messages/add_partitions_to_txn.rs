//! Makes partitions part of a transaction, or asks whether they are (KIP-98, KIP-890).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to add partitions: a producer of its own transaction, a broker from version 4 on of several.
    request AddPartitionsToTxnRequest = AddPartitionsToTxn [0-5, flexible 3+] -> AddPartitionsToTxnResponse {
        [4+] transactions: Vec<AddPartitionsToTxnTransaction>,
        [0-3] v3_and_below_transactional_id: Str,
        [0-3] v3_and_below_producer_id: i64,
        [0-3] v3_and_below_producer_epoch: i16,
        [0-3] v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
    }

    /// An element of `transactions` of [`AddPartitionsToTxnRequest`].
    struct AddPartitionsToTxnTransaction {
        [4+] transactional_id: Str,
        [4+] producer_id: i64,
        [4+] producer_epoch: i16,
        /// Whether nothing is to be added.
        [4+] verify_only: bool,
        [4+] topics: Vec<AddPartitionsToTxnTopic>,
    }

    /// An element of the topics of a transaction.
    struct AddPartitionsToTxnTopic {
        [0+] name: Str,
        [0+] partitions: Vec<i32>,
    }

    /// Per partition, whether it is part of the transaction now.
    response AddPartitionsToTxnResponse [0-5, flexible 3+] {
        /// How long the client should hold back because of a quota, in milliseconds.
        [0+, ignorable] throttle_time_ms: i32,
        [4+, ignorable] error_code: ErrorCode,
        [4+] results_by_transaction: Vec<AddPartitionsToTxnResult>,
        [0-3] results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
    }

    /// An element of `results_by_transaction` of [`AddPartitionsToTxnResponse`].
    struct AddPartitionsToTxnResult {
        [4+] transactional_id: Str,
        [4+] topic_results: Vec<AddPartitionsToTxnTopicResult>,
    }

    /// An element of the results of a transaction.
    struct AddPartitionsToTxnTopicResult {
        [0+] name: Str,
        [0+] results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
    }

    /// An element of `results_by_partition` of [`AddPartitionsToTxnTopicResult`].
    struct AddPartitionsToTxnPartitionResult {
        [0+] partition_index: i32,
        [0+] partition_error_code: ErrorCode,
    }
}
