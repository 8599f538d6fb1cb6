//! Kafka v2 record batches: header view, CRC, bounded compression, builder.
