//! The end of transactions, as their coordinator tells it to the leaders of their partitions (KIP-98).

use crate::ErrorCode;
use crate::codec::{Str, message};

message! {
    /// Asks to write markers.
    request WriteTxnMarkersRequest = WriteTxnMarkers [1-2, flexible 1+] -> WriteTxnMarkersResponse {
        [0+] markers: Vec<WritableTxnMarker>,
    }

    /// An element of `markers` of [`WriteTxnMarkersRequest`].
    struct WritableTxnMarker {
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        /// Committed, or aborted.
        [0+] transaction_result: bool,
        [0+] topics: Vec<WritableTxnMarkerTopic>,
        /// Epoch of the partition of `__transaction_state` that the coordinator leads.
        [0+] coordinator_epoch: i32,
        /// The `transaction.version` by whose rules the transaction ended; 0 where it is not told.
        [2+, ignorable] transaction_version: i8,
    }

    /// An element of `topics` of [`WritableTxnMarker`].
    struct WritableTxnMarkerTopic {
        [0+] name: Str,
        [0+] partition_indexes: Vec<i32>,
    }

    /// Per marker and partition, whether it is written.
    response WriteTxnMarkersResponse [1-2, flexible 1+] {
        [0+] markers: Vec<WritableTxnMarkerResult>,
    }

    /// An element of `markers` of [`WriteTxnMarkersResponse`].
    struct WritableTxnMarkerResult {
        [0+] producer_id: i64,
        [0+] topics: Vec<WritableTxnMarkerTopicResult>,
    }

    /// An element of `topics` of [`WritableTxnMarkerResult`].
    struct WritableTxnMarkerTopicResult {
        [0+] name: Str,
        [0+] partitions: Vec<WritableTxnMarkerPartitionResult>,
    }

    /// An element of `partitions` of [`WritableTxnMarkerTopicResult`].
    struct WritableTxnMarkerPartitionResult {
        [0+] partition_index: i32,
        [0+] error_code: ErrorCode,
    }
}
