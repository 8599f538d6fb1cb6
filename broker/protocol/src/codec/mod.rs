//! Reading and writing Kafka's primitive types within bounds, and the declarative `message!` built on them.
//!
//! No input can make a decoder panic, recurse without end, or allocate more than a fixed multiple of the frame: every
//! claimed length is checked against the bytes that remain ÷ the least size of an element before anything is allocated,
//! and the memory of decoded structures is charged to a budget. Strings, bytes and records are slices of the frame.

mod error;
mod field;
#[cfg(test)]
pub(crate) mod generate;
mod message;
mod reader;
mod records;
mod text;
mod wire;
mod writer;

pub use error::{DecodeError, EncodeError};
pub(crate) use field::{Field, field};
pub(crate) use message::message;
pub use message::{Message, Request, Response};
pub use reader::Reader;
pub use records::Records;
pub use text::Str;
pub use wire::{Nullable, Version, Wire};
pub use writer::{Cut, Encoded, Writer};
