//! What the coordinators have in common: records of their topics in Kafka's formats, appends, and alarms.
//!
//! It must not know what is coordinated.

mod append;
mod machine;
mod reader;
mod timers;
mod writer;

pub use append::{AppendError, AppendId, EncodedRecord, InTransaction, NewBatch, Replayed, RequestId, Verification};
pub use machine::{Effect, Event, Machine};
pub use reader::RecordError;

pub(crate) use reader::Reader;
pub(crate) use timers::Timers;
pub(crate) use writer::{
    MAX_STRING, put_bytes, put_compact_bytes, put_compact_count, put_compact_string, put_count,
    put_nullable_compact_string, put_nullable_string, put_string, put_tagged,
};
