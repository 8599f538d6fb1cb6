//! The Kafka wire protocol: bounded codec, messages, framing and an async client.
