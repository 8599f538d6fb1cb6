//! The Kafka wire protocol as Ottla speaks it: a bounded codec, one declaration per message, framing, error codes,
//! and an async client. It knows the shape of requests and nothing of what a broker does with them.

pub mod api_key;
pub mod client;
pub mod codec;
pub mod error_code;
pub mod frame;
pub mod messages;

#[cfg(test)]
mod tests;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
